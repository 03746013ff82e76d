"""Draw the train, validation and test cells of one fold."""

import sys
from pathlib import Path

from cryotome.core import step_versions
from cryotome.core.files import save_json, sha256
from cryotome.core.tables import read_csv, save_csv
from cryotome.data.cells import load_cells
from cryotome.data.domains import cells_of_scheme
from cryotome.data.overlap import load_windows
from cryotome.data.splits.cells import draw_split, drop_audited
from cryotome.data.splits.matched_size import matched_size
from cryotome.data.splits.predefined import describe_listed, mark_listed
from cryotome.runtime.job import run_script


def main(
    cells: Path, audit: Path, windows: list[Path], listed: list[Path], split: Path, about: Path,
    recipe: int, card: dict, drops: str, scheme: str, fraction: str, fold: int,
) -> None:  # fmt: skip
    assert recipe == step_versions.SPLITS
    every = mark_listed(load_cells(cells), listed, card)
    kept = drop_audited(every, read_csv(audit))
    table = cells_of_scheme(kept, scheme, card.pop("scanners", {}))
    placed = load_windows(windows[0]) if windows else None
    common = matched_size(table, card["ladder"], placed) if "ladder" in card else None
    how: dict = {"scheme": scheme, "size": common.cells if common else None}
    drawn = draw_split(table, card, fraction=fraction, fold=fold, windows=placed, **how)
    counts = drawn.roles["role"].value_counts().to_dict()
    print(f"{scheme}, fraction {fraction}, fold {fold}: {counts} cells", file=sys.stderr)
    notes: dict = {"drawn": drawn.drawn, "counts": counts, "cells_sha256": sha256(cells)}
    notes |= {"dropped_findings": drops.split(), "dropped_cells": len(every) - len(kept)}
    notes |= describe_listed(every) | ({"training_size": vars(common)} if common else {})
    save_json(notes, about, sort_keys=True)
    save_csv(drawn.roles, split)


if __name__ == "__main__":
    run_script(main)
