"""Linear probes solved to their optimum: two penalties, two classes or more, many folds.

With M features, K classes in a fold's training rows and C = penalty * M * K:

* norm: mean cross-entropy + |W| / (2 C) over K weight vectors, the norm NOT squared: what
  the implementation of Chen et al. 2024 (UNI) minimises. Two classes need one vector
  w = W1 - W0, for which |W| = |w| / sqrt 2.
* squared: C * sum of cross-entropies + |w|² / 2, scikit-learn's `LogisticRegression(C)`
  (Roth et al. 2024, section 2.4).

The bias is free. Both are convex and solved to a relative gap of the objective below 1e-8.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cryotome.learners.probes.fold_batches import (
    FoldBatch,
    check_folds,
    group_equal_features,
    prepare,
)
from cryotome.learners.probes.lbfgs import LbfgsSolver, LbfgsState, Penalty, size

TOLERANCE = 1e-9  # relative gap; the estimate is right within a factor of a few


Told = Callable[[int], object]


@dataclass(frozen=True)
class LinearFit:
    """A linear classifier and how it was found.

    Attributes
    ----------
    classes : (K,)
        Labels in the training rows, sorted.
    weights : (M,) or, of more than two classes, (K, M) float64
        In units of the features as they came.
    bias : float or (K,)
    zero
        Whether no weights at all are the optimum: every score is the class's share.
    converged, optimality
        Whether the objective is within the tolerance of its minimum; the estimated gap,
        relative to the objective.
    iterations, passes
        Steps of this fold; passes over the features, all folds together.
    objective
        Mean cross-entropy plus penalty (that of `squared` divided by C n).
    weight_norm
        |w|, over all weights.
    c_effective
        The C of scikit-learn's ridge that has the same optimum; 0 where the optimum is zero.
    feature_sd
        Root of the mean variance of the features over the training rows.
    choice
        How C was chosen, where it was; else empty.
    """

    classes: np.ndarray
    weights: np.ndarray
    bias: Any
    zero: bool
    converged: bool
    optimality: float
    iterations: int
    passes: int
    objective: float
    weight_norm: float
    c_effective: float
    feature_sd: float
    choice: str = ""

    def score(self, x: np.ndarray) -> np.ndarray:
        """Return P(second class) (n,) of two classes, else P of every class (n, K)."""
        return probabilities(x @ self.weights.T + self.bias)


def probabilities(margin: np.ndarray) -> np.ndarray:
    """Return P(second class) of (n,) logits, P of every class of (n, K) logits."""
    if margin.ndim == 1:
        return (1 + np.tanh(np.asarray(margin, np.float64) / 2)) / 2
    rise = np.exp(margin - margin.max(axis=1, keepdims=True))
    return rise / rise.sum(axis=1, keepdims=True)


def fit_linear(x: np.ndarray, y: np.ndarray, *, penalty: float, squared: bool) -> LinearFit:
    """Fit one fold that has all rows; else as `fit_folds`."""
    return fit_folds(x, y, [np.arange(len(y))], penalty=penalty, squared=squared)[0]


def fit_folds(
    x: np.ndarray,
    y: np.ndarray,
    trains: list[np.ndarray],
    *,
    penalty: float,
    squared: bool,
    device: str | None = None,
    told: Told = lambda folds: None,
) -> list[LinearFit]:
    """Minimise the norm or the squared objective of every fold, to the optimum.

    Parameters
    ----------
    x : (n, M) float
    y : (n,)
        Labels of any kind that can be sorted.
    trains
        Training rows of each fold.
    penalty
        The `a` of C = a M K.
    device
        Of torch, such as `cuda`; None computes in numpy.
    told
        Is told how many more folds are solved.

    Raises
    ------
    ProbeError
        A fold without rows or with one class, features that are no numbers, shapes that
        do not fit.
    """
    x, y = np.asarray(x), np.asarray(y)
    check_folds(x, y, trains)
    fits: dict[int, LinearFit] = {}
    for which in group_equal_features(y, trains, x.shape[1]):
        ready = prepare(x, y, trains, which, standardised=False, device=device)
        cost = penalty * x.shape[1] * len(ready.classes)
        rows = np.array([len(trains[fold]) for fold in which])
        fits |= dict(zip(which, _fit(ready, rows, cost, squared), strict=True))
        told(len(which))
    return [fits[fold] for fold in range(len(trains))]


def _fit(ready: FoldBatch, rows: np.ndarray, cost: float, squared: bool) -> list[LinearFit]:
    scale, columns = ready.scale[0], ready.columns
    norm = 1 / (2 * cost) / (np.sqrt(2) if len(ready.classes) == 2 else 1)
    strength = 1 / (cost * rows * scale**2) if squared else np.full(len(rows), norm / scale)
    steep = size(columns.gradient)
    zero = (steep <= strength) & (not squared) | (steep == 0)
    ended = LbfgsState.none(columns)
    if not zero.all():
        live = np.flatnonzero(~zero)
        part = columns if not zero.any() else columns.only(live)
        penalty = Penalty(strength[live], squared)
        ended.put(live, LbfgsSolver(part, penalty, ready.hessian(), TOLERANCE).run())
    fits = fits_of(ready, ended, zero)
    if squared:
        return [replace(fit, c_effective=cost) for fit in fits]
    return [
        replace(fit, c_effective=fit.weight_norm / (count * norm))
        for fit, count in zip(fits, rows, strict=True)
    ]


def fits_of(ready: FoldBatch, ended: LbfgsState, zero: np.ndarray) -> list[LinearFit]:
    """Return the fits of folds that were solved together, in units of their features."""
    weights, bias = ready.back(ended.points)
    two = len(ready.classes) == 2
    return [
        LinearFit(
            classes=ready.classes,
            weights=weights[f, 0] if two else weights[f],
            bias=float(bias[f, 0]) if two else bias[f],
            zero=bool(zero[f]),
            converged=bool(ended.gap[f] <= TOLERANCE),
            optimality=float(ended.gap[f]),
            iterations=int(ended.iterations[f]),
            passes=ended.passes,
            objective=float(ended.value[f]),
            weight_norm=float(np.linalg.norm(weights[f])),
            c_effective=0.0,
            feature_sd=float(ready.sd[f]),
        )
        for f in range(len(zero))
    ]
