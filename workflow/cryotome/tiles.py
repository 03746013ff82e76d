"""The tiles of a slide: found once, kept in a store with its passport, read checked.

A slide that cannot be used gives a store of no tiles that says why, so that it stops no cohort.
"""

import hashlib
import json
import math
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from tqdm import tqdm

from cryotome import recipes
from cryotome.apart import children
from cryotome.cards import Card
from cryotome.errors import DataError, StoreError
from cryotome.histobistro import keeps
from cryotome.images import Opened, open_image
from cryotome.paths import written_whole
from cryotome.resume import attempt
from cryotome.slides import (
    jpeg_of,
    read_thumbnail,
    read_tile,
    seen_side,
    thumbnail_resolution,
    tile_grid,
    tissue_mask,
    tissue_shares,
)
from cryotome.stores import (
    LAYOUT,
    SUMS,
    UNREADABLE,
    VERSION,
    check_rows,
    passport,
    seal,
)

TILES = "cryotome tiles"
ENDS = 2**20  # bytes at either end of a slide file that name its version
WAITING = 64  # tiles that are read ahead


@dataclass(frozen=True)
class Tessellation:
    """What a slide gives.

    Attributes
    ----------
    status
        `ok`, or why there are no tiles: `missing`, `broken`, `no mpp`, `no tissue`.
    reason
        The same as a sentence, empty for `ok`.
    size, mpp, side
        Width and height, level-0 px; µm per level-0 px; side of a tile, level-0 px.
    thumbnail, mask
        (h, w, 3) uint8 and (h, w) bool; empty where no pixel was read.
    coords, tissue
        Upper left corners (n, 2), level-0 px, and shares of tissue (n,).
    jpegs
        The tiles, for a tiling that stores them.
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
    """Find the tiles of one slide, whatever state it is in.

    Parameters
    ----------
    path
        None where the cohort names a slide that is not at hand.
    tiling
        An entry of `tiles` in the dataset's card.
    mpp
        µm per level-0 px for slides that do not say.

    Raises
    ------
    OSError
        The disk fails, which is not the slide's fault.
    """
    if path is None or not path.exists():
        return Tessellation("missing", f"{path or 'its file'} is not at hand")
    try:
        image = open_image(path)
        known = image.mpp or mpp
        if not known:
            why = f"{path} does not say how many µm a pixel measures; write `mpp:` in the card"
            return Tessellation("no mpp", why, size=image.size)
        return _tessellated(image, tiling, known)
    except DataError as error:
        return Tessellation("broken", str(error))


def _tessellated(image: Opened, tiling: Card, mpp: float) -> Tessellation:
    tile = tiling["side"] * tiling["mpp"]  # µm
    side, microns = tile / mpp, thumbnail_resolution(tile)
    thumbnail = read_thumbnail(image, microns / mpp)
    mask = tissue_mask(thumbnail, microns)
    coords = tile_grid(image.size, side)
    shares = tissue_shares(mask, coords, side=side, size=image.size)
    kept = shares >= tiling["least_tissue"]
    jpegs: list[np.ndarray] = []
    if "filter" in tiling or "stored" in tiling:
        passed, jpegs = _looked_at(image, coords[kept], tiling, side)
        kept[np.flatnonzero(kept)[~passed]] = False
    found = {"size": image.size, "mpp": mpp, "side": side, "thumbnail": thumbnail, "mask": mask}
    if not kept.any():
        return Tessellation("no tissue", _why_none(len(kept), tile, tiling), **found)
    return Tessellation("ok", coords=coords[kept], tissue=shares[kept], jpegs=jpegs, **found)


def _why_none(count: int, tile: float, tiling: Card) -> str:
    if not count:
        return f"no tile of {tile:g} µm fits into it"
    least = f"tissue fills none of its {count:,} tiles of {tile:g} µm to {tiling['least_tissue']:g}"
    return least + ", or its filter keeps none of those" * ("filter" in tiling)


def _looked_at(
    image: Opened, coords: np.ndarray, tiling: Card, side: float
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Read every tile: say which pass the filter, and encode those where they are stored."""
    passed, jpegs = np.ones(len(coords), bool), []
    pixels = tile_pixels(image, coords, side=side, seen=seen_side(tiling))
    for row, tile in enumerate(tqdm(pixels, total=len(coords), unit="tile", mininterval=5)):
        passed[row] = "filter" not in tiling or keeps(tile)
        if passed[row] and "stored" in tiling:
            jpegs.append(jpeg_of(tile, tiling["quality"]))
    return passed, jpegs


def tile_pixels(
    image: Opened, coords: np.ndarray, *, side: float, seen: int, threads: int = 1
) -> Iterator[np.ndarray]:
    """Yield tiles (seen, seen, 3) uint8 in order; threads share one open slide."""

    def one(corner: np.ndarray) -> np.ndarray:
        return read_tile(image, *corner, reach=side, side=seen)

    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(coords), WAITING):
            yield from pool.map(one, coords[first : first + WAITING])


def _yielded(*arguments: Any) -> Iterator[Tessellation]:
    yield tessellate(*arguments)


def _tessellated_apart(path: Path | None, tiling: Card, mpp: float | None) -> Tessellation:
    """Tessellate in a child process, since this slide may have crashed one before."""
    try:
        with children(1) as run:
            return next(run(_yielded, path, tiling, mpp))
    except ChildProcessError as error:
        return Tessellation("broken", f"{path} crashes what reads it ({error}). Fetch it again.")


def write_tiles(
    store: Path, path: Path | None, card: Card, *, dataset: str, slide: str, partial: Path
) -> Tessellation:
    """Find the tiles of one slide and write them as a store; say aloud where there are none.

    The file holds `coords` (n, 2) int64, `tissue` (n,) float32 and, for a tiling with `stored`,
    `jpeg` (n,) of variable-length uint8, and carries its passport as attributes.

    Parameters
    ----------
    card
        As `cards.tiling_of` gives it.
    partial
        Folder that remembers whether an attempt before this one was killed, by the slide
        perhaps: it is then read in a child process.
    """
    tiling, mpp = card["tiling"], card["mpp"]
    with attempt(partial) as crashed:
        found = (_tessellated_apart if crashed else tessellate)(path, tiling, mpp)
        about = {
            "format": TILES,
            "version": VERSION,
            "recipe": recipes.TILES,
            "dataset": dataset,
            "slide": slide,
            "slide_stamp": stamp_of(path) if path and found.status != "missing" else "none",
            "card": json.dumps(card, sort_keys=True),
            "width": found.size[0],
            "height": found.size[1],
            "mpp": found.mpp,
            "level0_side": found.side,
            "seen": seen_side(tiling),
            "status": found.status,
            "reason": found.reason,
            "versions": json.dumps({name: version(name) for name in ("openslide-bin", "pillow")}),
        }
        _write(store, found, about, stored="stored" in tiling)
    if found.status != "ok":
        print(f"{dataset}, slide {slide}: {found.status}: {found.reason}", file=sys.stderr)
    return found


def stamp_of(path: Path) -> str:
    """Name the version of a slide file: its size, and a hash of both its ends."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read(ENDS))
        file.seek(max(0, size - ENDS))
        digest.update(file.read(ENDS))
    return f"{size}-{digest.hexdigest()[:16]}"


def _write(store: Path, found: Tessellation, about: dict[str, Any], *, stored: bool) -> None:
    count = len(found.coords)
    decides = [about[name] for name in ("slide_stamp", "mpp", "level0_side", "seen")]
    digest = hashlib.sha256(json.dumps(decides).encode() + found.coords.tobytes())
    with written_whole(store) as beside:
        with h5py.File(beside, "w", libver=LAYOUT) as file:
            file["coords"], file["tissue"], file["id"] = found.coords, found.tissue, range(count)
            if stored:
                jpeg = file.create_dataset("jpeg", (count,), dtype=h5py.vlen_dtype(np.uint8))
                for row, content in enumerate(found.jpegs):
                    jpeg[row] = content
        sums = _sums(found.coords, found.tissue, found.jpegs if stored else None)
        seal(beside, "coords", about | {"tiles_sha256": digest.hexdigest()}, sums)


def _sums(coords: np.ndarray, tissue: np.ndarray, jpegs: list[np.ndarray] | None) -> np.ndarray:
    """Return a checksum of all that is known of each tile, (n,) uint32."""
    sums = []
    for row, (corner, share) in enumerate(zip(coords, tissue, strict=True)):
        jpeg = jpegs[row].tobytes() if jpegs is not None else b""
        sums.append(zlib.crc32(corner.tobytes() + share.tobytes() + jpeg))
    return np.array(sums, np.uint32)


@dataclass(frozen=True)
class Tiles:
    """A tile store as it was read: see `write_tiles`; `stamps` is its passport."""

    coords: np.ndarray
    tissue: np.ndarray
    jpegs: list[np.ndarray] | None
    stamps: dict[str, Any]


def read_tiles(path: Path, **wanted: str) -> Tiles:
    """Read a tile store after checking its passport and its content.

    Parameters
    ----------
    wanted
        What its passport must say, `dataset` or `slide` for example.

    Raises
    ------
    StoreError
        The store is foreign, half-written, damaged, or of another slide or dataset.
    """
    stamps = passport(path, TILES)
    for name, value in wanted.items():
        if stamps.get(name) != value:
            raise StoreError(
                f"{path} was made for {name} {stamps.get(name)}, but {value} is asked "
                "for. Delete it and rerun."
            )
    try:
        with h5py.File(path) as file:
            coords, tissue, due, ids = (file[n][:] for n in ("coords", "tissue", SUMS, "id"))
            jpegs = list(file["jpeg"][:]) if "jpeg" in file else None
            check_rows(path, _sums(coords, tissue, jpegs), due, ids)
    except UNREADABLE as error:
        raise StoreError(
            f"{path} does not hold its tiles: {error}. Delete it and rerun."
        ) from error
    return Tiles(coords, tissue, jpegs, stamps)


def listed(path: Path) -> dict[str, Any]:
    """Return the line of a tile store in the list of a cohort's slides."""
    tiles = read_tiles(path)
    names = ("slide", "status", "mpp", "width", "height", "reason")
    line = {name: tiles.stamps[name] for name in names}
    return line | {"tiles": len(tiles.coords), "tissue_mm2": _tissue_area(tiles)}


def _tissue_area(tiles: Tiles) -> float:
    side = tiles.stamps["level0_side"] * tiles.stamps["mpp"] / 1000  # mm
    return round(float(tiles.tissue.sum()) * side**2, 3) if len(tiles.coords) else 0.0
