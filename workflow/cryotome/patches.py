"""Cut one patch per cell, once; read and write the patch store."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from cryotome import recipes
from cryotome.cards import Card
from cryotome.errors import StoreError
from cryotome.images import Opened, find_image, microns_per_pixel, open_image
from cryotome.paths import sha256, written_whole
from cryotome.stores import PATCHES, VERSION, passport

BATCH = 64  # patches held before they are written


def stored_side(side: int) -> int:
    """Return the side that the store keeps for a side that the network sees, px.

    17/14 of it, so that a shift of a tenth of the side stays inside.

    >>> stored_side(224), stored_side(64)
    (272, 78)
    """
    return 2 * -(-side * 17 // 28)


@dataclass(frozen=True)
class Window:
    """A square in level-0 px: left, top and side, none of them need be whole."""

    left: float
    top: float
    side: float

    def leaves(self, size: tuple[int, int]) -> bool:
        """Whether any of it lies outside an image of (width, height) px."""
        right, bottom = self.left + self.side, self.top + self.side
        return self.left < 0 or self.top < 0 or right > size[0] or bottom > size[1]


def seen_window(x: float, y: float, side: int, scale: float) -> Window:
    """Return the window that the network sees around a centre, in level-0 px.

    Parameters
    ----------
    scale
        Level-0 px per patch px. At 1 the corner is whole: floor(x - side / 2), as in
        the public code of the authors of paper 001.
    """
    reach = side * scale
    left, top = x - reach / 2, y - reach / 2
    if scale == 1:
        left, top = float(np.floor(left)), float(np.floor(top))
    return Window(left, top, reach)


def _moved_inside(window: Window, size: tuple[int, int]) -> Window:
    left = min(max(window.left, 0), max(size[0] - window.side, 0))
    top = min(max(window.top, 0), max(size[1] - window.side, 0))
    return Window(left, top, window.side)


def _padded(
    image: Opened, box: tuple[int, int, int, int], border: str, shrink: float
) -> np.ndarray:
    """Read a box (x0, y0, x1, y1) that may leave the image, its outside filled."""
    width, height = image.size
    x0, y0, x1, y1 = box
    inside = (min(max(x0, 0), width - 1), min(max(y0, 0), height - 1))
    until = (max(min(x1, width), inside[0] + 1), max(min(y1, height), inside[1] + 1))
    pixels = image.read(*inside, until[0] - inside[0], until[1] - inside[1], shrink)
    if (*inside, *until) == box:
        return pixels
    columns = _positions(x0, x1, inside[0], until[0], pixels.shape[1])
    rows = _positions(y0, y1, inside[1], until[1], pixels.shape[0])
    filled = pixels[_mirrored(rows, pixels.shape[0])][:, _mirrored(columns, pixels.shape[1])]
    if border == "black":
        filled[(rows < 0) | (rows >= pixels.shape[0])] = 0
        filled[:, (columns < 0) | (columns >= pixels.shape[1])] = 0
    return filled


def _positions(start: int, stop: int, first: int, last: int, count: int) -> np.ndarray:
    """Place the px of [start, stop) among `count` px that were read from [first, last)."""
    level = (last - first) / count  # level-0 px per px read
    return np.floor(
        np.arange(max(round((stop - start) / level), 1)) + 0.5 + (start - first) / level
    )


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Reflect indices at both ends, the edge itself not repeated."""
    if length == 1:
        return np.zeros(len(index), dtype=int)
    period = 2 * (length - 1)
    folded = np.mod(index.astype(int), period)
    return np.where(folded < length, folded, period - folded)


def cut_patch(
    image: Opened, x: float, y: float, *, side: int, scale: float, border: str
) -> np.ndarray:
    """Cut one patch, with a margin around what the network sees.

    Parameters
    ----------
    x, y
        Centre of the cell, level-0 px.
    side
        Side that the network sees, px.
    scale
        Level-0 px per patch px, 1 for the native resolution.
    border
        `black` fills whatever lies beyond the image, `reflect` mirrors it, `clamp` first moves
        the seen window inside and mirrors what its margin still lacks, as `drop` does.

    Returns
    -------
    (stored, stored, 3) uint8, stored = `stored_side(side)`
    """
    seen = seen_window(x, y, side, scale)
    if border == "clamp":
        seen = _moved_inside(seen, image.size)
    stored = stored_side(side)
    margin = (stored - side) / 2 * scale
    left, top, reach = seen.left - margin, seen.top - margin, stored * scale
    if scale == 1:
        corner = (round(left), round(top))
        return _padded(image, (*corner, corner[0] + stored, corner[1] + stored), border, 1)
    box = (
        int(np.floor(left)),
        int(np.floor(top)),
        int(np.ceil(left + reach)),
        int(np.ceil(top + reach)),
    )
    pixels = _padded(image, box, border, max(scale, 1))
    across, down = pixels.shape[1] / (box[2] - box[0]), pixels.shape[0] / (box[3] - box[1])
    part = (
        (left - box[0]) * across,
        (top - box[1]) * down,
        min((left - box[0] + reach) * across, pixels.shape[1]),
        min((top - box[1] + reach) * down, pixels.shape[0]),
    )
    resized = Image.fromarray(pixels).resize((stored, stored), Image.Resampling.BICUBIC, box=part)
    return np.asarray(resized)


def scale_of(image: Opened, path: Path, card: Card) -> float:
    """Return level-0 px per patch px for an image and a dataset's card."""
    resolution = card["patch"]["resolution"]
    if resolution == "native":
        return 1.0
    return float(resolution / microns_per_pixel(image, path, card.get("mpp")))


def _centres(cells: pd.DataFrame, image: Opened, card: Card) -> list[tuple[float, float]]:
    if card["reader"] == "class_folders":  # the image is a crop around its one cell
        return [(image.size[0] / 2, image.size[1] / 2)] * len(cells)
    return list(zip(cells["x"], cells["y"], strict=True))


def cut_image(cells: pd.DataFrame, folder: Path, card: Card) -> Iterator[np.ndarray]:
    """Open the image of these cells once and yield their patches in order."""
    path = find_image(folder, cells["image"].iloc[0])
    image = open_image(path)
    scale = scale_of(image, path, card)
    for x, y in _centres(cells, image, card):
        yield cut_patch(
            image, x, y, side=card["patch"]["side"], scale=scale, border=card["patch"]["border"]
        )


def without_border_cells(cells: pd.DataFrame, folder: Path, card: Card) -> pd.DataFrame:
    """Leave out the cells whose seen window crosses the border of their image."""
    kept = []
    for name, part in cells.groupby("image", sort=False):
        path = find_image(folder, str(name))
        image = open_image(path)
        scale = scale_of(image, path, card)
        windows = [
            seen_window(x, y, card["patch"]["side"], scale) for x, y in _centres(part, image, card)
        ]
        kept.append(part[[not window.leaves(image.size) for window in windows]])
    return pd.concat(kept)


def write_patches(
    store: Path, cells_csv: Path, folder: Path, card: Card, *, dataset: str, threads: int
) -> None:
    """Cut every cell of a dataset into one HDF5 file, in parallel over images.

    The file holds `patch` (n, stored, stored, 3) uint8, contiguous, and `id` (n,), and
    carries its passport as attributes. It appears under its name only when complete.

    Raises
    ------
    DataError
        An image is missing or broken, or its resolution is unknown and needed.
    """
    cells = pd.read_csv(cells_csv)
    side = stored_side(card["patch"]["side"])
    groups = [part for _, part in cells.groupby("image", sort=False)]
    bar = tqdm(total=len(cells), desc=f"cut {dataset}", unit="patch", mininterval=5)
    lock = Lock()
    with written_whole(store) as beside, h5py.File(beside, "w") as file:
        patches = file.create_dataset("patch", (len(cells), side, side, 3), dtype="u1")
        file["id"] = cells["id"].to_numpy()

        def cut(part: pd.DataFrame) -> None:
            first, waiting = part.index[0], []
            for patch in cut_image(part, folder, card):
                waiting.append(patch)
                if len(waiting) == BATCH or first + len(waiting) > part.index[-1]:
                    with lock:
                        patches[first : first + len(waiting)] = np.stack(waiting)
                        bar.update(len(waiting))
                    first, waiting = first + len(waiting), []

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(cut, groups):
                pass
        bar.close()
        file.attrs.update(
            {
                "format": PATCHES,
                "version": VERSION,
                "recipe": recipes.PATCHES,
                "dataset": dataset,
                "seen": card["patch"]["side"],
                "patch": json.dumps(card["patch"], sort_keys=True),
                "cells_sha256": sha256(cells_csv),
                "patches_sha256": _content_hash(patches),
                "versions": json.dumps(
                    {name: version(name) for name in ("openslide-bin", "pillow")}
                ),
            }
        )


def _content_hash(patches: h5py.Dataset) -> str:
    digest = hashlib.sha256()
    for first in range(0, len(patches), 1024):
        digest.update(patches[first : first + 1024].tobytes())
    return digest.hexdigest()


def read_patches(path: Path, *, cells: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read a patch store whole, margins included.

    Returns
    -------
    patches : (n, stored, stored, 3) uint8
    ids : (n,) int
    passport
        `seen` is the side that the network sees, px.

    Raises
    ------
    StoreError
        The store was cut from another table of cells.
    """
    stamps = passport(path, PATCHES)
    if stamps["cells_sha256"] != sha256(cells):
        raise StoreError(f"{path} was cut from another {cells}. Delete it and rerun.")
    with h5py.File(path) as file:
        return file["patch"][:], file["id"][:], stamps
