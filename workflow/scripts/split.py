"""Draw the train, validation and test cells of every fold."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from cryotome import recipes
from cryotome.cards import MATCHED
from cryotome.cells import load_cells
from cryotome.job import run
from cryotome.ladder import common_size
from cryotome.overlap import load_windows
from cryotome.paths import key, sha256, written_whole
from cryotome.splits import draw_split, without_dropped


def main(
    cells: Path,
    audit: Path,
    windows: list[Path],
    splits: list[Path],
    about: list[Path],
    recipe: int,
    card: dict,
    drops: str,
    scheme: str,
) -> None:
    assert recipe == recipes.SPLITS
    every = load_cells(cells)
    table = without_dropped(every, pd.read_csv(audit))
    placed = load_windows(windows[0]) if windows else None
    common = common_size(table, card["ladder"], placed) if "ladder" in card else None
    how: dict = {"scheme": scheme.removesuffix(MATCHED), "size": common.cells if common else None}
    matched = {"training_size": asdict(common)} if common else {}
    for path, beside_it in zip(splits, about, strict=True):
        fraction, fold = key(path, "fraction"), int(key(path, "fold"))
        split = draw_split(table, card, fraction=fraction, fold=fold, windows=placed, **how)
        counts = split.roles["role"].value_counts().to_dict()
        print(
            f"{scheme}, fraction {fraction}, fold {fold}: {counts}, {split.drawn}", file=sys.stderr
        )
        with written_whole(beside_it) as beside:
            drawn = {
                "drawn": split.drawn,
                "counts": counts,
                "cells_sha256": sha256(cells),
                "dropped_findings": drops.split(),
                "dropped_cells": len(every) - len(table),
            } | matched
            beside.write_text(json.dumps(drawn, indent=1, sort_keys=True) + "\n")
        with written_whole(path) as beside:
            split.roles.to_csv(beside, index=False)


if __name__ == "__main__":
    run(main)
