"""Six cells and three rows by hand, for the tests of the atlas."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cryotome.report.atlas.errors import Atlas

CARD = {
    "title": "Six cells",
    "classes": [{"name": "look-alike"}, {"name": "mitotic figure"}],
    "domains": {"left": {"title": "left side"}, "right": {"title": "right side"}},
}
LABEL = [0, 0, 0, 1, 1, 1]
SCORES = {
    "a + h": [0.9, 0.2, 0.6, 0.1, 0.8, 0.7],
    "b + h": [0.1, 0.2, 0.3, 0.9, 0.8, 0.4],
    "c + h": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
}


def by_hand(scores: dict | None = None, **card: object) -> Atlas:
    """An atlas of six cells; `card` adds to the card."""
    ids = pd.Index(range(6), name="id")
    cells = pd.DataFrame(
        {
            "image": ["1.tiff"] * 4 + ["2.tiff"] * 2,
            "slide": ["1.tiff"] * 4 + ["2.tiff"] * 2,
            "x": [100.0, 110.5, 300.0, 120.0, 50.0, 60.0],
            "y": [100.0, 100.0, 300.5, 100.0, -2.0, 60.0],
            "domain": ["left"] * 4 + ["right"] * 2,
            "scanner": "",
            "label": LABEL,
            "holds_figure": [True, True, False, False, False, False],
            "folds": [1, 2, 1, 1, 1, 1],
        },
        index=ids,
    )
    table = pd.DataFrame(scores or SCORES, index=ids)
    labels = {row: f"Model {row}" for row in table}
    how = {"scheme": "slide_grouped", "fraction": "1.0", "trainings": 2}
    return Atlas("six", cells, table, CARD | card, labels, cells, **how)


def voted(**card: object) -> Atlas:
    """The same atlas with three raters, the third of whom contradicts the label of cells 0 and 3."""
    atlas = by_hand(**card)
    label = atlas.cells["label"]
    third = label.where(~label.index.isin([0, 3]), 1 - label)
    votes = {"vote first": label, "vote second": label, "vote third": third}
    return replace(atlas, cells=atlas.cells.assign(**votes))


def windows(atlas: Atlas, side: float = 32) -> pd.DataFrame:
    """Windows around the cells, each in its image's coordinates."""
    cells = atlas.cells.reset_index()
    corner = np.floor(cells[["x", "y"]] - side / 2).set_axis(["left", "top"], axis=1)
    return corner.assign(id=cells["id"], side=side, margin=4, place=cells["image"])
