"""Which cells a training step sees."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Cells:
    """The cells of one training: where they lie in the store, their labels and slides."""

    rows: np.ndarray  # (n,) int
    label: np.ndarray  # (n,) 0 or 1
    slide: np.ndarray  # (n,) str


def image_balanced(cells: Cells, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield positions: slide uniform, then class 50/50, then a cell of both.

    A slide without the drawn class gives its other class (Ammeling et al. 2025, code).
    """
    slides = np.unique(cells.slide)
    inside = [
        [np.flatnonzero((cells.slide == slide) & (cells.label == label)) for label in (0, 1)]
        for slide in slides
    ]
    while True:
        picked = []
        for place, label in zip(
            rng.integers(len(slides), size=batch), rng.integers(2, size=batch), strict=True
        ):
            pair = inside[place]
            picked.append(rng.choice(pair[label] if len(pair[label]) else pair[1 - label]))
        yield np.array(picked)


def class_balanced(cells: Cells, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield positions: class 50/50, then a cell."""
    members = [np.flatnonzero(cells.label == label) for label in (0, 1)]
    while True:
        yield np.array([rng.choice(members[label]) for label in rng.integers(2, size=batch)])


def natural(cells: Cells, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield positions of cells drawn uniformly."""
    while True:
        yield rng.integers(len(cells.rows), size=batch)


SAMPLERS: dict[str, Callable[[Cells, int, np.random.Generator], Iterator[np.ndarray]]] = {
    "image_balanced": image_balanced,
    "class_balanced": class_balanced,
    "natural": natural,
}
