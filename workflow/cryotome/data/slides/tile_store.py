"""The tiles of a slide: found once, kept in a store with its passport, read checked.

A slide that cannot be used gives a store of no tiles that says why, so that it stops no cohort.
"""

import hashlib
import json
import sys
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import h5py
import numpy as np

from cryotome.core import step_versions
from cryotome.core.cards import Card
from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.files import atomic_write
from cryotome.core.store import (
    LAYOUT,
    SUMS,
    UNREADABLE,
    VERSION,
    check_rows,
    check_self_contained,
    finalise_store,
    open_hdf5,
    provenance,
)
from cryotome.data.slides.tessellation import Tessellation, tessellate, tessellate_apart
from cryotome.data.slides.tile_grid import seen_side
from cryotome.runtime import ledger
from cryotome.runtime.resume import exclusive_attempt

TILES = "cryotome tiles"
ENDS = 2**20  # bytes at either end of a slide file that name its version


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
    with exclusive_attempt(partial) as crashed:
        start = perf_counter()
        found = (tessellate_apart if crashed else tessellate)(path, tiling, mpp)
        ledger.report_throughput(tiles=len(found.coords), seconds=perf_counter() - start)
        about = {
            "format": TILES,
            "version": VERSION,
            "recipe": step_versions.TILES,
            "dataset": dataset,
            "slide": slide,
            "slide_stamp": source_fingerprint(path)
            if path and found.status != "missing"
            else "none",
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
    if found.reason:
        print(f"{dataset}, slide {slide}: {found.status}: {found.reason}", file=sys.stderr)
    return found


def source_fingerprint(path: Path) -> str:
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
    with atomic_write(store) as beside:
        with open_hdf5(beside, "w", libver=LAYOUT) as file:
            file["coords"], file["tissue"], file["id"] = found.coords, found.tissue, range(count)
            if stored:
                jpeg = file.create_dataset("jpeg", (count,), dtype=h5py.vlen_dtype(np.uint8))
                for row, content in enumerate(found.jpegs):
                    jpeg[row] = content
        sums = _sums(found.coords, found.tissue, found.jpegs if stored else None)
        finalise_store(beside, "coords", about | {"tiles_sha256": digest.hexdigest()}, sums)


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
    check_self_contained(path)
    stamps = provenance(path, TILES)
    for name, value in wanted.items():
        if stamps.get(name) != value:
            raise StoreError(
                f"{path} was made for {name} {stamps.get(name)}, but {value} is asked "
                "for. Delete it and rerun."
            )
    try:
        with open_hdf5(path) as file:
            coords, tissue, due, ids = (file[n][:] for n in ("coords", "tissue", SUMS, "id"))
            jpegs = _jpegs(path, file["jpeg"]) if "jpeg" in file else None
            check_rows(path, _sums(coords, tissue, jpegs), due, ids)
    except UNREADABLE as error:
        raise_system_error(error, path)
        raise StoreError(
            f"{path} does not hold its tiles: {error}. Delete it and rerun."
        ) from error
    return Tiles(coords, tissue, jpegs, stamps)


def _jpegs(path: Path, stored: h5py.Dataset) -> list[np.ndarray]:
    """Return the pictures of tiles; many rows may point at one, and take no more than the file."""
    room, found = path.stat().st_size, []
    for row in range(len(stored)):
        found.append(stored[row])
        room -= found[-1].nbytes
        if room < 0:
            raise StoreError(f"{path}: its tiles take more than the file. Delete it and rerun.")
    return found


def listed(path: Path) -> dict[str, Any]:
    """Return the line of a tile store in the list of a cohort's slides."""
    tiles = read_tiles(path)
    names = ("slide", "status", "mpp", "width", "height", "reason")
    line = {name: tiles.stamps[name] for name in names}
    return line | {"tiles": len(tiles.coords), "tissue_mm2": _tissue_area(tiles)}


def _tissue_area(tiles: Tiles) -> float:
    side = tiles.stamps["level0_side"] * tiles.stamps["mpp"] / 1000  # mm
    return round(float(tiles.tissue.sum()) * side**2, 3) if len(tiles.coords) else 0.0
