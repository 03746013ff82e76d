"""Lay every published number beside what the study measured, and say whether they agree."""

from pathlib import Path

import pandas as pd

from cryotome.job import run
from cryotome.paths import TEXT, written_whole
from cryotome.published import compare, read_measured, read_published
from cryotome.sheets import write_csv


def main(
    intervals: Path, encoders: Path, published: list[Path], verdicts: Path, about: dict
) -> None:
    measured = read_measured(pd.read_csv(intervals, dtype=TEXT), pd.read_csv(encoders))
    with written_whole(verdicts) as beside:
        write_csv(compare(read_published(published), measured, about), beside)


if __name__ == "__main__":
    run(main)
