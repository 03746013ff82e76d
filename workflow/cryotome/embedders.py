"""Who turns patches into embeddings: a network on its device, or the colour histogram.

Reading stores needs no torch, whose import would cost every probe job seconds; so it is
imported where a network is made.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from cryotome.cards import Card
from cryotome.colours import colour_histogram
from cryotome.stores import Keep, Rows


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
        with h5py.File(patch_store) as file:
            for first, rows in blocks:
                keep(first, self.embed(file["patch"][first : first + rows]))

    def embed(self, patches: np.ndarray) -> np.ndarray:
        """Map (n, side or more, ..., 3) uint8 to (n, dim) float32."""
        edge = (patches.shape[1] - self._side) // 2
        inner = slice(edge, edge + self._side)
        return colour_histogram(patches[:, inner, inner], bins=self._bins)


def make_embedder(card: Card, name: str, *, side: int, **how: Any) -> Embedder:
    """Return what embeds with this model.

    Parameters
    ----------
    side
        Side of the patches that the encoder is given, px.
    how
        As `extraction.Runner` takes it.
    """
    if card["loader"] == "colour_histogram":
        return Histogram(card, side)
    from cryotome.extraction import Runner

    return Runner(card, name, side=side, **how)
