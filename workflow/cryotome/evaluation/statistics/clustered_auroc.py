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
    moves : (c,) float64
        Sum over parts and over the cluster's cells of what each adds to the AUROC, the
        clusters of a part scaled up by m / (m - 1) of m in variance, per label.
    single
        Whether a part has one cluster only of a label, so that nothing is known of others.
    freedom
        Degrees of freedom of the error: the effective number of clusters, by what they weigh
        in the mean, of the label that has fewer; less one for each part that has clusters of
        its own (five folds of the same slides take one, five folds that part them take five).
    """

    auroc: float
    moves: np.ndarray
    single: bool
    freedom: float

    def minus(self, other: "Influence") -> "Influence":
        """Return the influence on the difference of two AUROCs over the same clusters."""
        single, freedom = self.single or other.single, min(self.freedom, other.freedom)
        return Influence(self.auroc - other.auroc, self.moves - other.moves, single, freedom)

    @property
    def error(self) -> float:
        """The standard error, NaN where a part has one cluster only of a label.

        Of one part it is that of Obuchowski 1997, equation 4, where each cluster holds both
        labels, and else but for the factor of her covariance term, (1 + O(1 / clusters));
        with clusters of one cell it is DeLong's.
        """
        return float("nan") if self.single else float(np.sqrt((self.moves**2).sum()))


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
    moves, weights, values, single = np.zeros(clusters), np.zeros((2, clusters)), [], False
    times = np.zeros(clusters)
    for where, labels, scores in zip(place, label, score, strict=True):
        positive = labels == 1
        sizes = positive.sum(), (~positive).sum()
        if not all(sizes):
            continue
        ranks = rankdata(scores)
        beaten = (ranks[positive] - rankdata(scores[positive])) / sizes[1]  # share of negatives
        beating = 1 - (ranks[~positive] - rankdata(scores[~positive])) / sizes[0]
        values.append(beaten.mean())
        times[np.unique(where)] += 1
        sides = zip((positive, ~positive), (beaten, beating), sizes, weights, strict=True)
        for side, share, size, weight in sides:
            weight += np.bincount(where[side], minlength=clusters) / size
            count = len(np.unique(where[side]))
            single |= count < 2
            grown = np.sqrt(count / max(count - 1, 1)) / size
            moves += np.bincount(where[side], (share - values[-1]) * grown, clusters)
    if not values:
        return Influence(float("nan"), moves, True, 1.0)
    taken = len(values) / times[times > 0].mean()
    freedom = max(min(effective_number(weight) for weight in weights) - taken, 1.0)
    return Influence(float(np.mean(values)), moves / len(values), bool(single), freedom)


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
        Degrees of freedom, as `Influence.freedom`; infinite for DeLong.

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


def variance_parts(values: np.ndarray, *, chance: bool) -> dict[str, float]:
    """Part the spread of a row into that of the training seed and that of the draw of cells.

    Parameters
    ----------
    values : (folds, seeds) AUROC of trainings that differ in nothing else
    chance
        Whether training has a seed; a unique optimum has none.

    Returns
    -------
    sd_seed, sd_draw
        One-way components of variance (fold is random): the spread between seeds of one
        fold; the spread between folds that seeds do not explain, not below zero. NaN where
        one seed, or one fold, cannot tell.
    """
    folds, seeds = values.shape
    unknown = float("nan")
    seed = values.var(axis=1, ddof=1).mean() if seeds > 1 else unknown if chance else 0.0
    between = values.mean(axis=1).var(ddof=1) if folds > 1 else unknown
    draw = np.maximum(between - seed / seeds, 0.0)  # NaN stays
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
    0.0 where the smallest fraction gives more already, infinity where none is enough, NaN
    where a value is unknown

    >>> round(crossing(np.array([0.01, 0.1, 1.0]), np.array([0.6, 0.7, 0.8]), 0.75), 3)
    0.316
    >>> crossing(np.array([0.1, 1.0]), np.array([0.6, 0.7]), 0.9)
    inf
    """
    if not np.isfinite([*curve, value]).all():
        return float("nan")
    if value < curve[0]:
        return 0.0
    if value == curve[0]:
        return float(fractions[0])
    for left in range(len(curve) - 1):
        low, high = curve[left], curve[left + 1]
        if low < value <= high:
            share = (value - low) / (high - low)
            ends = np.log(fractions[left : left + 2])
            return float(np.exp(ends[0] + share * (ends[1] - ends[0])))
    return float("inf")
