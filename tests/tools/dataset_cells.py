"""Datasets of the configuration, read for tests."""

from pathlib import Path

import pandas as pd
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.data.cells import read_cells


def read_dataset(name: str, root: Path, **changes: object) -> pd.DataFrame:
    """Read the cells of a dataset below `root`, with changes to its card."""
    card = load_card(CONFIG, "datasets", name) | changes
    return read_cells(root / card["annotations"], root / card["images"], card, name)


def class_counts(cells: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Return domain to the numbers of positive and negative cells."""
    return {
        d: (int(p["label"].sum()), int((1 - p["label"]).sum())) for d, p in cells.groupby("domain")
    }
