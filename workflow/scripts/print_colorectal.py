"""Print Tables 1 to 3 of paper 002 for people."""

from pathlib import Path

import pandas as pd

from cryotome.colorectal_tables import in_words
from cryotome.job import run
from cryotome.paths import written_whole


def main(slides: Path, patches: Path, sizes: Path, markdown: Path, about: dict) -> None:
    one, two, three = (pd.read_csv(path) for path in (slides, patches, sizes))
    with written_whole(markdown) as beside:
        beside.write_text(in_words(one, two, three, about), encoding="utf-8")


if __name__ == "__main__":
    run(main)
