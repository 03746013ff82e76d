"""Read a dataset's annotations into one table of cells."""

import sys
from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.tables import save_csv
from cryotome.data.cells import read_cells
from cryotome.runtime.job import run_script
from cryotome.study.site import folder_of


def main(
    annotations: list[Path], cells: Path, recipe: int, card: dict, dataset: str, data_root: Path
) -> None:
    assert recipe == step_versions.CELLS
    images = folder_of(card, data_root) / card["images"]
    table = read_cells(annotations[0] if annotations else None, images, card, dataset)
    print(f"{dataset}: {len(table)} cells on {table['image'].nunique()} images", file=sys.stderr)
    save_csv(table, cells)


if __name__ == "__main__":
    run_script(main)
