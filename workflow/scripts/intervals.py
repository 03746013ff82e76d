"""Give every row its slide-clustered interval, and its difference to the reference row."""

from pathlib import Path

from cryotome.cells import load_cells
from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.tables import gather_folds, intervals


def main(cells: list[Path], predictions: list[Path], table: Path, rows: dict, study: str) -> None:
    slides = {path.stem: load_cells(path).set_index("id") for path in cells}
    reference = " + ".join(rows["figure2"][0])
    result = intervals(gather_folds(predictions, slides), reference)
    result.insert(0, "study", study)
    result["synthetic"] = result["dataset"].isin(rows["synthetic"])
    with written_whole(table) as beside:
        result.to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
