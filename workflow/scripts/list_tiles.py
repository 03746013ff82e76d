"""List every slide of a cohort: how many tiles it gives, or why none."""

from pathlib import Path

import pandas as pd

from cryotome.core.files import written_whole
from cryotome.core.tables import write_csv
from cryotome.data.slides.tile_store import listed
from cryotome.runtime.job import run


def main(tiles: list[Path], table: Path) -> None:
    with written_whole(table) as beside:
        write_csv(pd.DataFrame(map(listed, tiles)), beside)


if __name__ == "__main__":
    run(main)
