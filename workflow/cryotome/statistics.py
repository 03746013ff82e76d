"""Variances, intervals and tests of AUROCs whose cells are not independent.

Cells of one slide share stain, scanner and annotators. Every statement that a decision may
rest on therefore treats the slide as the unit (Obuchowski 1997; a bootstrap over slides).
What treats cells as independent (DeLong et al. 1988) says so in its name.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import curve_fit
from scipy.stats import rankdata


@dataclass(frozen=True)
class Influence:
    """How much each cluster moves a mean AUROC; the root of all its variances.

    Attributes
    ----------
    auroc
        Mean over the parts that hold both classes.
    up, down : (c,) float64
        Sum over the cluster's positives, and negatives, of what each adds to the AUROC.
    has_up, has_down : (c,) bool
        Whether the cluster holds any.
    """

    auroc: float
    up: np.ndarray
    down: np.ndarray
    has_up: np.ndarray
    has_down: np.ndarray

    def minus(self, other: "Influence") -> "Influence":
        """Return the influence on the difference of two AUROCs over the same clusters."""
        return Influence(
            self.auroc - other.auroc,
            self.up - other.up,
            self.down - other.down,
            self.has_up | other.has_up,
            self.has_down | other.has_down,
        )

    @property
    def error(self) -> float:
        """The standard error, NaN with fewer than two clusters of either class.

        Obuchowski 1997, equation 4, for one set of cells: clusters are the units of both
        placements and of their covariance. With clusters of one cell it is DeLong's.
        """
        with_up, with_down, clusters = self.has_up.sum(), self.has_down.sum(), len(self.up)
        if min(with_up, with_down) < 2:
            return float("nan")
        variance = with_up / (with_up - 1) * (self.up**2).sum()
        variance += with_down / (with_down - 1) * (self.down**2).sum()
        variance += 2 * clusters / (clusters - 1) * (self.up * self.down).sum()
        return float(np.sqrt(max(variance, 0.0)))


def influence(
    place: list[np.ndarray], label: list[np.ndarray], score: list[np.ndarray], clusters: int
) -> Influence:
    """Return each cluster's influence on the mean AUROC of several parts.

    Parameters
    ----------
    place, label, score
        Of each part, (n,): the cluster of each cell as 0 .. clusters - 1, 0 or 1, the score.
        A part is a fold, or a fold and a domain; one cell may lie in several.
    """
    up, down = np.zeros(clusters), np.zeros(clusters)
    has_up, has_down, values = np.zeros(clusters, bool), np.zeros(clusters, bool), []
    for where, labels, scores in zip(place, label, score, strict=True):
        positive = labels == 1
        n_up, n_down = positive.sum(), (~positive).sum()
        has_up[where[positive]], has_down[where[~positive]] = True, True
        if not n_up or not n_down:
            continue
        ranks = rankdata(scores)
        beaten = (ranks[positive] - rankdata(scores[positive])) / n_down  # share of negatives
        beating = 1 - (ranks[~positive] - rankdata(scores[~positive])) / n_up
        values.append(beaten.mean())
        up += np.bincount(where[positive], (beaten - values[-1]) / n_up, clusters)
        down += np.bincount(where[~positive], (beating - values[-1]) / n_down, clusters)
    count = max(len(values), 1)
    mean = float(np.mean(values)) if values else float("nan")
    return Influence(mean, up / count, down / count, has_up, has_down)


def effective_number(sizes: np.ndarray) -> float:
    """Return how many equal clusters would weigh as these do: (sum n)² / sum n² (Kish 1965).

    >>> effective_number(np.array([10, 10, 10, 10]))
    4.0
    >>> round(effective_number(np.array([100, 1, 1])), 2)
    1.04
    """
    return float(sizes.sum() ** 2 / (sizes.astype(float) ** 2).sum())


def interval(value: float, error: float, *, freedom: float, level: float = 0.95) -> tuple:
    """Return the interval of an AUROC on the logit scale, by Student's t.

    Parameters
    ----------
    freedom
        Degrees of freedom: the effective number of clusters less one; infinite for DeLong.

    Returns
    -------
    (low, high), NaN where the error is unknown or the AUROC is 0 or 1
    """
    if not np.isfinite(error) or not 0 < value < 1:
        return float("nan"), float("nan")
    reach = stats.t.ppf((1 + level) / 2, max(freedom, 1)) * error / (value * (1 - value))
    middle = np.log(value / (1 - value))
    low, high = 1 / (1 + np.exp(-np.array([middle - reach, middle + reach])))
    return float(low), float(high)


def gap_interval(value: float, error: float, *, freedom: float, level: float = 0.95) -> tuple:
    """Return the interval of a difference of AUROCs, by Student's t."""
    reach = stats.t.ppf((1 + level) / 2, max(freedom, 1)) * error
    return value - reach, value + reach


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
    return float(2 * stats.t.sf(abs(value) / error, max(freedom, 1)))


def least_p(units: int) -> float:
    """Return the smallest two-sided p-value that so many units can give, all of one sign.

    Folds of a signed-rank test, or slides: with five of them nothing can fall below 0.0625.

    >>> least_p(5), least_p(2)
    (0.0625, 0.5)
    """
    return min(1.0, 2.0 ** (1 - units))


def corrected_t(gaps: np.ndarray, ratio: float) -> tuple[float, float]:
    """Test the mean difference over folds, corrected for folds that share cells.

    Nadeau and Bengio 2003: the variance of the mean is (1/J + n_test/n_train) times the
    variance between the J folds.

    Parameters
    ----------
    gaps : (J,) difference of two rows in each fold
    ratio
        n_test / n_train.

    Returns
    -------
    t and two-sided p, both NaN with one fold or where the folds do not differ
    """
    if len(gaps) < 2 or not np.ptp(gaps) > 0:
        return float("nan"), float("nan")
    error = np.sqrt((1 / len(gaps) + ratio) * gaps.var(ddof=1))
    t = float(gaps.mean() / error)
    return t, float(2 * stats.t.sf(abs(t), len(gaps) - 1))


def equivalence(value: float, error: float, *, freedom: float, margin: float, alpha: float) -> str:
    """Say whether a difference lies within a margin, by two one-sided tests.

    Returns
    -------
    `equivalent` or `different` where the 1 - 2 alpha interval lies within, or outside, the
    margin on both sides; else `undecided`
    """
    if not np.isfinite(error):
        return "undecided"
    low, high = gap_interval(value, error, freedom=freedom, level=1 - 2 * alpha)
    if -margin < low and high < margin:
        return "equivalent"
    return "different" if low > margin or high < -margin else "undecided"


def variance_parts(values: np.ndarray) -> dict[str, float]:
    """Part the spread of a row into that of the training seed and that of the draw of cells.

    Parameters
    ----------
    values : (folds, seeds) AUROC of trainings that differ in nothing else

    Returns
    -------
    sd_seed, sd_draw
        One-way components of variance (fold is random): the spread between seeds of one
        fold; the spread between folds that seeds do not explain, not below zero. NaN where
        there is one seed, or one fold.
    """
    folds, seeds = values.shape
    seed = values.var(axis=1, ddof=1).mean() if seeds > 1 else float("nan")
    between = values.mean(axis=1).var(ddof=1) if folds > 1 else float("nan")
    explained = seed / seeds if seeds > 1 else 0.0
    draw = max(between - explained, 0.0) if folds > 1 else float("nan")
    return {"sd_seed": float(np.sqrt(seed)), "sd_draw": float(np.sqrt(draw))}


def _law(n: np.ndarray, limit: float, drop: float, power: float) -> np.ndarray:
    return limit - drop * n**-power


def fit_curve(cells: np.ndarray, aurocs: np.ndarray) -> tuple[float, float, float] | None:
    """Fit AUROC = limit - drop n^-power to a learning curve.

    Parameters
    ----------
    cells, aurocs : (k,) training cells and AUROC at each fraction

    Returns
    -------
    limit, drop, power; None with fewer than four fractions, or where no law fits, as where
    more cells make it worse
    """
    good = np.isfinite(aurocs)
    if good.sum() < 4:
        return None
    n, y = cells[good].astype(float), aurocs[good]
    first = (min(y.max() + 0.02, 1.0), max(np.ptp(y), 0.01) * n.min() ** 0.3, 0.3)
    try:
        found, _ = curve_fit(
            _law, n, y, p0=first, bounds=([0, -1e3, 0.01], [1, 1e3, 3]), maxfev=5000
        )
    except RuntimeError:  # no convergence
        return None
    limit, drop, power = map(float, found)
    return (limit, drop, power) if drop >= 0 else None


def crossing(fractions: np.ndarray, curve: np.ndarray, value: float) -> float:
    """Return the fraction at which a learning curve first reaches a value.

    The curve is straight between measured fractions on a logarithmic axis.

    Returns
    -------
    0.0 where the smallest fraction is enough already, infinity where none is

    >>> round(crossing(np.array([0.01, 0.1, 1.0]), np.array([0.6, 0.7, 0.8]), 0.75), 3)
    0.316
    >>> crossing(np.array([0.1, 1.0]), np.array([0.6, 0.7]), 0.9)
    inf
    """
    if value <= curve[0]:
        return 0.0
    for left in range(len(curve) - 1):
        low, high = curve[left], curve[left + 1]
        if low < value <= high:
            share = (value - low) / (high - low)
            ends = np.log(fractions[left : left + 2])
            return float(np.exp(ends[0] + share * (ends[1] - ends[0])))
    return float("inf")
