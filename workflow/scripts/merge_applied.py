"""Average the scores of all folds' models on a dataset, and write them for QuPath."""

from pathlib import Path

from cryotome.core.tables import write_csv
from cryotome.report.atlas.applied import merge_folds, write_applied
from cryotome.runtime.job import run_script


def main(
    scores: list[Path], cells: Path, table: Path, geojson: Path, row: str, target: str
) -> None:
    merged, about = merge_folds(scores, cells)
    write_csv(merged, table, float_format="%.17g")
    write_applied(merged, geojson, about | {"dataset": target, "row": row})


if __name__ == "__main__":
    run_script(main)
