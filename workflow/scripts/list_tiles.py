"""List every slide of a cohort: how many tiles it has, or why none."""

from pathlib import Path

import pandas as pd

from cryotome.core.tables import save_csv
from cryotome.data.slides.tile_store import slide_row
from cryotome.runtime.job import run_script


def main(tiles: list[Path], table: Path) -> None:
    save_csv(pd.DataFrame(map(slide_row, tiles)), table)


if __name__ == "__main__":
    run_script(main)
