"""Find the window that the network sees of each cell, in px of its image."""

import sys
from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.tables import save_csv
from cryotome.data.cells import load_cells
from cryotome.data.place_windows import place_windows
from cryotome.runtime.job import run_script
from cryotome.study.site import folder_of


def main(
    cells: Path, patches: Path, windows: Path, recipe: int, card: dict, data_root: Path
) -> None:
    assert recipe == step_versions.WINDOWS
    table = place_windows(
        load_cells(cells), patches, folder_of(card, data_root) / card["images"], card
    )
    print(f"{len(table):,} windows, {table['left'].isna().sum():,} not known", file=sys.stderr)
    save_csv(table, windows)


if __name__ == "__main__":
    run_script(main)
