"""Ridge on standardised features, with its strength chosen on the validation cells."""

from dataclasses import replace

import numpy as np

from cryotome.learners.probes.fold_batches import (
    FoldBatch,
    FoldRows,
    check_folds,
    group_folds,
    prepare_batch,
)
from cryotome.learners.probes.lbfgs import LbfgsSolver, LbfgsState
from cryotome.learners.probes.linear import IN_NUMPY, MAX_GAP, Execution, LinearFit, linear_fits
from cryotome.learners.probes.penalty import Penalty, weight_norm


def fit_ridge_cv_folds(
    x: np.ndarray,
    y: np.ndarray,
    folds: list[FoldRows],
    *,
    penalty: float,
    c_grid: list[float],
    execution: Execution = IN_NUMPY,
) -> list[LinearFit]:
    """Minimise C * sum of cross-entropies + |w|² / 2 over a grid of C; keep the best.

    Features have mean 0 and SD 1 over the training rows of a fold; one that is constant
    there stays 0. The best C has the lowest mean log-loss on the validation rows; of ties
    the smallest C. A fold without validation rows has C = penalty * M * K. Each C starts
    from the optimum of the one before.

    Parameters
    ----------
    folds
        Training and validation rows; validation rows of classes without a training row are
        ignored.
    c_grid
        scikit-learn's C.

    Returns
    -------
    list of LinearFit
        In units of the original features; `choice` is `inside`, `strongest` or `weakest` of
        the grid, or `nominal`.

    Raises
    ------
    ProbeError
        As `cryotome.learners.probes.linear.fit_folds`.
    """
    x, y = np.asarray(x), np.asarray(y)
    trains = [fold.train for fold in folds]
    check_folds(x, y, trains)
    fits: dict[int, LinearFit] = {}
    for which in group_folds(y, trains, x.shape[1]):
        batch = prepare_batch(x, y, trains, which, standardised=True, device=execution.device)
        rows = np.array([len(trains[fold]) for fold in which])
        nominal = penalty * x.shape[1] * len(batch.classes)
        checks = [folds[fold].validation for fold in which]
        checks = [check[np.isin(y[check], batch.classes)] for check in checks]
        costs = sorted(c_grid) if any(map(len, checks)) else []
        costs += [nominal] if not all(map(len, checks)) else []
        path = _path(batch, rows, costs)
        for column, (fold, check) in enumerate(zip(which, checks, strict=True)):
            candidates = [fits_of_cost[column] for fits_of_cost in path]
            fits[fold] = _best(candidates, x[check], y[check], len(c_grid))
        execution.on_progress(len(which))
    return [fits[fold] for fold in range(len(trains))]


def _path(batch: FoldBatch, rows: np.ndarray, costs: list[float]) -> list[list[LinearFit]]:
    """Return the fits of all folds for each C."""
    zero = weight_norm(batch.objective.gradient) == 0
    metric = None if batch.standardised else np.where(batch.variance > 0, batch.variance, 1)
    hessian, points, path = batch.first_hessian(), None, []
    for cost in costs:
        if zero.all():
            result = LbfgsState.at_zero(batch.objective)
        else:
            penalty = Penalty(1 / (cost * rows), True, metric)
            solver = LbfgsSolver(batch.objective, penalty, hessian, MAX_GAP)
            result = solver.run(points)
            hessian, points = solver.hessian, result.points
        path.append([replace(fit, c_effective=cost) for fit in linear_fits(batch, result, zero)])
    return path


def _best(candidates: list[LinearFit], x: np.ndarray, y: np.ndarray, grid: int) -> LinearFit:
    """Return the fit with the lowest log-loss on the validation rows, and its place in the grid."""
    if not len(y):
        return replace(candidates[-1], choice="nominal")
    losses = [log_loss(fit, x, y) for fit in candidates[:grid]]
    best = int(np.argmin(losses))
    choice = {0: "strongest", grid - 1: "weakest"}.get(best, "inside")
    return replace(candidates[best], choice=choice)


def log_loss(fit: LinearFit, x: np.ndarray, y: np.ndarray) -> float:
    """Return the mean of minus the log of each row's probability of its own label."""
    label = np.searchsorted(fit.classes, y)
    logits = x.astype(np.float64) @ fit.weights.T + fit.bias
    if logits.ndim == 1:
        return float(np.logaddexp(0, (1 - 2 * label) * logits).mean())
    return float((np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(y)), label]).mean())
