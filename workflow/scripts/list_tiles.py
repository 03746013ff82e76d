"""List every slide of a cohort: how many tiles it gives, or why none."""

from pathlib import Path

import pandas as pd

from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv
from cryotome.data.slides.tile_store import slide_row
from cryotome.runtime.job import run_script


def main(tiles: list[Path], table: Path) -> None:
    with atomic_write(table) as beside:
        write_csv(pd.DataFrame(map(slide_row, tiles)), beside)


if __name__ == "__main__":
    run_script(main)
