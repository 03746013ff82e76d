"""Variances and intervals of AUROCs whose cells are not independent.

Cells of one slide share stain, scanner and annotators. Every statement that a decision may
rest on therefore takes the slide as the unit (Obuchowski 1997; a bootstrap over slides).
Columns whose method takes cells as independent (DeLong et al. 1988) have it in their name.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from cryotome.core.metrics import average_ranks


@dataclass(frozen=True)
class Influence:
    """How much each cluster contributes to a mean AUROC; all its variances come from this.

    Attributes
    ----------
    auroc
        Mean over the parts that hold both classes.
    contributions : (c,) float64
        Sum over parts and over the cluster's cells of what each adds to the AUROC, the
        clusters of a part scaled up by m / (m - 1) of m in variance, per label.
    single_cluster
        Whether a part has only one cluster of a label, so that the variance is unknown.
    freedom
        Degrees of freedom of the error: the effective number of clusters, by their weight
        in the mean, of the label that has fewer; less one for each part that has clusters of
        its own (five folds of the same slides take one, five that split the slides take five).
    """

    auroc: float
    contributions: np.ndarray
    single_cluster: bool
    freedom: float

    def minus(self, other: "Influence") -> "Influence":
        """Return the influence on the difference of two AUROCs over the same clusters."""
        return Influence(
            self.auroc - other.auroc,
            self.contributions - other.contributions,
            self.single_cluster or other.single_cluster,
            min(self.freedom, other.freedom),
        )

    @property
    def error(self) -> float:
        """The standard error, NaN where a part has only one cluster of a label.

        Of one part it is that of Obuchowski 1997, equation 4, where each cluster holds both
        labels; elsewhere the factor of her covariance term differs, by 1 + O(1 / clusters).
        With clusters of one cell it is that of DeLong et al.
        """
        squares = float(np.sqrt((self.contributions**2).sum()))
        return float("nan") if self.single_cluster else squares


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
    contributions, weights = np.zeros(clusters), np.zeros((2, clusters))
    values, parts_of, single = [], np.zeros(clusters), False  # parts_of: parts of each cluster
    for where, labels, scores in zip(place, label, score, strict=True):
        positive = labels == 1
        sizes = positive.sum(), (~positive).sum()
        if not all(sizes):
            continue
        ranks = average_ranks(scores)
        # fraction of negatives below each positive, of positives above each negative
        above = (ranks[positive] - average_ranks(scores[positive])) / sizes[1]
        below = 1 - (ranks[~positive] - average_ranks(scores[~positive])) / sizes[0]
        values.append(above.mean())
        parts_of[np.unique(where)] += 1
        sides = zip((positive, ~positive), (above, below), sizes, weights, strict=True)
        for side, fraction, size, weight in sides:
            weight += np.bincount(where[side], minlength=clusters) / size
            count = len(np.unique(where[side]))
            single |= count < 2
            scale = np.sqrt(count / max(count - 1, 1)) / size
            contributions += np.bincount(where[side], (fraction - values[-1]) * scale, clusters)
    if not values:
        return Influence(float("nan"), contributions, True, 1.0)
    taken = len(values) / parts_of[parts_of > 0].mean()
    freedom = max(min(effective_number(weight) for weight in weights) - taken, 1.0)
    return Influence(float(np.mean(values)), contributions / len(values), bool(single), freedom)


def effective_number(sizes: np.ndarray) -> float:
    """Return the effective number of clusters, (sum n)² / sum n² (Kish 1965).

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
    reach = stdtrit(max(freedom, 1), (1 + level) / 2) * error / (value * (1 - value))
    middle = np.log(value / (1 - value))
    low, high = 1 / (1 + np.exp(-np.array([middle - reach, middle + reach])))
    return float(low), float(high)


def difference_interval(
    value: float, error: float, *, freedom: float, level: float = 0.95
) -> tuple:
    """Return the interval of a difference of AUROCs, by Student's t."""
    reach = stdtrit(max(freedom, 1), (1 + level) / 2) * error
    return value - reach, value + reach
