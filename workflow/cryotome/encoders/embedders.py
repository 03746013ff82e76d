"""Embedders: a network on its device, the colour histogram, or the identity of the slide.

torch is imported only where a network is made: its import would cost every probe job seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
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
from cryotome.study.geometry import Geometry, geometry_of

SLIDE_LOADER = "slide_identity"  # reads no pixels, but the table of cells


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
) -> Embedder:
    """Return the embedder of a model for the patches of a store; arguments as `make_embedder`."""
    side = provenance(patch_store, PATCHES)["seen"]
    return make_embedder(model, model.geometry(side), compute, cells=cells)
