"""Folds of one feature matrix, brought into the form that the solver is fast in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryotome.core.errors import ProbeError
from cryotome.learners.probes.objective import CHUNK, Objective, backward, library_of

EXACT = 4_000_000  # numbers up to which a fold is solved in float64 throughout
REDUCED = 0.6  # rows per feature up to which the span of the rows replaces the features
MANY = 1  # rows per feature from which folds share one Hessian and are solved together
ALIKE = 1.5  # rows of the largest over those of the smallest fold that are solved together
SAMPLE = 6  # rows per feature that the Hessian to begin with is estimated from


@dataclass(frozen=True)
class FoldBatch:
    """Folds that are solved together, and the way back to the features as they came.

    Attributes
    ----------
    which : list of int
        The folds.
    columns
        Features less `shift`, over `scale`, times `basis` where there is one.
    spread : (F, d) float64
        Variance of each feature of `columns` over the rows of each fold; d before `basis`.
    sd : (F,) float64
        Root of the mean variance of the features, in their own units.
    standardised
        Whether `scale` is the SD of each feature.
    """

    which: list[int]
    classes: np.ndarray
    columns: Objective
    shift: np.ndarray
    scale: np.ndarray
    basis: Any
    spread: np.ndarray
    sd: np.ndarray
    standardised: bool = False

    def back(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return weights (F, k, M) and bias (F, k) in units of the features as they came."""
        weights = points[:, :, :-1]
        if self.basis is not None:
            flat = self.columns.put(weights.reshape(-1, weights.shape[2]))
            weights = self.columns.take(flat @ self.basis.T).reshape(*weights.shape[:2], -1)
        weights = weights / self.scale
        return weights, points[:, :, -1] - weights @ self.shift

    def hessian(self) -> Any:
        """Return the Hessian to begin with, of a sample of the rows where they are many."""
        count, width = self.columns.x.shape
        return self.columns.gram(max(1, count // (SAMPLE * width)))


def check_folds(x: np.ndarray, y: np.ndarray, trains: list[np.ndarray]) -> None:
    """Check that every fold can be fitted.

    Raises
    ------
    ProbeError
        Shapes disagree, no rows, one class only, or features that are no numbers.
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
    check_numbers(x, np.unique(np.concatenate(trains)))


def check_numbers(x: np.ndarray, rows: np.ndarray) -> None:
    """Check that all features of some rows are finite.

    Raises
    ------
    ProbeError
        Some are not; the text says how many rows and the first.
    """
    # one sum finds out whether a row needs a closer look, without a copy of the features
    with np.errstate(invalid="ignore", over="ignore"):
        sums = x @ np.ones(x.shape[1], x.dtype)
    doubtful = rows[~np.isfinite(sums[rows])]
    wrong = doubtful[~np.isfinite(x[doubtful]).all(axis=1)]
    if len(wrong):
        raise ProbeError(
            f"Features are NaN or infinite in {len(wrong)} of {len(rows)} rows, first row "
            f"{wrong[0]}. Embed again, in fp32 if they were made in fp16."
        )


def group_equal_features(
    y: np.ndarray, trains: list[np.ndarray], width: int
) -> Iterator[list[int]]:
    """Yield the folds that are solved together: of many rows, alike in number, same classes."""
    alone = [fold for fold, rows in enumerate(trains) if len(rows) < MANY * width]
    yield from ([fold] for fold in alone)
    kinds: dict[tuple, list[int]] = {}
    for fold in sorted(set(range(len(trains))) - set(alone), key=lambda f: len(trains[f])):
        kinds.setdefault(tuple(np.unique(y[trains[fold]])), []).append(fold)
    for folds in kinds.values():
        while folds:
            most = ALIKE * len(trains[folds[0]])
            taken = [fold for fold in folds if len(trains[fold]) <= most]
            folds = folds[len(taken) :]
            yield taken


def round_up_pow2(value: float) -> float:
    """Return the next power of two, which no float is rounded by; 1 for zero."""
    return float(2.0 ** np.ceil(np.log2(value))) if value > 0 else 1.0


def prepare(
    x: np.ndarray,
    y: np.ndarray,
    trains: list[np.ndarray],
    which: list[int],
    *,
    standardised: bool,
    device: str | None,
) -> FoldBatch:
    """Centre, scale and, where rows are few, reduce the features of some folds.

    Parameters
    ----------
    standardised
        Whether a fold that stands alone is scaled by the SD of each feature; folds
        together are not, and their penalty must be weighted by `spread` instead.
    device
        Where torch computes; None for numpy.
    """
    if len(which) == 1 and len(trains[which[0]]) < MANY * x.shape[1]:
        return _prepare_alone(x, y, trains[which[0]], which, standardised, device)
    rows = np.unique(np.concatenate([trains[fold] for fold in which]))
    weight = np.zeros((len(rows), len(which)))
    for column, fold in enumerate(which):
        np.add.at(weight[:, column], np.searchsorted(rows, trains[fold]), 1 / len(trains[fold]))
    classes, label = np.unique(y[rows], return_inverse=True)
    sample = x[rows[:: max(1, len(rows) // 1024)]].astype(np.float64)
    shift = sample.mean(axis=0).astype(np.float32)  # any shift will do, the bias is free
    scale = round_up_pow2(float(np.sqrt(sample.var(axis=0).mean())))
    mine, spread = _taken(x, rows, shift, scale, weight, device)
    sd = np.sqrt(spread.mean(axis=1)) * scale
    columns = Objective(mine, label, weight, len(classes))
    scales = np.full(x.shape[1], scale)
    return FoldBatch(which, classes, columns, shift.astype(np.float64), scales, None, spread, sd)


def _taken(
    x: np.ndarray,
    rows: np.ndarray,
    shift: np.ndarray,
    scale: float,
    weight: np.ndarray,
    device: str | None,
) -> tuple[Any, np.ndarray]:
    """Return some rows, shifted and scaled, float32, and their variance in each fold.

    The scale is a power of two, and so is not felt in float32. A variance is zero where
    rounding is all it has.
    """
    mine = np.empty((len(rows), x.shape[1]), np.float32)
    light = weight.astype(np.float32)
    mean, square = np.zeros((2, weight.shape[1], x.shape[1]))
    for first in range(0, len(rows), CHUNK):
        part, some = mine[first : first + CHUNK], light[first : first + CHUNK]
        np.subtract(x[rows[first : first + CHUNK]], shift, out=part)
        part /= scale
        mean += backward(part, some)
        square += backward(part * part, some)
    spread = square - mean**2
    spread[spread < 1e-6 * square] = 0
    if device is None:
        return mine, spread
    import torch

    return torch.from_numpy(mine).to(device), spread


def _prepare_alone(
    x: np.ndarray,
    y: np.ndarray,
    rows: np.ndarray,
    which: list[int],
    standardised: bool,
    device: str | None,
) -> FoldBatch:
    first = x[rows[0]].astype(np.float64)  # constants are exactly zero beside it
    mine = x[rows] - first
    mean = mine.mean(axis=0)
    mine -= mean
    spread = (mine**2).mean(axis=0)
    sd = np.sqrt(spread.mean(keepdims=True))
    scale = np.full(x.shape[1], round_up_pow2(float(sd[0])))
    if standardised:
        scale = np.where(spread > 0, np.sqrt(spread), 1)
    mine /= scale
    basis = None
    if device is not None:
        import torch

        mine = torch.from_numpy(mine).to(device)
    if len(rows) <= REDUCED * x.shape[1]:
        basis, triangle = library_of(mine).linalg.qr(mine.T)  # mode "reduced" in both
        mine = triangle.T
    elif len(rows) * x.shape[1] > EXACT:
        mine = mine.astype(np.float32) if device is None else mine.float()
    classes, label = np.unique(y[rows], return_inverse=True)
    weight = np.full((len(rows), 1), 1 / len(rows))
    columns = Objective(mine, label, weight, len(classes))
    return FoldBatch(
        which, classes, columns, first + mean, scale, basis, (spread / scale**2)[None], sd,
        standardised,
    )  # fmt: skip
