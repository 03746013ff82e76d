"""Embedding of one slide: its tiles become a bag."""

import json
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from cryotome.core import step_versions
from cryotome.core.errors import DataError, StoreError
from cryotome.core.files import atomic_write
from cryotome.core.prefetch import prefetch
from cryotome.core.store import LAYOUT, VERSION, Rows, finalise_store, open_hdf5
from cryotome.data.images import crash_error, open_image
from cryotome.data.slides.tessellation import tile_pixels
from cryotome.data.slides.tile_store import TileStore, read_tiles, source_fingerprint
from cryotome.encoders.bag_store import BAGS, TILE_ATTRIBUTES
from cryotome.encoders.embedders import ComputeSettings, Embedder, ModelView, make_embedder
from cryotome.encoders.embedding_store import VERSIONED, batch_of, check_embedding
from cryotome.runtime import ledger
from cryotome.runtime.child_process import run_in_process, worker_processes
from cryotome.runtime.resume import exclusive_attempt, resumable_store
from cryotome.runtime.worker_lock import STORE

TILES_PER_READ = 128  # more where a batch is larger


@dataclass(frozen=True)
class SlideTiles:
    """A slide, where its tiles lie, and the CPU threads that read them."""

    slide: Path
    tiles: TileStore
    threads: int


def write_bag(
    bag: Path,
    tile_store: Path,
    slide: Path | None,
    model: ModelView,
    compute: ComputeSettings,
    *,
    partial: Path,
) -> None:
    """Embed the tiles of one slide; an unusable slide yields an empty bag and a warning.

    The file holds `features` (n, dim) float32 and `coords` (n, 2) int64, and as attributes its
    provenance with the `status` of the slide.

    Parameters
    ----------
    slide
        Its image; None where the file is missing.
    partial
        Folder of partial work: rows that a killed job finished are not embedded again.

    Raises
    ------
    StoreError
        The tiles were found on another file, or an embedding is not finite.
    WeightsError
        The weights are missing or wrong.
    CardError
        The network takes tiles of another size.
    EncoderError
        The network embeds a tile otherwise alone than among others.
    """
    tiles = read_tiles(tile_store)
    attributes, dim = _attributes(tiles, model), model.card["dim"]
    if not len(tiles.coords):
        _write_empty(bag, attributes, dim)
        return
    if slide is None or source_fingerprint(slide) != attributes["slide_stamp"]:
        raise StoreError(
            f"{tile_store} was cut from another file than {slide or 'the one that is gone'}. "
            "Delete it and rerun."
        )
    embedder = make_embedder(model, model.geometry(tiles.stamps["seen"]), compute)
    attributes["weights_sha256"] = embedder.weights_sha256
    try:
        _embed(bag, SlideTiles(slide, tiles, compute.threads), embedder, attributes, partial)
    except DataError as error:
        with exclusive_attempt(partial):  # clears the partial work
            broken = {"status": "broken", "reason": str(error), "coords_crc32": 0}
            _write_empty(bag, attributes | broken, dim)


def _attributes(tiles: TileStore, model: ModelView) -> dict[str, Any]:
    return {
        "format": BAGS,
        "version": VERSION,
        "recipe": step_versions.BAGS,
        "model": model.name,
        "view": model.view,
        "card": json.dumps(model.card, sort_keys=True),
        "coords_crc32": zlib.crc32(tiles.coords.tobytes()),
        "versions": json.dumps({name: version(name) for name in VERSIONED}),
        **{name: tiles.stamps[name] for name in TILE_ATTRIBUTES},
    }


def _write_empty(bag: Path, attributes: dict[str, Any], dim: int) -> None:
    with atomic_write(bag) as beside:
        with open_hdf5(beside, "w", libver=LAYOUT) as file:
            file["features"], file["coords"] = np.zeros((0, dim), "f4"), np.zeros((0, 2), "i8")
            file["id"] = np.zeros(0, "i8")
        finalise_store(beside, "features", {"weights_sha256": "none"} | attributes)
    print(
        f"{attributes['dataset']}, slide {attributes['slide']}: an empty bag, "
        f"{attributes['status']}: {attributes['reason']}",
        file=sys.stderr,
    )


def _embed(
    bag: Path, source: SlideTiles, embedder: Embedder, attributes: dict[str, Any], partial: Path
) -> None:
    """Embed the tiles that the partial work does not hold yet, and finish the bag."""
    model, coords = embedder.model, source.tiles.coords
    ids = np.arange(len(coords))
    decides = attributes | {"device": embedder.device}
    shape = (len(ids), model.card["dim"])
    with (
        resumable_store(
            partial, "features", shape=shape, dtype="f4", ids=ids, passport=decides
        ) as grown,
        tqdm(
            total=len(ids), desc=f"embed {attributes['slide']}", unit="tile", mininterval=5
        ) as bar,
        ExitStack() as stack,
    ):
        bar.update(grown.finished)
        ranges = list(grown.missing(max(TILES_PER_READ, embedder.step)))
        run = stack.enter_context(worker_processes(1)) if grown.crashed else run_in_process
        start = perf_counter()
        try:
            for first, pixels in stack.enter_context(closing(_read_tiles(source, ranges, run))):
                part = embedder.embed(pixels)
                check_embedding(part, ids[first : first + len(part)], model)
                grown.put(first, part, str(embedder.batch))
                bar.update(len(part))
        except ChildProcessError as error:
            raise crash_error(source.slide, error) from error
        count = sum(count for _, count in ranges)
        ledger.report_throughput(tiles=count, seconds=perf_counter() - start)
        with open_hdf5(partial / STORE, "r+") as file:
            file.require_dataset("coords", coords.shape, "i8")[:] = coords
        grown.finish(bag, attributes | batch_of(grown))


def _read_tiles(
    source: SlideTiles, ranges: list[Rows], run: Callable[..., Iterator[np.ndarray]]
) -> Generator[tuple[int, np.ndarray]]:
    """Read ranges of tiles ahead: first row and pixels (n, side, side, 3) uint8 of each."""
    coords, about = source.tiles.coords, source.tiles.stamps
    wanted = np.concatenate([coords[first : first + n] for first, n in ranges] or [coords[:0]])
    sides = about["level0_side"], about["seen"]
    pixels = run(_pixels, source.slide, wanted, *sides, source.threads)

    def read(rows: Rows) -> tuple[int, np.ndarray]:
        return rows[0], np.stack(list(islice(pixels, rows[1])))

    return prefetch(read, ranges)


def _pixels(
    slide: Path, coords: np.ndarray, side: float, seen: int, threads: int
) -> Iterator[np.ndarray]:
    yield from tile_pixels(open_image(slide), coords, side=side, seen=seen, threads=threads)
