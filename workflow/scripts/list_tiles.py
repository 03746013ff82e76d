"""List every slide of a cohort: how many tiles it gives, or why none."""

from pathlib import Path

import pandas as pd

from cryotome.job import run
from cryotome.paths import written_whole
from cryotome.sheets import write_csv
from cryotome.tiles import listed


def main(tiles: list[Path], table: Path) -> None:
    with written_whole(table) as beside:
        write_csv(pd.DataFrame(map(listed, tiles)), beside)


if __name__ == "__main__":
    run(main)
