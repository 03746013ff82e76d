"""Put a study's rows beside the published numbers of the same test cells."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.benchmark import benchmark, measure_rows
from cryotome.evaluation.published import read_published
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], predictions: list[Path], intervals: Path, published: list[Path],
    table: Path, facts: RowFacts,
) -> None:  # fmt: skip
    measured = measure_rows(cells, predictions, intervals, facts)
    save_csv(facts.with_study(benchmark(measured, read_published(published))), table)


if __name__ == "__main__":
    run_script(main)
