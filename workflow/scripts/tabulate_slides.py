"""Lay out Table 1 or 2 of Roth et al. 2024: measured values, intervals, printed numbers beside."""

from pathlib import Path

from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv
from cryotome.evaluation.published import compare_with_published, read_published
from cryotome.report.tables.roth2024 import read_summaries, table_of_rows
from cryotome.runtime.job import run_script


def main(scores: list[Path], published: list[Path], table: Path, about: dict, kind: str) -> None:
    measured = read_summaries(scores)
    verdicts = compare_with_published(read_published(published), measured, about)
    with atomic_write(table) as beside:
        write_csv(table_of_rows(measured, verdicts, kind, about), beside)


if __name__ == "__main__":
    run_script(main)
