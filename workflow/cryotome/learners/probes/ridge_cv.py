"""Ridge on standardised features, its strength chosen on the validation cells."""

from dataclasses import replace

import numpy as np

from cryotome.learners.probes.fold_batches import (
    FoldBatch,
    check_folds,
    group_equal_features,
    prepare,
)
from cryotome.learners.probes.lbfgs import LbfgsSolver, LbfgsState, Penalty, size
from cryotome.learners.probes.linear import TOLERANCE, LinearFit, Told, fits_of


def fit_ridge_cv_folds(
    x: np.ndarray,
    y: np.ndarray,
    trains: list[np.ndarray],
    validations: list[np.ndarray],
    *,
    penalty: float,
    strengths: list[float],
    device: str | None = None,
    told: Told = lambda folds: None,
) -> list[LinearFit]:
    """Minimise C * sum of cross-entropies + |w|² / 2 over a grid of C; keep the best.

    Features have mean 0 and SD 1 over the training rows of a fold; one that is constant
    there stays 0. The best has the least mean log-loss on the validation rows, of ties
    the smallest C. A fold without validation rows has C = penalty * M * K. Each C begins
    at the optimum of the one before.

    Parameters
    ----------
    validations
        Validation rows of each fold; those of classes that it does not train are left out.
    strengths
        The grid, scikit-learn's C.

    Returns
    -------
    list of LinearFit
        In units of the features as they came; `choice` is `inside`, `strongest` or
        `weakest` of the grid, or `nominal`.

    Raises
    ------
    ProbeError
        As `cryotome.learners.probes.linear.fit_folds`.
    """
    x, y = np.asarray(x), np.asarray(y)
    check_folds(x, y, trains)
    fits: dict[int, LinearFit] = {}
    for which in group_equal_features(y, trains, x.shape[1]):
        ready = prepare(x, y, trains, which, standardised=True, device=device)
        rows = np.array([len(trains[fold]) for fold in which])
        nominal = penalty * x.shape[1] * len(ready.classes)
        usable = [validations[f][np.isin(y[validations[f]], ready.classes)] for f in which]
        costs = sorted(strengths) if any(map(len, usable)) else []
        costs += [nominal] if not all(map(len, usable)) else []
        path = _path(ready, rows, costs)
        for column, fold in enumerate(which):
            seen = usable[column]
            along = [fits_at[column] for fits_at in path]
            fits[fold] = _best(along, x[seen], y[seen], costs, len(strengths))
        told(len(which))
    return [fits[fold] for fold in range(len(trains))]


def _path(ready: FoldBatch, rows: np.ndarray, costs: list[float]) -> list[list[LinearFit]]:
    """Return the fits of every cost in turn."""
    zero = size(ready.columns.gradient) == 0
    metric = None if ready.standardised else np.where(ready.spread > 0, ready.spread, 1)
    hessian, points, path = ready.hessian(), None, []
    for cost in costs:
        if zero.all():
            ended = LbfgsState.none(ready.columns)
        else:
            descender = LbfgsSolver(
                ready.columns, Penalty(1 / (cost * rows), True, metric), hessian, TOLERANCE
            )
            ended = descender.run(points)
            hessian, points = descender.hessian, ended.points
        path.append([replace(fit, c_effective=cost) for fit in fits_of(ready, ended, zero)])
    return path


def _best(
    along: list[LinearFit], x: np.ndarray, y: np.ndarray, costs: list[float], grid: int
) -> LinearFit:
    """Return the fit that the validation rows like best, and say where in the grid it is."""
    if not len(y):
        return replace(along[-1], choice="nominal")
    losses = [log_loss(fit, x, y) for fit in along[:grid]]
    best = int(np.argmin(losses))
    where = {0: "strongest", grid - 1: "weakest"}.get(best, "inside")
    return replace(along[best], choice=where)


def log_loss(fit: LinearFit, x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean of minus the log of each row's chance of its own label."""
    label = np.searchsorted(fit.classes, y)
    margin = x.astype(np.float64) @ fit.weights.T + fit.bias
    if margin.ndim == 1:
        return float(np.logaddexp(0, (1 - 2 * label) * margin).mean())
    return float((np.logaddexp.reduce(margin, axis=1) - margin[np.arange(len(y)), label]).mean())
