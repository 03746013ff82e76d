"""Tests over folds: corrected t-test, equivalence, variance components."""

import numpy as np
from scipy.special import stdtr

from cryotome.evaluation.statistics.clustered_auroc import difference_interval


def quantiles(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap draws."""
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def t_test(value: float, error: float, freedom: float) -> float:
    """Return the two-sided p-value of a difference with this standard error, by Student's t.

    NaN where the error is unknown or zero.
    """
    if not error > 0:
        return float("nan")
    return float(2 * stdtr(max(freedom, 1), -abs(value) / error))


def smallest_possible_p(units: int) -> float:
    """Return the smallest two-sided p-value that so many units can give, all of one sign.

    Folds of a signed-rank test, or slides: with five of them nothing can fall below 0.0625.

    >>> smallest_possible_p(5), smallest_possible_p(2)
    (0.0625, 0.5)
    """
    return min(1.0, 2.0 ** (1 - units))


def corrected_t(differences: np.ndarray, ratio: float) -> tuple[float, float]:
    """Test the mean difference over folds, corrected for folds that share cells.

    Nadeau and Bengio 2003: the variance of the mean is (1/J + n_test/n_train) times the
    variance between the J folds.

    Parameters
    ----------
    differences : (J,) difference of two rows in each fold
    ratio
        n_test / n_train.

    Returns
    -------
    t and two-sided p-value, both NaN with one fold or where the folds do not differ
    """
    if len(differences) < 2 or not np.ptp(differences) > 0:
        return float("nan"), float("nan")
    error = np.sqrt((1 / len(differences) + ratio) * differences.var(ddof=1))
    t = float(differences.mean() / error)
    return t, float(2 * stdtr(len(differences) - 1, -abs(t)))


def equivalence(value: float, error: float, *, freedom: float, margin: float, alpha: float) -> str:
    """Return whether a difference lies within a margin, by two one-sided tests.

    Returns
    -------
    `equivalent` or `different` where the 1 - 2 alpha interval lies within, or outside, the
    margin on both sides; else `undecided`
    """
    if not np.isfinite(error):
        return "undecided"
    low, high = difference_interval(value, error, freedom=freedom, level=1 - 2 * alpha)
    if -margin < low and high < margin:
        return "equivalent"
    return "different" if low > margin or high < -margin else "undecided"


def variance_components(values: np.ndarray, *, seeded: bool) -> dict[str, float]:
    """Split the variance of a row into that of the training seed and that of the draw of cells.

    Parameters
    ----------
    values : (folds, seeds) AUROC of trainings that differ in nothing else
    seeded
        Whether training has a seed; a unique optimum has none.

    Returns
    -------
    sd_seed, sd_draw
        One-way components of variance (fold is random): the spread between seeds of one
        fold; the spread between folds that seeds do not explain, not below zero. NaN where
        one seed, or one fold, is too few.
    """
    folds, seeds = values.shape
    unknown = float("nan")
    seed = values.var(axis=1, ddof=1).mean() if seeds > 1 else unknown if seeded else 0.0
    between = values.mean(axis=1).var(ddof=1) if folds > 1 else unknown
    draw = np.maximum(between - seed / seeds, 0.0)  # NaN stays
    return {"sd_seed": float(np.sqrt(seed)), "sd_draw": float(np.sqrt(draw))}
