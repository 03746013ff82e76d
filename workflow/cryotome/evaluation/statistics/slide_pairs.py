"""Pairs of slides: the exact AUROC under any weighting of the slides, for the bootstrap.

The AUROC is the fraction of (positive, negative) pairs that the positive wins. Counted by the
slides of both, these wins make a draw of slides a matrix product instead of a sort. Where slides
are too many for a matrix of their pairs, cells sorted once by score make it a cumulative sum.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

CHUNK_VALUES = 2**23  # values of a temporary array, at most
MAX_DENSE_SLIDES = 2048  # slides; more are not counted in pairs: a matrix of 34 MB


@dataclass(frozen=True)
class WinMatrix:
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

    def weighted_auroc(self, counts: np.ndarray) -> np.ndarray:
        """Return the AUROC for each row of (draws, s) counts of the slides, NaN where undefined."""
        pairs = (counts @ self.positives) * (counts @ self.negatives)
        with np.errstate(invalid="ignore", divide="ignore"):
            return ((counts @ self.won) * counts).sum(axis=1) / pairs


@dataclass(frozen=True)
class SortedCells:
    """One set of cells in the order of their scores; memory grows with cells, not with pairs.

    Attributes
    ----------
    slides : (s,) str, sorted
    slide_index : (n,) int
        The slide of each cell.
    positive : (n,) bool
    starts : (t,) int
        Where each group of equal scores begins.
    """

    slides: np.ndarray
    slide_index: np.ndarray
    positive: np.ndarray
    starts: np.ndarray

    @property
    def auroc(self) -> float:
        """The AUROC of all cells; NaN where a class is missing."""
        return float(self.weighted_auroc(np.ones((1, len(self.slides))))[0])

    def weighted_auroc(self, counts: np.ndarray) -> np.ndarray:
        """Return the AUROC for each row of (draws, s) counts of the slides, NaN where undefined."""
        step = max(1, CHUNK_VALUES // max(1, len(self.slide_index)))
        values = [self._weighted_chunk(counts[k : k + step]) for k in range(0, len(counts), step)]
        return np.concatenate(values)

    def _weighted_chunk(self, counts: np.ndarray) -> np.ndarray:
        weights = counts[:, self.slide_index].astype(float)  # (draws, n)
        sides = (np.where(self.positive == label, weights, 0.0) for label in (True, False))
        up, down = (np.add.reduceat(side, self.starts, axis=1) for side in sides)  # both (draws, t)
        beaten = np.cumsum(down, axis=1) - down / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return (up * beaten).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1))


def auroc_within(slide: np.ndarray, label: np.ndarray, score: np.ndarray) -> float:
    """Return the AUROC over pairs of cells that lie on one slide; NaN where there is none.

    >>> auroc_within(np.array(["a", "a", "b", "b"]), np.array([1, 0, 1, 0]),
    ...              np.array([0.9, 0.1, 0.5, 0.5]))
    0.75
    """
    cells = pd.DataFrame({"slide": slide, "up": np.asarray(label) == 1})
    cells["rank"] = pd.Series(score).groupby(cells["slide"].to_numpy()).rank().to_numpy()
    sums = cells["rank"].where(cells["up"], 0.0).groupby(cells["slide"]).sum().to_numpy()
    up, size = (cells.groupby("slide")["up"].agg(how).to_numpy(float) for how in ("sum", "size"))
    pairs = float((up * (size - up)).sum())
    return float((sums - up * (up + 1) / 2).sum() / pairs) if pairs else float("nan")


def count_wins(slide: np.ndarray, label: np.ndarray, score: np.ndarray) -> WinMatrix | SortedCells:
    """Count the won pairs of cells by slide; on very many slides, sort the cells instead.

    Parameters
    ----------
    slide, label, score : (n,)
        label is 0 or 1.

    >>> wins = count_wins(np.array(["a", "a", "b", "b"]), np.array([1, 0, 1, 0]),
    ...                   np.array([0.9, 0.1, 0.5, 0.5]))
    >>> wins.won.tolist()
    [[1.0, 1.0], [1.0, 0.5]]
    >>> wins.auroc
    0.875
    """
    slides, index = np.unique(np.asarray(slide).astype(str), return_inverse=True)
    up, score = np.asarray(label) == 1, np.asarray(score)
    if len(slides) > MAX_DENSE_SLIDES:
        order = np.argsort(score, kind="stable")
        starts = np.flatnonzero(np.diff(score[order], prepend=np.nan) != 0)
        return SortedCells(slides, index[order], up[order], starts)
    won = _wins_by_slide(index, up, score, len(slides))
    sides = (np.bincount(index[part], minlength=len(slides)).astype(float) for part in (up, ~up))
    return WinMatrix(slides, won, *sides)


def _wins_by_slide(index: np.ndarray, up: np.ndarray, score: np.ndarray, slides: int) -> np.ndarray:
    """Return the won pairs by slides of the positive and of the negative, (slides, slides)."""
    order = np.argsort(score[~up], kind="stable")
    low, owner = score[~up][order], index[~up][order]  # the negatives, ascending
    below = np.searchsorted(low, score[up], side="left")
    upto = np.searchsorted(low, score[up], side="right")
    by_slide = np.argsort(index[up], kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(index[up][by_slide]) > 0][: up.sum()])
    won = np.zeros((slides, slides))
    columns = max(1, CHUNK_VALUES // max(1, len(score)))  # slides whose counts are held at once
    for first in range(0, slides, columns):
        last = min(first + columns, slides)
        mine = (owner >= first) & (owner < last)
        counts = np.zeros((len(low) + 1, last - first), dtype=np.float32)
        counts[np.flatnonzero(mine) + 1, owner[mine] - first] = 1
        np.cumsum(counts, axis=0, out=counts)  # negatives of each slide among the k lowest
        beaten = (counts[below] + counts[upto])[by_slide].astype(np.float64) / 2
        if len(starts):
            rows = index[up][by_slide][starts]
            won[rows, first:last] = np.add.reduceat(beaten, starts, axis=0)
    return won


def resample_slides(count: int, *, draws: int, seed: int) -> np.ndarray:
    """Draw `count` slides with replacement: (draws, count) how often each, one line a draw."""
    return np.concatenate(list(resample_slides_in_chunks(count, draws=draws, seed=seed)))


def resample_slides_in_chunks(count: int, *, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Yield the draws of `resample_slides`, (some draws, count) float64 each, in bounded memory."""
    rng, step = np.random.default_rng(seed), max(1, CHUNK_VALUES // count)
    for begun in range(0, draws, step):
        size = min(step, draws - begun)
        yield rng.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)


def bootstrap_auroc(
    parts: Iterable[WinMatrix | SortedCells], slides: np.ndarray, counts: Iterable[np.ndarray]
) -> np.ndarray:
    """Return the mean AUROC over parts for each draw of slides, (draws,).

    Parameters
    ----------
    parts
        Wins of folds, or of folds and domains; a slide drawn twice counts twice in each.
    slides : (s,) str, sorted
        All slides of the parts.
    counts : of (some draws, s)

    Returns
    -------
    (draws,) float64; parts in which a class is missing in a draw are left out of its mean
    """
    placed = [(part, np.searchsorted(slides, part.slides)) for part in parts]
    return np.concatenate([_resampled(placed, some) for some in counts])


def _resampled(
    placed: list[tuple[WinMatrix | SortedCells, np.ndarray]], counts: np.ndarray
) -> np.ndarray:
    total, known = np.zeros(len(counts)), np.zeros(len(counts))
    for part, place in placed:
        values = part.weighted_auroc(counts[:, place])
        good = np.isfinite(values)
        total[good] += values[good]
        known[good] += 1
    with np.errstate(invalid="ignore"):
        return total / known
