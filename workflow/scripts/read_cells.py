"""Read a dataset's annotations into one table of cells."""

import sys
from pathlib import Path

from cryotome import recipes
from cryotome.annotations import read_cells
from cryotome.job import run
from cryotome.patches import without_border_cells
from cryotome.paths import written_whole
from cryotome.site import folder_of


def main(
    annotations: list[Path], cells: Path, recipe: int, card: dict, dataset: str, data_root: Path
) -> None:
    assert recipe == recipes.CELLS
    images = folder_of(card, data_root) / card["images"]
    table = read_cells(annotations[0] if annotations else None, images, card, dataset)
    found = len(table)
    if card["patch"]["border"] == "drop":
        table = without_border_cells(table, images, card)
    print(f"{dataset}: {found} cells, {found - len(table)} dropped at borders", file=sys.stderr)
    with written_whole(cells) as beside:
        table.to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
