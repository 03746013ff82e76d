"""Compute the intervals of every row, and compare it with the reference row."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.statistics.comparisons import comparisons, intervals, variances
from cryotome.evaluation.statistics.learning_curves import crossings, learning_curves
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.runtime.job import run_script
from cryotome.study.statistical_unit import noted


def main(
    cells: list[Path], predictions: list[Path], calibration: Path, table: Path, against: Path,
    spread: Path, curves: Path, crossed: Path, rows: dict, study: str,
) -> None:  # fmt: skip
    settings = load_rows(cells, predictions, calibration, rows)
    reference = " + ".join(rows["reference"])
    results = {
        table: intervals(settings, rows["statistics"]["alpha"]),
        against: comparisons(settings, reference, rows["statistics"]),
        spread: variances(settings, rows["families"]),
        curves: learning_curves(settings),
        crossed: crossings(settings, reference),
    }
    for path, result in results.items():
        result = noted(result, rows)
        result.insert(0, "study", study)
        result["synthetic"] = result["dataset"].isin(rows["synthetic"])
        save_csv(result, path)


if __name__ == "__main__":
    run_script(main)
