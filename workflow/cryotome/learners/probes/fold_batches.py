"""Batches of folds of one feature matrix, scaled and reduced so that the solver is fast on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryotome.core.errors import ProbeError
from cryotome.learners.probes.objective import CHUNK_ROWS, Objective, array_module, back_project

MAX_FLOAT64 = 4_000_000  # features of all rows; larger folds are solved with float32 passes
MAX_SPAN_RATIO = 0.6  # rows per feature up to which the span of the rows replaces large features
MIN_SHARED_RATIO = 1  # rows per feature from which folds share one Hessian and are solved together
MAX_SIZE_RATIO = 1.5  # rows of the largest over those of the smallest fold of one batch
HESSIAN_ROWS = 6  # rows per feature from which the first Hessian is estimated


@dataclass(frozen=True)
class FoldRows:
    """Rows of the features for training, validation and scoring in one fold, each (n,) int."""

    train: np.ndarray
    validation: np.ndarray
    scored: np.ndarray


@dataclass(frozen=True)
class FoldBatch:
    """Folds that are solved together, and how their weights convert to the original features.

    Attributes
    ----------
    folds : list of int
    objective
        On the features minus `shift`, over `scale`, times `basis` where there is one.
    variance : (F, d) float64
        Variance of each feature of `objective` over the rows of each fold; d before `basis`.
    sd : (F,) float64
        Root of the mean variance of the original features.
    standardised
        Whether `scale` is the SD of each feature.
    """

    folds: list[int]
    classes: np.ndarray
    objective: Objective
    shift: np.ndarray
    scale: np.ndarray
    basis: Any
    variance: np.ndarray
    sd: np.ndarray
    standardised: bool = False

    def to_original(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (F, k, M) and bias (F, k) in units of the original features."""
        weights = points[:, :, :-1]
        if self.basis is not None:
            flat = self.objective.write(weights.reshape(-1, weights.shape[2]))
            weights = self.objective.read(flat @ self.basis.T).reshape(*weights.shape[:2], -1)
        weights = weights / self.scale
        return weights, points[:, :, -1] - weights @ self.shift

    def first_hessian(self) -> Any:
        """Return the Hessian without weights, from a sample of the rows where they are many."""
        count, width = self.objective.x.shape
        return self.objective.zero_hessian(max(1, count // (HESSIAN_ROWS * width)))


def check_folds(x: np.ndarray, y: np.ndarray, trains: list[np.ndarray]) -> None:
    """Check that every fold can be fitted.

    Raises
    ------
    ProbeError
        Shapes disagree, a fold has no rows or one class only, or features are not finite.
    """
    if x.ndim != 2 or len(x) != len(y):
        raise ProbeError(
            f"Features of shape {x.shape} do not fit {len(y)} labels. Give one row per label."
        )
    for fold, rows in enumerate(trains):
        if not len(rows):
            raise ProbeError(f"Fold {fold} has no training rows. Raise the fraction.")
        classes = np.unique(y[rows])
        if len(classes) < 2:
            raise ProbeError(
                f"All {len(rows)} training rows of fold {fold} have the label {classes[0]}. A "
                "probe needs two classes: raise the fraction, or leave this fold out."
            )
    check_finite(x, np.unique(np.concatenate(trains)))


def check_finite(x: np.ndarray, rows: np.ndarray) -> None:
    """Check that all features of some rows are finite.

    Raises
    ------
    ProbeError
        Some are not; the message has the number of rows and the first one.
    """
    # the sum of a row shows whether it needs a closer check, without a copy of the features
    with np.errstate(invalid="ignore", over="ignore"):
        sums = x @ np.ones(x.shape[1], x.dtype)
    doubtful = rows[~np.isfinite(sums[rows])]
    wrong = doubtful[~np.isfinite(x[doubtful]).all(axis=1)]
    if len(wrong):
        raise ProbeError(
            f"Features are NaN or infinite in {len(wrong)} of {len(rows)} rows, first row "
            f"{wrong[0]}. Embed again, in fp32 if they were made in fp16."
        )


def group_folds(y: np.ndarray, trains: list[np.ndarray], width: int) -> Iterator[list[int]]:
    """Yield the folds of each batch: alone if small, else of similar size and equal classes."""
    alone = [fold for fold, rows in enumerate(trains) if len(rows) < MIN_SHARED_RATIO * width]
    yield from ([fold] for fold in alone)
    by_classes: dict[tuple, list[int]] = {}
    for fold in sorted(set(range(len(trains))) - set(alone), key=lambda f: len(trains[f])):
        by_classes.setdefault(tuple(np.unique(y[trains[fold]])), []).append(fold)
    for folds in by_classes.values():
        while folds:
            most = MAX_SIZE_RATIO * len(trains[folds[0]])
            batch = [fold for fold in folds if len(trains[fold]) <= most]
            folds = folds[len(batch) :]
            yield batch


def round_up_pow2(value: float) -> float:
    """Return the next power of two, by which floats are scaled without rounding; 1 for zero."""
    return float(2.0 ** np.ceil(np.log2(value))) if value > 0 else 1.0


def prepare_batch(
    x: np.ndarray,
    y: np.ndarray,
    trains: list[np.ndarray],
    folds: list[int],
    *,
    standardised: bool,
    device: str | None,
) -> FoldBatch:
    """Centre, scale and, where rows are few, reduce the features of some folds.

    Parameters
    ----------
    standardised
        Whether a fold in a batch of its own is scaled by the SD of each feature; folds that
        share a batch are not, and their penalty must be weighted by `variance` instead.
    device
        Torch device; None computes in numpy.
    """
    if len(folds) == 1 and len(trains[folds[0]]) < MIN_SHARED_RATIO * x.shape[1]:
        return _prepare_alone(x, y, trains[folds[0]], folds, standardised, device)
    rows = np.unique(np.concatenate([trains[fold] for fold in folds]))
    weight = np.zeros((len(rows), len(folds)))
    for column, fold in enumerate(folds):
        np.add.at(weight[:, column], np.searchsorted(rows, trains[fold]), 1 / len(trains[fold]))
    classes, label = np.unique(y[rows], return_inverse=True)
    sample = x[rows[:: max(1, len(rows) // 1024)]].astype(np.float64)
    shift = sample.mean(axis=0).astype(np.float32)  # any shift is valid, the bias is free
    scale = round_up_pow2(float(np.sqrt(sample.var(axis=0).mean())))
    features, variance = _scaled(x, rows, shift, scale, weight)
    sd = np.sqrt(variance.mean(axis=1)) * scale
    objective = Objective(_on_device(features, device), label, weight, len(classes))
    scales, shift = np.full(x.shape[1], scale), shift.astype(np.float64)
    return FoldBatch(folds, classes, objective, shift, scales, None, variance, sd)


def _on_device(x: np.ndarray, device: str | None) -> Any:
    if device is None:
        return x
    import torch

    return torch.from_numpy(x).to(device)


def _scaled(
    x: np.ndarray, rows: np.ndarray, shift: np.ndarray, scale: float, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return some rows, shifted and scaled, float32, and their variance in each fold.

    The scale is a power of two, so that it adds no rounding error. A variance that is only
    rounding error is set to zero.
    """
    scaled = np.empty((len(rows), x.shape[1]), np.float32)
    light = weight.astype(np.float32)
    mean, square = np.zeros((2, weight.shape[1], x.shape[1]))
    for first in range(0, len(rows), CHUNK_ROWS):
        chunk = slice(first, first + CHUNK_ROWS)
        part = scaled[chunk]
        np.subtract(x[rows[chunk]], shift, out=part)
        part /= scale
        mean += back_project(part, light[chunk])
        square += back_project(part * part, light[chunk])
    variance = square - mean**2
    variance[variance < 1e-6 * square] = 0
    return scaled, variance


def _prepare_alone(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    folds: list[int],
    standardised: bool,
    device: str | None,
) -> FoldBatch:
    first = x[rows[0]].astype(np.float64)  # minus it, constant features are exactly zero
    features = x[rows] - first
    mean = features.mean(axis=0)
    features -= mean
    variance = (features**2).mean(axis=0)
    sd = np.sqrt(variance.mean(keepdims=True))
    scale = np.full(x.shape[1], round_up_pow2(float(sd[0])))
    if standardised:
        scale = np.where(variance > 0, np.sqrt(variance), 1)
    features /= scale
    features, basis = _on_device(features, device), None
    large = len(rows) * x.shape[1] > MAX_FLOAT64
    if not large or len(rows) <= MAX_SPAN_RATIO * x.shape[1]:
        basis, triangle = array_module(features).linalg.qr(features.T)  # mode "reduced" in both
        features = triangle.T
    else:
        features = features.astype(np.float32) if device is None else features.float()
    classes, label = np.unique(y[rows], return_inverse=True)
    weight = np.full((len(rows), 1), 1 / len(rows))
    objective, variance = Objective(features, label, weight, len(classes)), variance / scale**2
    return FoldBatch(
        folds, classes, objective, first + mean, scale, basis, variance[None], sd, standardised
    )
