"""Variances, intervals and tests of AUROCs whose cells are not independent.

Cells of one slide share stain, scanner and annotators. Every statement that a decision may
rest on therefore treats the slide as the unit (Obuchowski 1997; a bootstrap over slides).
What treats cells as independent (DeLong et al. 1988) says so in its name.
"""

from dataclasses import dataclass

import numpy as np
from scipy import stats
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


def auroc_interval(value: float, error: float, *, freedom: float, level: float = 0.95) -> tuple:
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


def difference_interval(
    value: float, error: float, *, freedom: float, level: float = 0.95
) -> tuple:
    """Return the interval of a difference of AUROCs, by Student's t."""
    reach = stats.t.ppf((1 + level) / 2, max(freedom, 1)) * error
    return value - reach, value + reach
