"""Windows of all cells as they were cut, in level-0 px of their image or slide."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.store import PATCHES, provenance
from cryotome.data.image_files import find_image
from cryotome.data.images import open_image
from cryotome.data.patches import cell_centres, patch_scale
from cryotome.data.windows import margin_of, moved_window

COLUMNS = ["id", "left", "top", "side", "margin", "place"]


def place_windows(cells: pd.DataFrame, store: Path, folder: Path, card: Card) -> pd.DataFrame:
    """Return the window that the network sees of each cell, level-0 px.

    Windows on crops of one slide have the slide's coordinates, so that overlaps between crops
    are found; a crop of unknown position (x = y = 0) has its own coordinates.

    Parameters
    ----------
    cells
        The table of cells.
    store
        The patch store cut from it, whose provenance lists the images that could not be read.
    folder
        Folder of the images.

    Returns
    -------
    data frame with columns id, left, top, side, margin, place
        left, top, side: the window; margin: how far the stored patch reaches beyond it on each
        side; place: the image or slide whose coordinates these are. Cells on broken images,
        which enter no split, have a place and no numbers.
    """
    broken = json.loads(provenance(store, PATCHES)["broken"])
    parts = [
        _windows_of(part, None if name in broken else find_image(folder, str(name)), card)
        for name, part in cells.groupby("image", sort=False)
    ]
    return pd.concat(parts).sort_values("id", ignore_index=True)


def _windows_of(cells: pd.DataFrame, path: Path | None, card: Card) -> pd.DataFrame:
    """Return the windows of one image's cells; `path` is None if it cannot be read."""
    crops = card["reader"] == "class_folders"
    known = crops & (cells[["x", "y"]] != 0).any(axis=1)
    table = cells[["id"]].assign(place=cells["slide"].where(known, cells["image"]))
    if path is None:
        return table.reindex(columns=COLUMNS)
    image, side = open_image(path), card["patch"]["side"]
    scale = patch_scale(image, path, card)
    where = cell_centres(cells, image, card)
    how = {"side": side, "scale": scale, "border": card["patch"]["border"], "size": image.size}
    seen = [moved_window(x, y, **how) for x, y in where]
    corners = np.array([(window.left, window.top) for window in seen])
    shift = cells[["x", "y"]].to_numpy(dtype=float) - np.array(where)  # from a crop to its slide
    table[["left", "top"]] = corners + np.where(known, 1, 0)[:, None] * shift
    return table.assign(side=side * scale, margin=margin_of(side, scale))[COLUMNS]
