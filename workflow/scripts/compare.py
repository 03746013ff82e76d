"""Compute the intervals of every row, and compare it with the reference row."""

from pathlib import Path

from cryotome.core.tables import save_csv
from cryotome.evaluation.statistics.comparisons import comparisons, intervals, variances
from cryotome.evaluation.statistics.learning_curves import crossings, learning_curves
from cryotome.evaluation.statistics.rows import load_blocks
from cryotome.runtime.job import run_script
from cryotome.study.statistical_unit import noted


def main(
    cells: list[Path], predictions: list[Path], calibration: Path, table: Path, against: Path,
    spread: Path, curves: Path, crossed: Path, rows: dict, study: str,
) -> None:  # fmt: skip
    blocks = load_blocks(cells, predictions, calibration, rows)
    reference = " + ".join(rows["figure2"][0])
    results = {
        table: intervals(blocks, rows["statistics"]["alpha"]),
        against: comparisons(blocks, reference, rows["statistics"]),
        spread: variances(blocks, rows["families"]),
        curves: learning_curves(blocks),
        crossed: crossings(blocks, reference),
    }
    for path, result in results.items():
        result = noted(result, rows)
        result.insert(0, "study", study)
        result["synthetic"] = result["dataset"].isin(rows["synthetic"])
        save_csv(result, path)


if __name__ == "__main__":
    run_script(main)
