"""Embedders: a network on its device, a histogram, a slide's identity, or a user's embeddings.

torch is imported only where a network is made: its import would cost every probe job seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, StoreError
from cryotome.core.files import sha256
from cryotome.core.store import PATCHES, Keep, Rows, provenance, read_ids, read_rows
from cryotome.data.cells import load_cells
from cryotome.encoders.colour_histogram import colour_histogram
from cryotome.encoders.own_embeddings import read_own_embeddings, rows_by_id
from cryotome.study.geometry import Geometry, geometry_of

# loaders that read no pixels, but the table of cells
SLIDE_LOADER, OWN_LOADER = "slide_identity", "embeddings"


@dataclass(frozen=True)
class ModelView:
    """A model under a view, such as `uni` under `paper-bf16`: transform and precision."""

    name: str
    card: Card
    view: str

    @property
    def precision(self) -> str:
        """`fp32`, `bf16` or `fp16`."""
        return self.view.split("-")[1]

    def geometry(self, side: int) -> Geometry:
        """Return how patches of a side, px, are resized and cropped."""
        return geometry_of(self.card, self.view, side)


@dataclass(frozen=True)
class ComputeSettings:
    """Where a network finds its weights and what it runs on.

    Attributes
    ----------
    device
        `auto`, `cpu` or `job`, as `device` of the config.
    threads
        CPU threads.
    batches
        Folder that caches which batch size fits, by card, view, side and GPU.
    """

    weights_dir: Path
    device: str
    threads: int
    batches: Path


class Embedder(Protocol):
    """Embeds patches, or ranges of rows of a patch store, whose embeddings it hands to `keep`.

    `step`: on a CPU, rows get the same bits in every job that begins at a multiple of it.
    `batch`: patches that are computed at once, which the store records.
    """

    model: ModelView
    weights_sha256: str
    device: str
    step: int
    batch: int

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None: ...

    def embed(self, patches: np.ndarray) -> np.ndarray: ...


class Histogram:
    """The colour histogram as an embedder, without weights and torch."""

    weights_sha256, device, step, batch = "none", "cpu", 1, 1

    def __init__(self, model: ModelView, side: int) -> None:
        self.model, self._bins, self._side = model, model.card["arguments"]["bins"], side

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Embed ranges of rows one after the other."""
        for first, rows in blocks:
            keep(first, self.embed(read_rows(patch_store, "patch", slice(first, first + rows))))

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Map (n, side or more, ..., 3) uint8 to (n, dim) float32."""
        edge = (patches.shape[1] - self._side) // 2
        inner = slice(edge, edge + self._side)
        return colour_histogram(patches[:, inner, inner], bins=self._bins)


class SlideIdentity:
    """The index of a cell's slide among the sorted slides of its dataset, as an embedder."""

    weights_sha256, device, step, batch = "none", "cpu", 1, 1

    def __init__(self, model: ModelView, cells: Path) -> None:
        self.model, self._cells = model, cells
        table = load_cells(cells)
        slides = pd.factorize(table["slide"], sort=True)[0]
        self._slide = pd.Series(slides.astype(np.float32), index=table["id"])

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Embed ranges of rows by their ids.

        Raises
        ------
        StoreError
            The patches were cut from another table of cells.
        """
        if provenance(patch_store, PATCHES)["cells_sha256"] != sha256(self._cells):
            raise StoreError(f"{patch_store} was cut from another {self._cells}. Delete it.")
        ids = read_ids(patch_store)
        for first, rows in blocks:
            keep(first, self._slide[ids[first : first + rows]].to_numpy()[:, None])

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Refuse: the slide of a patch is not in its pixels."""
        raise CardError(f"Loader {SLIDE_LOADER!r} reads no patches, so precision changes nothing.")


class OwnEmbeddings:
    """Embeddings of a user's file, brought into the order of the patches by their ids.

    Raises
    ------
    StoreError
        The file cannot be read, is of another table of cells, or its ids do not fit the cells.
    """

    weights_sha256, device, step, batch = "none", "cpu", 1, 1

    def __init__(self, model: ModelView, given: list[Path], cells: Path, patch_store: Path) -> None:
        content = {"embeddings_sha256": [sha256(path) for path in given]}
        self.model, table = replace(model, card=model.card | content), sha256(cells)
        if provenance(patch_store, PATCHES)["cells_sha256"] != table:
            raise StoreError(f"{patch_store} was cut from another {cells}. Delete it.")
        self._values, ids, made_for = read_own_embeddings(given[0])
        if made_for not in ("", table):
            raise StoreError(
                f"{given[0]} was made for another table of cells than {cells}, so its ids may "
                "name other cells. Make it again for this table."
            )
        self._rows = rows_by_id(given[0], ids, cells, read_ids(patch_store))

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Hand over ranges of rows."""
        for first, rows in blocks:
            keep(first, self._values[self._rows[first : first + rows]].astype(np.float32))

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Refuse: no network computes these embeddings."""
        raise CardError(f"{self.model.name} has embeddings of its own, and embeds no patch.")


def make_embedder(
    model: ModelView,
    geometry: Geometry,
    compute: ComputeSettings,
    *,
    cells: list[Path] | None = None,
) -> Embedder:
    """Return the embedder of a model.

    Parameters
    ----------
    geometry
        Of the patches that it will be given, `model.geometry(side)`.
    cells
        The table of cells, which the loader `slide_identity` needs.

    Raises
    ------
    CardError
        The network takes patches of another size, or the table of cells is missing.
    WeightsError
        The weights are missing or wrong.
    """
    if model.card["loader"] == "colour_histogram":
        return Histogram(model, geometry.side)
    if model.card["loader"] == OWN_LOADER:
        raise CardError(
            f"{model.name} has embeddings of cells and no network that could embed a tile. Give "
            "bags of it, `bags:` of the dataset's card, or choose another model."
        )
    if model.card["loader"] == SLIDE_LOADER:
        if not cells:
            raise CardError(
                f"{model.name} embeds the slide of a cell and needs the table of cells."
            )
        return SlideIdentity(model, cells[0])
    from cryotome.encoders.inference import InferenceRunner

    return InferenceRunner(model, geometry, compute)


def embedder_of_store(
    patch_store: Path,
    model: ModelView,
    compute: ComputeSettings,
    *,
    cells: list[Path] | None = None,
    given: list[Path] | None = None,
) -> Embedder:
    """Return the embedder of a model for the patches of a store.

    Parameters
    ----------
    given
        The files of own embeddings, which the loader `embeddings` needs with the table of cells.

    Others, and what is raised, as `make_embedder` and `OwnEmbeddings`.
    """
    if model.card["loader"] == OWN_LOADER:
        if not (given and cells):
            raise CardError(f"{model.name} needs its file of embeddings and the table of cells.")
        return OwnEmbeddings(model, given, cells[0], patch_store)
    side = provenance(patch_store, PATCHES)["seen"]
    return make_embedder(model, model.geometry(side), compute, cells=cells)
