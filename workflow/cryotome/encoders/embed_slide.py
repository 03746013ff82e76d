"""Embedding of one slide: its tiles become a bag."""

import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from cryotome.core import step_versions
from cryotome.core.cards import Card
from cryotome.core.errors import DataError, StoreError
from cryotome.core.files import atomic_write
from cryotome.core.prefetch import prefetch
from cryotome.core.store import (
    LAYOUT,
    VERSION,
    Rows,
    finalise_store,
    open_hdf5,
)
from cryotome.data.images import crash, open_image
from cryotome.data.slides.tessellation import tile_pixels
from cryotome.data.slides.tile_store import Tiles, read_tiles, source_fingerprint
from cryotome.encoders.bag_store import BAGS, BLOCK, TILE_ATTRIBUTES
from cryotome.encoders.embedders import Embedder, make_embedder
from cryotome.encoders.embedding_store import VERSIONED, check_embedding
from cryotome.runtime import ledger
from cryotome.runtime.child_process import run_in_process, worker_processes
from cryotome.runtime.resume import exclusive_attempt, resumable_store
from cryotome.runtime.worker_lock import STORE


def write_bag(
    bag: Path,
    tile_store: Path,
    slide: Path | None,
    card: Card,
    *,
    model: str,
    view: str,
    partial: Path,
    threads: int,
    **how: Any,
) -> None:
    """Embed the tiles of one slide; a slide that cannot be used gives an empty bag, aloud.

    The file holds `features` (n, dim) float32 and `coords` (n, 2) int64, and carries its
    passport as attributes, with the `status` of the slide. What a kill left in `partial` is
    not embedded again.

    Parameters
    ----------
    slide
        Where its tiles are read; None where it is not at hand.
    how
        Weights folder, device and batches, as `make_embedder` takes them.

    Raises
    ------
    StoreError
        The tiles were found on another file, or an embedding is not finite.
    WeightsError
        The model's weights cannot be had.
    CardError
        The network takes tiles of another size.
    """
    tiles = read_tiles(tile_store)
    about = {
        "format": BAGS,
        "version": VERSION,
        "recipe": step_versions.BAGS,
        "model": model,
        "view": view,
        "card": json.dumps(card, sort_keys=True),
        "coords_crc32": zlib.crc32(tiles.coords.tobytes()),
        "versions": json.dumps({name: version(name) for name in VERSIONED}),
        **{name: tiles.stamps[name] for name in TILE_ATTRIBUTES},
    }
    if not len(tiles.coords):
        _write_empty(bag, about, card["dim"])
        return
    if slide is None or source_fingerprint(slide) != about["slide_stamp"]:
        raise StoreError(
            f"{tile_store} was cut from another file than {slide or 'the one that is gone'}. "
            "Delete it and rerun."
        )
    side = tiles.stamps["seen"]
    embedder = make_embedder(card, model, side=side, view=view, threads=threads, **how)
    about["weights_sha256"] = embedder.weights_sha256
    try:
        _fill(bag, tiles, slide, embedder, about, partial=partial, threads=threads)
    except DataError as error:
        with exclusive_attempt(partial):  # and clear it away
            broken = {"status": "broken", "reason": str(error), "coords_crc32": 0}
            _write_empty(bag, about | broken, card["dim"])


def _write_empty(bag: Path, about: dict[str, Any], dim: int) -> None:
    with atomic_write(bag) as beside:
        with open_hdf5(beside, "w", libver=LAYOUT) as file:
            file["features"], file["coords"] = np.zeros((0, dim), "f4"), np.zeros((0, 2), "i8")
            file["id"] = np.zeros(0, "i8")
        finalise_store(beside, "features", {"weights_sha256": "none"} | about)
    print(
        f"{about['dataset']}, slide {about['slide']}: an empty bag, {about['status']}: "
        f"{about['reason']}",
        file=sys.stderr,
    )


def _fill(
    bag: Path,
    tiles: Tiles,
    slide: Path,
    embedder: Embedder,
    about: dict[str, Any],
    *,
    partial: Path,
    threads: int,
) -> None:
    card, ids = json.loads(about["card"]), np.arange(len(tiles.coords))
    decides = about | {"device": embedder.device}
    shape = (len(ids), card["dim"])
    with ExitStack() as stack:
        grown = stack.enter_context(
            resumable_store(partial, "features", shape=shape, dtype="f4", ids=ids, passport=decides)
        )
        bar = stack.enter_context(
            tqdm(total=len(ids), desc=f"embed {about['slide']}", unit="tile", mininterval=5)
        )
        bar.update(grown.finished)
        blocks = list(grown.missing(max(BLOCK, embedder.step)))
        run = stack.enter_context(worker_processes(1)) if grown.crashed else run_in_process
        rows = np.concatenate([ids[first : first + count] for first, count in blocks] or [ids[:0]])
        how = (tiles.stamps["level0_side"], tiles.stamps["seen"], threads)
        start = perf_counter()
        pixels = run(_pixels, slide, tiles.coords[rows], *how)

        def read(block: Rows) -> tuple[int, np.ndarray]:
            return block[0], np.stack(list(islice(pixels, block[1])))

        try:
            for first, seen in stack.enter_context(closing(prefetch(read, blocks))):
                part = embedder.embed(seen)
                check_embedding(part, ids[first : first + len(part)], card, about["model"])
                grown.put(first, part)
                bar.update(len(part))
        except ChildProcessError as error:
            raise crash(slide, error) from error
        ledger.report_throughput(tiles=len(rows), seconds=perf_counter() - start)
        with open_hdf5(partial / STORE, "r+") as file:
            file.require_dataset("coords", tiles.coords.shape, "i8")[:] = tiles.coords
        grown.finish(bag, about)


def _pixels(
    slide: Path, coords: np.ndarray, side: float, seen: int, threads: int
) -> Iterator[np.ndarray]:
    yield from tile_pixels(open_image(slide), coords, side=side, seen=seen, threads=threads)
