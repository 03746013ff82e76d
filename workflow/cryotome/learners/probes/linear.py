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
    group_folds,
    prepare_batch,
)
from cryotome.learners.probes.lbfgs import LbfgsSolver, LbfgsState
from cryotome.learners.probes.penalty import Penalty, weight_norm

MAX_GAP = 1e-9  # relative gap of the objective; its estimate is right within a factor of a few


@dataclass(frozen=True)
class Execution:
    """Where fits are computed, and who is notified of their progress.

    Attributes
    ----------
    device
        Torch device, such as `cuda`; None computes in numpy, on a CPU as fast as torch and
        without the seconds of its import.
    on_progress
        Called with the number of folds that have just been fitted.
    """

    device: str | None = None
    on_progress: Callable[[int], object] = lambda folds: None


IN_NUMPY = Execution()


@dataclass(frozen=True)
class LinearFit:
    """A linear classifier and how it was found.

    Attributes
    ----------
    classes : (K,)
        Labels in the training rows, sorted.
    weights : (M,) or, of more than two classes, (K, M) float64
        In units of the original features.
    bias : float or (K,)
    zero
        Whether the optimum has no weights: every score is the fraction of the class.
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
        How C was chosen on validation rows; empty where it was not.
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


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Return P(second class) of (n,) logits, P of every class of (n, K) logits."""
    if logits.ndim == 1:
        return (1 + np.tanh(np.asarray(logits, np.float64) / 2)) / 2
    rise = np.exp(logits - logits.max(axis=1, keepdims=True))
    return rise / rise.sum(axis=1, keepdims=True)


def fit_linear(x: np.ndarray, y: np.ndarray, *, penalty: float, squared: bool) -> LinearFit:
    """Fit all rows as one fold; else as `fit_folds`."""
    return fit_folds(x, y, [np.arange(len(y))], penalty=penalty, squared=squared)[0]


def fit_folds(
    x: np.ndarray,
    y: np.ndarray,
    trains: list[np.ndarray],
    *,
    penalty: float,
    squared: bool,
    execution: Execution = IN_NUMPY,
) -> list[LinearFit]:
    """Minimise the norm or the squared objective of every fold.

    Parameters
    ----------
    x : (n, M) float
    y : (n,)
        Labels of any sortable type.
    trains
        Training rows of each fold.
    penalty
        The `a` of C = a M K.

    Raises
    ------
    ProbeError
        A fold without rows or with one class, features that are not finite, shapes that
        do not fit.
    """
    x, y = np.asarray(x), np.asarray(y)
    check_folds(x, y, trains)
    fits: dict[int, LinearFit] = {}
    for folds in group_folds(y, trains, x.shape[1]):
        batch = prepare_batch(x, y, trains, folds, standardised=False, device=execution.device)
        cost = penalty * x.shape[1] * len(batch.classes)
        rows = np.array([len(trains[fold]) for fold in folds])
        fits |= dict(zip(folds, _fit(batch, rows, cost, squared), strict=True))
        execution.on_progress(len(folds))
    return [fits[fold] for fold in range(len(trains))]


def _fit(batch: FoldBatch, rows: np.ndarray, cost: float, squared: bool) -> list[LinearFit]:
    scale, objective = batch.scale[0], batch.objective
    norm = 1 / (2 * cost) / (np.sqrt(2) if len(batch.classes) == 2 else 1)
    strength = 1 / (cost * rows * scale**2) if squared else np.full(len(rows), norm / scale)
    steep = weight_norm(objective.gradient)
    zero = (steep <= strength) & (not squared) | (steep == 0)
    result = LbfgsState.at_zero(objective)
    if not zero.all():
        live = np.flatnonzero(~zero)
        part = objective if not zero.any() else objective.subset(live)
        penalty = Penalty(strength[live], squared)
        result.update(live, LbfgsSolver(part, penalty, batch.first_hessian(), MAX_GAP).run())
    fits = linear_fits(batch, result, zero)
    if squared:
        return [replace(fit, c_effective=cost) for fit in fits]
    return [
        replace(fit, c_effective=fit.weight_norm / (count * norm))
        for fit, count in zip(fits, rows, strict=True)
    ]


def linear_fits(batch: FoldBatch, result: LbfgsState, zero: np.ndarray) -> list[LinearFit]:
    """Return the fits of a batch of folds, in units of the original features."""
    weights, bias = batch.to_original(result.points)
    two = len(batch.classes) == 2
    return [
        LinearFit(
            classes=batch.classes,
            weights=weights[f, 0] if two else weights[f],
            bias=float(bias[f, 0]) if two else bias[f],
            zero=bool(zero[f]),
            converged=bool(result.gap[f] <= MAX_GAP),
            optimality=float(result.gap[f]),
            iterations=int(result.iterations[f]),
            passes=result.passes,
            objective=float(result.value[f]),
            weight_norm=float(np.linalg.norm(weights[f])),
            c_effective=0.0,
            feature_sd=float(batch.sd[f]),
        )
        for f in range(len(zero))
    ]
