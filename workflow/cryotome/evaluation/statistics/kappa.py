"""Kappa and balanced accuracy of two calls of every cell, under any weighting of the slides."""

import numpy as np


def cohen_kappa(
    both: np.ndarray, only_one: np.ndarray, only_other: np.ndarray, neither: np.ndarray
) -> np.ndarray:
    """Return Cohen's kappa of two callers from the numbers of cells that both, one or none calls.

    NaN where both call all cells alike, as random calls would then agree, too.

    >>> cohen_kappa(np.array([20]), np.array([5]), np.array([10]), np.array([15])).round(3).tolist()
    [0.4]
    """
    cells = both + only_one + only_other + neither
    observed = (both + neither) / cells
    one, other = (both + only_one) / cells, (both + only_other) / cells
    expected = one * other + (1 - one) * (1 - other)  # of independent calls
    room = np.where(expected < 1, 1 - expected, 1)
    return np.where(expected < 1, (observed - expected) / room, np.nan)


def balanced_accuracy(
    both: np.ndarray, only_one: np.ndarray, only_other: np.ndarray, neither: np.ndarray
) -> np.ndarray:
    """Return the mean of sensitivity and specificity of one caller, the other being the truth.

    NaN where a class is missing.

    >>> balanced_accuracy(*np.array([[20], [5], [10], [15]])).round(3).tolist()
    [0.708]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return (both / (both + only_other) + neither / (neither + only_one)) / 2


def tables_by_slide(slide: np.ndarray, one: np.ndarray, other: np.ndarray, slides: int) -> tuple:
    """Return the arguments of the measures above for each slide, (slides,) float64 each.

    Parameters
    ----------
    slide : (n,) int, 0 .. slides - 1
    one, other : (n,)
        Calls of two callers, 0 or 1; a tie of several raters is 0.5, half a cell in each class.

    >>> [part.tolist() for part in tables_by_slide(np.array([0, 0, 1]), np.array([1, 0, 1]),
    ...                                            np.array([1, 1, 0.5]), 2)]
    [[1.0, 0.5], [0.0, 0.5], [1.0, 0.0], [0.0, 0.0]]
    """
    parts = (one * other, one * (1 - other), (1 - one) * other, (1 - one) * (1 - other))
    return tuple(np.bincount(slide, part, slides) for part in parts)
