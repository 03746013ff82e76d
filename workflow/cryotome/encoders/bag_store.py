"""Bag store: the embeddings of the tiles of each slide, with their coordinates."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.qualified_names import split_qualified
from cryotome.core.store import (
    UNREADABLE,
    check_self_contained,
    open_hdf5,
    provenance,
    read_ids,
    read_rows,
)
from cryotome.data.names import slide_name
from cryotome.data.slides.tile_store import read_tiles
from cryotome.encoders.embedding_store import require_provenance
from cryotome.encoders.foreign_bags import may_be_cryotome_bag, read_foreign_bag

BAGS = "cryotome bags"
# attributes of a tile store that its bags carry
TILE_ATTRIBUTES = (
    *("dataset", "slide", "slide_stamp", "tiles_sha256"),
    *("mpp", "level0_side", "status", "reason"),
)


@dataclass(frozen=True)
class Bag:
    """The tiles of one slide.

    Attributes
    ----------
    features : (n, dim) float32
    coords : (n, 2) int64
        Upper left corners, level-0 px; of a foreign bag in the unit of its program.
    attributes
        Provenance, with `status` and `reason` of the slide; of a foreign bag its own attributes.
    """

    features: np.ndarray
    coords: np.ndarray
    attributes: dict[str, Any]


def read_bag(path: Path, *, tile_store: Path | None = None, **expected: str) -> Bag:
    """Read a bag of this workflow after checking its provenance and its content.

    Parameters
    ----------
    tile_store
        The tiles that it must have been made from; None: not checked.
    expected
        Fields of its provenance: `model`, `view`, `dataset`, `slide`.

    Raises
    ------
    StoreError
        The bag is foreign, incomplete, damaged, or of another model, view, slide or tiles.
    """
    found = provenance(path, BAGS)
    if tile_store:
        expected["tiles_sha256"] = read_tiles(tile_store).stamps["tiles_sha256"]
    require_provenance(path, found, expected)
    features, coords = read_rows(path, "features"), _coords(path)
    if len(coords) != len(read_ids(path)) or zlib.crc32(coords.tobytes()) != found["coords_crc32"]:
        raise StoreError(f"{path} is damaged: its coords are not those written. Delete it.")
    return Bag(features, coords, found)


def read_any_bag(path: Path, card: Card, **expected: Any) -> Bag:
    """Read a bag that another program may have written.

    Parameters
    ----------
    card
        Description of such bags in the dataset's card, as `read_foreign_bag` takes it.
    expected
        Fields of the provenance of a bag of this workflow.

    Raises
    ------
    StoreError
        As `read_bag`; or the attributes of a foreign bag contradict the card.
    """
    check_self_contained(path)
    if may_be_cryotome_bag(path):
        return read_bag(path, **expected)
    return Bag(*read_foreign_bag(path, card))


def _coords(path: Path) -> np.ndarray:
    try:
        with open_hdf5(path) as file:
            return np.asarray(file["coords"][()])
    except UNREADABLE as error:
        raise_system_error(error, path)
        raise StoreError(f"{path} does not hold coords: {error}.") from error


class BagFolders:
    """The bags of several cohorts: a bag is found by its dataset and its slide.

    Parameters
    ----------
    folders
        Dataset to `folder`, with a file `{slide}.h5` per slide, and `given`: the description of
        bags of another program, see `read_foreign_bag`; none where this workflow makes them.
    bags
        All bags that exist. Slides may be missing from a folder of another program only.

    Attributes
    ----------
    given
        Of each folder of another program: `folder`, `read` bags, slides `without_bag`, and
        what its bags `say` about themselves.
    """

    def __init__(self, folders: Card, bags: list[Path], *, model: str, view: str) -> None:
        self.folders = folders
        self.bags = {(path.parent, slide_name(slide_name(path.name))): path for path in bags}
        self.expected: dict[str, Any] = {"model": model, "view": view}
        self.given: dict[str, Card] = {
            dataset: {"folder": about["folder"], "read": 0, "without_bag": [], "say": []}
            for dataset, about in folders.items()
            if about["given"]
        }

    def read(self, name: str) -> np.ndarray:
        """Return the features (n, dim) of a slide `dataset:slide`; n is 0 without a given bag.

        Raises
        ------
        StoreError
            As `read_any_bag`; or a bag that this workflow makes is missing.
        """
        dataset, slide = split_qualified(name)
        folder = self.folders[dataset]["folder"]
        path = self.bags.get((Path(folder), slide))
        if dataset in self.given:
            return self._read_given(dataset, slide, path)
        if path is None:
            raise StoreError(f"{folder} has no bag of {slide} among those to be read.")
        return read_bag(path, dataset=dataset, slide=slide, **self.expected).features

    def _read_given(self, dataset: str, slide: str, path: Path | None) -> np.ndarray:
        card, report = self.folders[dataset]["given"], self.given[dataset]
        if path is None:
            report["without_bag"].append(slide)
            return np.zeros((0, card["dim"]), "f4")
        bag, report["read"] = read_any_bag(path, card, **self.expected), report["read"] + 1
        foreign = "format" not in bag.attributes
        fields = {k: str(v) for k, v in bag.attributes.items()} if foreign else {}
        if fields not in report["say"]:
            report["say"].append(fields)
        return bag.features

    def summary(self) -> Iterator[str]:
        """Report for each given folder how many bags were read, and their own attributes."""
        for dataset, report in self.given.items():
            known = [", ".join(f"{k} {v}" for k, v in fields.items()) for fields in report["say"]]
            without = report["without_bag"]
            yield (
                f"{dataset}: {report['read']} bags of {self.expected['model']} from "
                f"{report['folder']}, which no rule makes; their attributes: "
                f"{'; or '.join(fields or 'none' for fields in known)}. "
                f"{len(without)} slides have no bag there: {', '.join(without) or '-'}"
            )
