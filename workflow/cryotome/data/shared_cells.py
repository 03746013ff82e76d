"""Cells that two datasets share: equal patches, or equal places on what must be the same image."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cryotome.core.store import provenance
from cryotome.data.audit import hash_patches
from cryotome.data.cells import load_cells
from cryotome.data.names import slide_name
from cryotome.data.patches import PATCHES

REACH = 25.0  # px along either axis, within which two annotations are of one cell
SAME_IMAGE = 0.5  # share of either dataset's cells on an image that must lie at equal places
Pair = tuple[str, str]  # two datasets


def shared_cells(
    stores: tuple[Path, Path], cells: tuple[pd.DataFrame, pd.DataFrame]
) -> dict[str, set[int]]:
    """Return the cells of the second dataset that the first has too, by how they were found.

    Parameters
    ----------
    stores
        Patches of both; of two sides, the smaller centre is compared.
    cells
        Tables with columns id, image, x, y.

    Returns
    -------
    `equal patch`: ids whose pixels are those of a patch of the first. `equal place`: ids within
    25 px of a cell of the first on an image of the same name, where half of the cells of either
    lie so; images of two datasets may be called 001 and have nothing else in common.
    """
    side = min(provenance(store, PATCHES)["seen"] for store in stores)
    known = hash_patches(stores[0], side)
    equal = [ids for key, ids in hash_patches(stores[1], side).items() if key in known]
    pixels = {id_ for ids in equal for id_ in ids}
    return {"equal patch": pixels, "equal place": _at_equal_places(*cells) - pixels}


def _at_equal_places(one: pd.DataFrame, other: pd.DataFrame) -> set[int]:
    placed = (table[(table[["x", "y"]] != 0).any(axis=1)] for table in (one, other))
    by_image = [dict(list(table.groupby(table["image"].map(slide_name)))) for table in placed]
    found: set[int] = set()
    for name in by_image[0].keys() & by_image[1].keys():
        first, second = (part[name] for part in by_image)
        near, _ = cKDTree(first[["x", "y"]]).query(second[["x", "y"]], p=np.inf)
        close = near <= REACH
        if close.sum() >= SAME_IMAGE * min(len(first), len(second)):
            found |= set(second["id"][close].astype(int))
    return found


def find_shared_cells(
    stores: list[Path], cells: list[Path], pairs: Iterable[Pair]
) -> dict[Pair, set[int]]:
    """Return, of each pair of datasets, the cells of the second that the first has; log them.

    Parameters
    ----------
    stores, cells
        Patches and tables of cells, each named as its dataset.
    """
    store_of = {path.stem: path for path in stores}
    table_of = {path.stem: load_cells(path) for path in cells}
    found = {}
    for one, other in pairs:
        parts = shared_cells((store_of[one], store_of[other]), (table_of[one], table_of[other]))
        for how, ids in parts.items():
            said = f"{other}: {len(ids)} of {len(table_of[other])} cells left out, {how} in {one}"
            print(said, file=sys.stderr)
        found[one, other] = set[int]().union(*parts.values())
    return found
