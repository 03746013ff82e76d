"""Who turns patches into embeddings: a network on its device, the colour histogram, the slide.

Reading stores needs no torch, whose import would cost every probe job seconds; so it is
imported where a network is made.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, StoreError
from cryotome.core.files import sha256
from cryotome.core.store import PATCHES, Keep, Rows, provenance, read_ids, read_rows
from cryotome.data.cells import load_cells
from cryotome.encoders.colour_histogram import colour_histogram

SLIDE_LOADER = "slide_identity"  # the loader that reads no pixel and asks for the table of cells


class Embedder(Protocol):
    """What turns blocks of rows of a patch store into embeddings and hands them to `keep`.

    `step`: on a processor, rows get the same bits in every job that begins at a multiple of it.
    """

    weights_sha256: str
    device: str
    step: int

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None: ...

    def embed(self, patches: np.ndarray) -> np.ndarray: ...


class Histogram:
    """The colour histogram as an embedder: no weights, no torch."""

    weights_sha256, device, step = "none", "cpu", 1

    def __init__(self, card: Card, side: int) -> None:
        self._bins, self._side = card["arguments"]["bins"], side

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Embed blocks of rows one after the other."""
        for first, rows in blocks:
            keep(first, self.embed(read_rows(patch_store, "patch", slice(first, first + rows))))

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Map (n, side or more, ..., 3) uint8 to (n, dim) float32."""
        edge = (patches.shape[1] - self._side) // 2
        inner = slice(edge, edge + self._side)
        return colour_histogram(patches[:, inner, inner], bins=self._bins)


class SlideIdentity:
    """The place of a cell's slide among the sorted slides of its dataset, as an embedder."""

    weights_sha256, device, step = "none", "cpu", 1

    def __init__(self, cells: Path) -> None:
        self._cells = cells
        table = load_cells(cells)
        places = pd.factorize(table["slide"], sort=True)[0]
        self._place = pd.Series(places.astype(np.float32), index=table["id"])

    def run(self, patch_store: Path, blocks: Iterable[Rows], keep: Keep, *, count: int) -> None:
        """Embed blocks of rows by their ids.

        Raises
        ------
        StoreError
            The patches were cut from another table of cells.
        """
        if provenance(patch_store, PATCHES)["cells_sha256"] != sha256(self._cells):
            raise StoreError(f"{patch_store} was cut from another {self._cells}. Delete it.")
        ids = read_ids(patch_store)
        for first, rows in blocks:
            keep(first, self._place[ids[first : first + rows]].to_numpy()[:, None])

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Refuse: patches do not say whose slide they are of."""
        raise CardError(f"Loader {SLIDE_LOADER!r} reads no patches, so precision changes nothing.")


def make_embedder(
    card: Card, name: str, *, side: int, cells: list[Path] | None = None, **how: Any
) -> Embedder:
    """Return what embeds with this model.

    Parameters
    ----------
    side
        Side of the patches that the encoder is given, px.
    cells
        The table of cells, for the loader that asks for it.
    how
        As `extraction.Runner` takes it.
    """
    if card["loader"] == "colour_histogram":
        return Histogram(card, side)
    if card["loader"] == SLIDE_LOADER:
        if not cells:
            raise CardError(f"{name} embeds the slide of a cell and needs the table of cells.")
        return SlideIdentity(cells[0])
    from cryotome.encoders.inference import InferenceRunner

    return InferenceRunner(card, name, side=side, **how)
