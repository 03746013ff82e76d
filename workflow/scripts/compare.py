"""Compute the intervals of every row, and compare it with the reference row."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.metric_intervals import metric_intervals
from cryotome.evaluation.statistics.comparisons import comparisons, intervals, variances
from cryotome.evaluation.statistics.learning_curves import crossings, learning_curves
from cryotome.evaluation.statistics.row_ranks import rank_rows_with_intervals
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.runtime.job import run_script
from cryotome.study.facts import RowFacts


def main(
    cells: list[Path], predictions: list[Path], calibration: Path, table: Path, against: Path,
    spread: Path, curves: Path, crossed: Path, ranked: Path, metrics: Path,
    facts: RowFacts,
) -> None:  # fmt: skip
    settings = load_rows(cells, predictions, calibration, facts)
    results = {
        table: intervals(settings, facts.statistics.alpha),
        against: comparisons(settings, facts.reference, facts.statistics),
        spread: variances(settings, facts.replicates),
        metrics: metric_intervals(settings),
        ranked: rank_rows_with_intervals(settings, facts.statistics.alpha),
        curves: learning_curves(settings),
        crossed: crossings(settings, facts.reference),
    }
    for path, result in results.items():
        save_csv(facts.with_study(result), path)


if __name__ == "__main__":
    run_script(main)
