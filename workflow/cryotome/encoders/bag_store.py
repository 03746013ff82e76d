"""A slide becomes a bag: the embeddings of its tiles, read straight from it, and their places."""

import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from cryotome.core import step_versions as recipes
from cryotome.core.cards import Card
from cryotome.core.errors import DataError, StoreError, blame_place
from cryotome.core.files import written_whole
from cryotome.core.prefetch import ahead
from cryotome.core.qualified_names import within
from cryotome.core.store import (
    LAYOUT,
    UNREADABLE,
    VERSION,
    Rows,
    check_plain,
    open_hdf5,
    passport,
    read_ids,
    read_rows,
    seal,
)
from cryotome.data.file_names import slide_of
from cryotome.data.images import crash, open_image
from cryotome.data.slides.tessellation import tile_pixels
from cryotome.data.slides.tile_store import Tiles, read_tiles, stamp_of
from cryotome.encoders.embedders import Embedder, make_embedder
from cryotome.encoders.embedding_store import NAMED, check_embedding
from cryotome.encoders.foreign_bags import may_be_ours, read_foreign
from cryotome.runtime import ledger
from cryotome.runtime.child_process import children, here
from cryotome.runtime.resume import STORE, attempt, growing

BAGS = "cryotome bags"
BLOCK = 128  # tiles read at once, more where a processor takes more


@dataclass(frozen=True)
class Bag:
    """The tiles of one slide.

    Attributes
    ----------
    features : (n, dim) float32
    coords : (n, 2) int64
        Upper left corners, level-0 px; of a foreign bag, in whatever px its maker counts.
    stamps
        The passport, `status` and `reason` of the slide among it; of a foreign bag what it says
        of itself.
    """

    features: np.ndarray
    coords: np.ndarray
    stamps: dict[str, Any]


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
        "recipe": recipes.BAGS,
        "model": model,
        "view": view,
        "card": json.dumps(card, sort_keys=True),
        "coords_crc32": zlib.crc32(tiles.coords.tobytes()),
        "versions": json.dumps({name: version(name) for name in NAMED}),
        **{name: tiles.stamps[name] for name in FROM_TILES},
    }
    if not len(tiles.coords):
        _write_empty(bag, about, card["dim"])
        return
    if slide is None or stamp_of(slide) != about["slide_stamp"]:
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
        with attempt(partial):  # and clear it away
            broken = {"status": "broken", "reason": str(error), "coords_crc32": 0}
            _write_empty(bag, about | broken, card["dim"])


FROM_TILES = ["dataset", "slide", "slide_stamp", "tiles_sha256", "mpp", "level0_side"]
FROM_TILES += ["status", "reason"]


def _write_empty(bag: Path, about: dict[str, Any], dim: int) -> None:
    with written_whole(bag) as beside:
        with open_hdf5(beside, "w", libver=LAYOUT) as file:
            file["features"], file["coords"] = np.zeros((0, dim), "f4"), np.zeros((0, 2), "i8")
            file["id"] = np.zeros(0, "i8")
        seal(beside, "features", {"weights_sha256": "none"} | about)
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
            growing(partial, "features", shape=shape, dtype="f4", ids=ids, passport=decides)
        )
        bar = stack.enter_context(
            tqdm(total=len(ids), desc=f"embed {about['slide']}", unit="tile", mininterval=5)
        )
        bar.update(grown.finished)
        blocks = list(grown.missing(max(BLOCK, embedder.step)))
        run = stack.enter_context(children(1)) if grown.crashed else here
        rows = np.concatenate([ids[first : first + count] for first, count in blocks] or [ids[:0]])
        how = (tiles.stamps["level0_side"], tiles.stamps["seen"], threads)
        start = perf_counter()
        pixels = run(_pixels, slide, tiles.coords[rows], *how)

        def read(block: Rows) -> tuple[int, np.ndarray]:
            return block[0], np.stack(list(islice(pixels, block[1])))

        try:
            for first, seen in stack.enter_context(closing(ahead(blocks, read))):
                part = embedder.embed(seen)
                check_embedding(part, ids[first : first + len(part)], card, about["model"])
                grown.put(first, part)
                bar.update(len(part))
        except ChildProcessError as error:
            raise crash(slide, error) from error
        ledger.tell(tiles=len(rows), seconds=perf_counter() - start)
        with open_hdf5(partial / STORE, "r+") as file:
            file.require_dataset("coords", tiles.coords.shape, "i8")[:] = tiles.coords
        grown.finish(bag, about)


def _pixels(
    slide: Path, coords: np.ndarray, side: float, seen: int, threads: int
) -> Iterator[np.ndarray]:
    yield from tile_pixels(open_image(slide), coords, side=side, seen=seen, threads=threads)


def read_bag(
    path: Path,
    *,
    model: str,
    view: str,
    tile_store: Path | None = None,
    given: Card | None = None,
    of: Mapping[str, str] | None = None,
) -> Bag:
    """Read a bag after checking its passport and its content.

    Parameters
    ----------
    tile_store
        The tiles that it must have been made from, where they are at hand.
    given
        What the dataset's card says of a bag that another program may have made, as
        `foreign.read_foreign` takes it; else a bag without our passport is refused.
    of
        What else its passport must say: `dataset`, `slide`.

    Raises
    ------
    StoreError
        The bag is foreign where that is not allowed, half-written, damaged, or of another
        model, view, slide or tiles; or what it says of itself contradicts the card.
    """
    if given is not None:
        check_plain(path)
    if given is not None and not may_be_ours(path):
        return Bag(*read_foreign(path, given))
    stamps = passport(path, BAGS)
    wanted = {"model": model, "view": view, **(of or {})}
    if tile_store:
        wanted["tiles_sha256"] = read_tiles(tile_store).stamps["tiles_sha256"]
    for name, value in wanted.items():
        if stamps.get(name) != value:
            raise StoreError(
                f"{path} was made for {name} {stamps.get(name)}, but {value} is asked "
                "for. Delete it and rerun."
            )
    features, coords = read_rows(path, "features"), _coords(path)
    if len(coords) != len(read_ids(path)) or zlib.crc32(coords.tobytes()) != stamps["coords_crc32"]:
        raise StoreError(f"{path} is damaged: its coords are not those written. Delete it.")
    return Bag(features, coords, stamps)


def _coords(path: Path) -> np.ndarray:
    try:
        with open_hdf5(path) as file:
            return np.asarray(file["coords"][()])
    except UNREADABLE as error:
        blame_place(error, path)
        raise StoreError(f"{path} does not hold coords: {error}.") from error


class BagFolders:
    """Where the bags of each cohort lie: a bag is found by its dataset and its slide.

    Parameters
    ----------
    folders
        Dataset to `folder` and, where another program may have made its bags, `given`: see
        `foreign.read_foreign`. Each holds a file `{slide}.h5`.
    bags
        All bags at hand. A given folder may not have every slide; ours has.
    """

    def __init__(self, folders: Card, bags: list[Path], *, model: str, view: str) -> None:
        self.folders = folders
        self.bags = {(path.parent, slide_of(slide_of(path.name))): path for path in bags}
        self.model, self.view = model, view
        self.given: dict[str, Card] = {
            dataset: {"folder": about["folder"], "read": 0, "without_bag": [], "say": []}
            for dataset, about in folders.items()
            if about["given"]
        }

    def read(self, name: str) -> np.ndarray:
        """Return the features (n, dim) of a slide `dataset:slide`; none where no bag was given.

        Raises
        ------
        StoreError
            As `read_bag`; or its bag is not at hand, though this workflow makes it.
        """
        dataset, slide = within(name)
        about, count = self.folders[dataset], self.given.get(dataset)
        path = self.bags.get((Path(about["folder"]), slide))
        if count is None:
            if path is None:
                raise StoreError(f"{about['folder']} has no bag of {slide} among those to be read.")
            return self._read(path, of={"dataset": dataset, "slide": slide}).features
        if path is None:
            count["without_bag"].append(slide)
            return np.zeros((0, about["given"]["dim"]), "f4")
        bag, count["read"] = self._read(path, given=about["given"]), count["read"] + 1
        said = {} if "format" in bag.stamps else {k: str(v) for k, v in bag.stamps.items()}
        if said not in count["say"]:
            count["say"].append(said)
        return bag.features

    def _read(self, path: Path, **how: Any) -> Bag:
        return read_bag(path, model=self.model, view=self.view, **how)

    def summary(self) -> Iterator[str]:
        """Say of each given folder how many bags were read and what they say of themselves."""
        for dataset, count in self.given.items():
            says = [", ".join(f"{k} {v}" for k, v in said.items()) for said in count["say"]]
            without = count["without_bag"]
            yield (
                f"{dataset}: {count['read']} bags of {self.model} from {count['folder']}, which "
                f"no rule makes; they say: {'; or '.join(say or 'nothing' for say in says)}. "
                f"{len(without)} slides have no bag there: {', '.join(without) or '-'}"
            )
