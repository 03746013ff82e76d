"""Make Table 2 from the finished jobs, with the reasons why others are missing."""

from pathlib import Path

from cryotome.report.after_failure import write_partial_table2
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path],
    predictions: list[Path],
    published: Path,
    table: Path,
    logs: Path,
    facts: RowFacts,
) -> None:
    write_partial_table2(cells, predictions, published, table, logs=logs, facts=facts)


if __name__ == "__main__":
    run_script(main)
