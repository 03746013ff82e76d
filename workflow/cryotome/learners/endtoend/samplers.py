"""Samplers: the cells of each training step."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# from a generator and a batch size to positions among the cells, (batch,) int
Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Cells:
    """Cells: their rows in the patch store, labels and slides, and the share of votes if fitted."""

    rows: np.ndarray  # (n,) int
    label: np.ndarray  # (n,) 0 or 1
    slide: np.ndarray  # (n,) str
    share: np.ndarray | None = None  # (n,) float, of votes for label 1

    @property
    def target(self) -> np.ndarray:
        """What the loss is computed with, (n,)."""
        return self.label if self.share is None else self.share


def _balance_groups(group: np.ndarray, label: np.ndarray) -> Draw:
    """Draw a group uniformly, then a class 50/50, then a cell of both.

    A group without the drawn class yields its other class.
    """
    _, group = np.unique(group, return_inverse=True)
    kind = 2 * group + label
    members = np.argsort(kind, kind="stable")
    size = np.bincount(kind, minlength=2 * (group.max() + 1)).reshape(-1, 2)
    start = (np.cumsum(size) - size.ravel()).reshape(-1, 2)

    def draw(rng: np.random.Generator, batch: int) -> np.ndarray:
        drawn, kind = rng.integers(len(size), size=batch), rng.integers(2, size=batch)
        kind = np.where(size[drawn, kind] > 0, kind, 1 - kind)
        inside = (rng.random(batch) * size[drawn, kind]).astype(int)
        return members[start[drawn, kind] + inside]

    return draw


def image_balanced(cells: Cells) -> Draw:
    """Draw a slide uniformly, then a class 50/50, then a cell (Ammeling et al. 2025, code)."""
    return _balance_groups(cells.slide, cells.label)


def class_balanced(cells: Cells) -> Draw:
    """Draw a class 50/50, then a cell."""
    return _balance_groups(np.zeros(len(cells.label), dtype=int), cells.label)


def uniform(cells: Cells) -> Draw:
    """Draw cells uniformly."""
    return lambda rng, batch: rng.integers(len(cells.rows), size=batch)


SAMPLERS: dict[str, Callable[[Cells], Draw]] = {
    "image_balanced": image_balanced,
    "class_balanced": class_balanced,
    "natural": uniform,
}
