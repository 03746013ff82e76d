"""Tessellation of one slide: its tiles, or the reason why it has none."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import DataError, UnfitError
from cryotome.data.images import OpenImage, crash_error, microns_per_pixel, open_image
from cryotome.data.pixel_size import ENLARGED_FROM, mpp_conflict
from cryotome.data.slides.histobistro import passes_filter
from cryotome.data.slides.thumbnail import read_thumbnail, thumbnail_resolution
from cryotome.data.slides.tile_grid import (
    encode_jpeg,
    read_tile,
    stored_tile_side,
    tile_grid,
    tissue_fractions,
)
from cryotome.data.slides.tissue_mask import tissue_mask
from cryotome.runtime.child_process import worker_processes

TILES_AHEAD = 64  # tiles read ahead


@dataclass(frozen=True)
class Tessellation:
    """The tiles of one slide, with the mask they were chosen by.

    Attributes
    ----------
    status
        `ok`, `coarse` if its tiles are enlarged, or why there are none: `missing`, `broken`,
        `unfit`, `no mpp`, `no tissue`.
    reason
        The same as a sentence; for `ok`, a warning or empty.
    size, mpp, side
        Width and height, level-0 px; µm per level-0 px; side of a tile, level-0 px.
    thumbnail, mask
        (h, w, 3) uint8 and (h, w) bool; empty where no pixel was read.
    coords, tissue
        Upper left corners (n, 2), level-0 px, and tissue fractions (n,).
    jpegs
        The tiles as JPEG, for a tiling that stores them.
    """

    status: str
    reason: str = ""
    size: tuple[int, int] = (0, 0)
    mpp: float = math.nan
    side: float = math.nan
    thumbnail: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    mask: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), bool))
    coords: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    tissue: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    jpegs: list[np.ndarray] = field(default_factory=list)


def tessellate(path: Path | None, tiling: Card, mpp: float | None) -> Tessellation:
    """Find the tiles of one slide; an unusable slide gives a status instead of an error.

    Parameters
    ----------
    path
        None if the cohort lists a slide that is not on disk.
    tiling
        An entry of `tiles` in the dataset's card, as `cards.tiling_of` gives it.
    mpp
        µm per level-0 px for slides without resolution tags.

    Raises
    ------
    OSError
        The disk fails.
    """
    if path is None or not path.exists():
        return Tessellation("missing", f"{path or 'its file'} is not at hand")
    try:
        image = open_image(path)
        if not (image.mpp or mpp):
            why = f"{path} does not say how many µm a pixel measures; write `mpp:` in the card"
            return Tessellation("no mpp", why, size=image.size)
        overrides = tiling.get("mpp_overrides_file")
        known = microns_per_pixel(image, path, mpp, overrides=bool(overrides))
        found = _tessellate_image(image, tiling, known)
        odd = mpp_conflict(image.mpp, path, mpp) if overrides is None else ""
        return replace(found, reason=". ".join(filter(None, (found.reason, odd))))
    except UnfitError as error:
        return Tessellation("unfit", str(error))
    except DataError as error:
        return Tessellation("broken", str(error))


def _tessellate_image(image: OpenImage, tiling: Card, mpp: float) -> Tessellation:
    tile = tiling["side"] * tiling["mpp"]  # µm
    side, microns = tile / mpp, thumbnail_resolution(tile)
    thumbnail = read_thumbnail(image, microns / mpp)
    mask = tissue_mask(thumbnail, microns)
    coords = tile_grid(image.size, side)
    shares = tissue_fractions(mask, coords, side=side, size=image.size)
    kept = shares >= tiling["min_tissue_fraction"]
    jpegs: list[np.ndarray] = []
    if "filter" in tiling or "jpeg_side" in tiling:
        passed, jpegs = _filter_and_encode(image, coords[kept], tiling, side)
        kept[np.flatnonzero(kept)[~passed]] = False
    found = {"size": image.size, "mpp": mpp, "side": side, "thumbnail": thumbnail, "mask": mask}
    if not kept.any():
        return Tessellation("no tissue", _no_tissue_reason(len(kept), tile, tiling), **found)
    found |= {"coords": coords[kept], "tissue": shares[kept], "jpegs": jpegs}
    times = stored_tile_side(tiling) / side
    if times > ENLARGED_FROM:
        why = f"its {mpp:.4g} µm/px are too coarse, and its tiles are enlarged {times:.3g} times"
        return Tessellation("coarse", why, **found)
    return Tessellation("ok", **found)


def _no_tissue_reason(count: int, tile: float, tiling: Card) -> str:
    if not count:
        return f"no tile of {tile:g} µm fits into it"
    needed = tiling["min_tissue_fraction"]
    least = f"tissue fills none of its {count:,} tiles of {tile:g} µm to {needed:g}"
    return least + ", or its filter keeps none of those" * ("filter" in tiling)


def _filter_and_encode(
    image: OpenImage, coords: np.ndarray, tiling: Card, side: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Read every tile; return which pass the filter, and their JPEGs if they are stored."""
    passed, jpegs = np.ones(len(coords), bool), []
    pixels = tile_pixels(image, coords, side=side, seen=stored_tile_side(tiling))
    for row, tile in enumerate(tqdm(pixels, total=len(coords), unit="tile", mininterval=5)):
        passed[row] = "filter" not in tiling or passes_filter(tile)
        if passed[row] and "jpeg_side" in tiling:
            jpegs.append(encode_jpeg(tile, tiling["quality"]))
    return passed, jpegs


def tile_pixels(
    image: OpenImage, coords: np.ndarray, *, side: float, seen: int, threads: int = 1
) -> Iterator[np.ndarray]:
    """Yield tiles (seen, seen, 3) uint8 in order; threads share one open slide."""

    def one(corner: np.ndarray) -> np.ndarray:
        return read_tile(image, *corner, reach=side, side=seen)

    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(coords), TILES_AHEAD):
            yield from pool.map(one, coords[first : first + TILES_AHEAD])


def _yield_tessellation(*arguments: Any) -> Iterator[Tessellation]:
    yield tessellate(*arguments)


def tessellate_in_process(path: Path | None, tiling: Card, mpp: float | None) -> Tessellation:
    """Tessellate in a child process, because the slide may crash it.

    Parameters, result and errors as for `tessellate`.
    """
    try:
        with worker_processes(1) as run:
            return next(run(_yield_tessellation, path, tiling, mpp))
    except ChildProcessError as error:
        assert path
        return Tessellation("broken", str(crash_error(path, error)))
