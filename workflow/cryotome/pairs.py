"""How often positives of one slide outscore negatives of another: what resampling slides needs.

The AUROC is the share of (positive, negative) pairs that the positive wins. Counted by the
slides of both, these wins give the AUROC under any weighting of the slides exactly, so that
a bootstrap over slides costs a matrix product instead of a sort per draw.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

COLUMNS = 512  # slides whose counts are held at once


@dataclass(frozen=True)
class Wins:
    """The won pairs of one set of cells, by slide.

    Attributes
    ----------
    slides : (s,) str, sorted
    won : (s, s) float64
        Pairs of a positive on the slide of the row and a negative on the slide of the
        column in which the positive scores higher; ties count half.
    positives, negatives : (s,) float64
        Cells of either label on each slide.
    """

    slides: np.ndarray
    won: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @property
    def auroc(self) -> float:
        """The AUROC of all cells; NaN where a class is missing."""
        pairs = self.positives.sum() * self.negatives.sum()
        return float(self.won.sum() / pairs) if pairs else float("nan")

    @property
    def within(self) -> float:
        """The AUROC over pairs that lie on one slide; NaN where there is none."""
        pairs = float((self.positives * self.negatives).sum())
        return float(np.trace(self.won) / pairs) if pairs else float("nan")

    def weighted(self, counts: np.ndarray) -> np.ndarray:
        """Return the AUROC for each row of (draws, s) counts of the slides, NaN where undefined."""
        pairs = (counts @ self.positives) * (counts @ self.negatives)
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((counts @ self.won) * counts).sum(axis=1) / pairs


def count_wins(slide: np.ndarray, label: np.ndarray, score: np.ndarray) -> Wins:
    """Count the won pairs of cells by slide.

    Parameters
    ----------
    slide, label, score : (n,)
        label is 0 or 1.

    >>> wins = count_wins(np.array(["a", "a", "b", "b"]), np.array([1, 0, 1, 0]),
    ...                   np.array([0.9, 0.1, 0.5, 0.5]))
    >>> wins.won.tolist()
    [[1.0, 1.0], [1.0, 0.5]]
    >>> wins.auroc, wins.within
    (0.875, 0.75)
    """
    slides, place = np.unique(np.asarray(slide).astype(str), return_inverse=True)
    up = np.asarray(label) == 1
    order = np.argsort(score[~up], kind="stable")
    low, owner = score[~up][order], place[~up][order]
    below = np.searchsorted(low, score[up], side="left")
    upto = np.searchsorted(low, score[up], side="right")
    by_slide = np.argsort(place[up], kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(place[up][by_slide]) > 0][: up.sum()])
    won = np.zeros((len(slides), len(slides)))
    for first in range(0, len(slides), COLUMNS):
        last = min(first + COLUMNS, len(slides))
        mine = (owner >= first) & (owner < last)
        counts = np.zeros((len(low) + 1, last - first), dtype=np.float32)
        counts[np.flatnonzero(mine) + 1, owner[mine] - first] = 1
        np.cumsum(counts, axis=0, out=counts)  # negatives of each slide among the k lowest
        beaten = (counts[below] + counts[upto])[by_slide].astype(np.float64) / 2
        if len(starts):
            rows = place[up][by_slide][starts]
            won[rows, first:last] = np.add.reduceat(beaten, starts, axis=0)
    size = len(slides)
    sides = (np.bincount(place[part], minlength=size).astype(float) for part in (up, ~up))
    return Wins(slides, won, *sides)


def draw_slides(count: int, *, draws: int, seed: int) -> np.ndarray:
    """Draw `count` slides with replacement, again and again: (draws, count) how often each."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def resample(parts: Iterable[Wins], slides: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean AUROC over parts for each draw of slides.

    Parameters
    ----------
    parts
        Wins of folds, or of folds and domains; a slide drawn twice counts twice in each.
    slides : (s,) str, sorted
        All slides of the parts.
    counts : (draws, s)

    Returns
    -------
    (draws,) float64; parts that lack a class in a draw are left out of its mean
    """
    total, known = np.zeros(len(counts)), np.zeros(len(counts))
    for part in parts:
        values = part.weighted(counts[:, np.searchsorted(slides, part.slides)])
        good = np.isfinite(values)
        total[good] += values[good]
        known[good] += 1
    with np.errstate(invalid="ignore"):
        return total / known
