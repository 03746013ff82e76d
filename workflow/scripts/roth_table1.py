"""Make Table 1 (AUROC of slides) or 2 (accuracy and F1 of patches), with published numbers."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.measured import read_summaries
from cryotome.evaluation.published import compare_with_published, read_published
from cryotome.report.tables.roth2024 import table_of_rows
from cryotome.runtime.job import run_script
from cryotome.study.facts import RothFacts


def main(scores: list[Path], published: list[Path], table: Path, facts: RothFacts) -> None:
    kind = {"table1": "slides", "table2": "patches"}[table.stem]
    measured = read_summaries(scores)
    verdicts = compare_with_published(read_published(published), measured, facts)
    save_csv(table_of_rows(measured, verdicts, kind, facts), table)


if __name__ == "__main__":
    run_script(main)
