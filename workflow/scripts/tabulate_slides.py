"""Lay out Table 1 or 2 of paper 002: measured values, intervals, printed numbers beside."""

from pathlib import Path

from cryotome.colorectal_tables import judged, read_summaries, table_of_rows
from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.published import read_published
from cryotome.sheets import write_csv


def main(scores: list[Path], published: list[Path], table: Path, about: dict, kind: str) -> None:
    measured = read_summaries(scores)
    verdicts = judged(measured, read_published(published), about)
    with written_whole(table) as beside:
        write_csv(table_of_rows(measured, verdicts, kind, about), beside)


if __name__ == "__main__":
    run(main)
