"""Cells on which robustness is measured: those with neighbours of both kinds, not too many a slide.

Of a cell, an SO neighbour has the same label and another value of the confounder; an OS neighbour
has another label and the same value. Cells of one `group_id` are never neighbours: those of a
slide; where slides are the confounder, only the cell itself.
"""

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.data.domains import assign_scanners

SEED = 0  # of the draws of cells, of dealt embeddings and of probes
SLIDE, SCANNER = "slide", "scanner"
MANIFEST = ["sample_id", "image_path", "label", "group_id", "confounder", "slide"]


def sample_cells(
    cells: pd.DataFrame, card: Card, confounder: str, *, neighbours: int, most: int
) -> tuple[pd.DataFrame, int]:
    """Return croma's manifest for one confounder, and how many cells it could have.

    Parameters
    ----------
    cells
        A table of cells.
    card
        Of the dataset, for its scanners.
    confounder
        `slide`, `scanner` or `domain`.
    neighbours
        How many of either kind each cell must have.
    most
        Cells at most, a slide each at least; from larger slides as many as from each other one,
        drawn with `SEED`.

    Returns
    -------
    data frame with columns sample_id, image_path, label, group_id, confounder, slide in the order
    of the cells and with their index, empty where the confounder has fewer than two values; and
    the number of cells without `most`

    Raises
    ------
    DataError
        A cell matches several scanners.
    """
    values = assign_scanners(cells, card) if confounder == SCANNER else cells[confounder]
    group = cells["id" if confounder == SLIDE else "slide"].astype(str)
    table = cells.assign(confounder=values.astype(str), group_id=group)
    whole = _with_neighbours(table[table["confounder"] != ""], neighbours)
    part = _with_neighbours(cap_slides(whole, most), neighbours)
    return part.rename(columns={"id": "sample_id", "image": "image_path"})[MANIFEST], len(whole)


def _with_neighbours(cells: pd.DataFrame, least: int) -> pd.DataFrame:
    """Return the cells that have so many neighbours of each kind among those returned."""
    while not (enough := _fewest_neighbours(cells) >= least).all():
        cells = cells[enough]
    return cells


def _fewest_neighbours(cells: pd.DataFrame) -> pd.Series:
    def size(*columns: str) -> pd.Series:
        found: pd.Series = cells.groupby(list(columns))["id"].transform("size")
        return found

    so = size("label") - size("label", "confounder")
    os = size("confounder") - size("confounder", "label")
    os -= size("group_id") - size("group_id", "label")
    return pd.concat([so, os], axis=1).min(axis=1)


def cap_slides(cells: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most so many cells, all where they are no more: equally many of each large slide.

    >>> table = pd.DataFrame({"slide": list("aaaaabb"), "id": range(7)})
    >>> cap_slides(table, 6)["slide"].value_counts().to_dict()
    {'a': 4, 'b': 2}
    """
    if len(cells) <= most:
        return cells
    sizes = cells.groupby("slide").size().to_numpy()
    caps = np.arange(1, sizes.max() + 1)
    fits = [cap for cap in caps if np.minimum(sizes, cap).sum() <= most]
    order = cells.sample(frac=1, random_state=SEED).groupby("slide").cumcount()
    return cells[order.reindex(cells.index) < max(fits, default=1)]
