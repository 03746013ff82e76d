"""A slide becomes a bag: the embeddings of its tiles, read straight from it, and their places."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError, blame_place
from cryotome.core.qualified_names import split_qualified
from cryotome.core.store import (
    UNREADABLE,
    check_plain,
    open_hdf5,
    provenance,
    read_ids,
    read_rows,
)
from cryotome.data.file_names import slide_of
from cryotome.data.slides.tile_store import read_tiles
from cryotome.encoders.foreign_bags import may_be_cryotome_bag, read_foreign_bag

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
    if given is not None and not may_be_cryotome_bag(path):
        return Bag(*read_foreign_bag(path, given))
    stamps = provenance(path, BAGS)
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
        dataset, slide = split_qualified(name)
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


TILE_ATTRIBUTES = ["dataset", "slide", "slide_stamp", "tiles_sha256", "mpp", "level0_side"]
TILE_ATTRIBUTES += ["status", "reason"]
