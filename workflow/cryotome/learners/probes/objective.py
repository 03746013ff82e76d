"""Many folds of one feature matrix as columns: losses, gradients and Hessians in few passes.

The heavy products go through numpy or torch, whichever the features are an array of; what
leaves and enters is numpy float64 of the size of the weights.
"""

from types import ModuleType
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, cholesky

CHUNK = 1024  # rows that are taken to float64 at once
# Multiplications up to which OpenBLAS neither packs nor waits for other threads; a thin product
# in pieces of that size takes less than half the time of the whole.
SMALL = 250_000


def forward(x: Any, columns: Any) -> Any:
    """Return features (n, d) times few columns (d, c)."""
    if not isinstance(x, np.ndarray):
        return x @ columns
    out = np.empty((len(x), columns.shape[1]), x.dtype)
    rows = max(8, SMALL // columns.size)
    for first in range(0, len(x), rows):
        np.matmul(x[first : first + rows], columns, out=out[first : first + rows])
    return out


def backward(x: Any, values: Any) -> Any:
    """Return (c, d): few values a row (n, c), transposed, times features (n, d)."""
    if not isinstance(x, np.ndarray):
        return values.T @ x
    wide = np.ascontiguousarray(values.T)
    out = np.zeros((len(wide), x.shape[1]), x.dtype)
    rows = max(8, SMALL // out.size)
    for first in range(0, len(x), rows):
        out += wide[:, first : first + rows] @ x[first : first + rows]
    return out


def library_of(x: Any) -> ModuleType:
    """Return the module whose array `x` is, numpy or torch."""
    if isinstance(x, np.ndarray):
        return np
    import torch

    return torch


class Objective:
    """The mean cross-entropy of F folds, each over its own rows of the same features.

    A point holds the weights and, last, the bias of every fold and logit: (F, k, d + 1)
    float64, with k = 1 for two classes. Passes over float32 features start from a base
    point whose margins and gradient are known in float64 and add what changes since, so
    that their rounding shrinks with the distance from it.

    Parameters
    ----------
    x : (n, d) numpy array or torch tensor, float32 or float64
    label : (n,) int, 0 .. classes - 1
    weight : (n, F) float64
        What a row counts in a fold: 1 / rows of the fold, or 0.
    """

    def __init__(self, x: Any, label: np.ndarray, weight: np.ndarray, classes: int) -> None:
        self.x, self.xp, self.label = x, library_of(x), label
        self.classes, self.logits = classes, 1 if classes == 2 else classes
        self.folds, self.width = weight.shape[1], x.shape[1]
        self.exact = x.dtype == self.xp.float64
        self.weight = self.put(weight)[:, :, None]  # (n, F, 1)
        one_hot = label[:, None] == (np.arange(classes) if classes > 2 else [1])
        self.target = self.put(one_hot.astype(np.float64))[:, None]  # (n, 1, k)
        self.share = self.take((self.weight * self.target).sum(0))  # (F, k), of each class
        self.passes = 0
        self.zero_loss = self.rebase(self.origin())[0]

    def only(self, folds: np.ndarray) -> "Objective":
        """Return the same with some folds only."""
        weight = np.ascontiguousarray(self.take(self.weight)[:, folds, 0])
        return Objective(self.x, self.label, weight, self.classes)

    def put(self, values: np.ndarray) -> Any:
        """Return numpy values as a float64 array of the features' library and device."""
        if self.xp is np:
            return np.asarray(values, np.float64)
        return self.xp.as_tensor(values, dtype=self.xp.float64, device=self.x.device)

    def take(self, values: Any) -> np.ndarray:
        """Return values of the features' library as numpy float64."""
        return np.asarray(values if self.xp is np else values.cpu(), np.float64)

    def _empty(self, *shape: int) -> Any:
        if self.xp is np:
            return np.empty(shape)
        return self.xp.empty(shape, dtype=self.xp.float64, device=self.x.device)

    def _double(self, values: Any) -> Any:
        return values.astype(np.float64) if self.xp is np else values.double()

    def _like_x(self, values: Any) -> Any:
        return values.astype(self.x.dtype) if self.xp is np else values.to(self.x.dtype)

    def origin(self) -> np.ndarray:
        """Return the point of no weights and the best bias, (F, k, d + 1)."""
        point = np.zeros((self.folds, self.logits, self.width + 1))
        point[:, :, -1] = np.log(self.share)
        if self.logits == 1:
            point[:, :, -1] -= np.log1p(-self.share)
        return point

    def _losses(self, part: slice, margin: Any, weight: Any) -> tuple[Any, Any]:
        """Return loss (F,) of some rows and its derivative by the margins, (n, F, k)."""
        xp, target = self.xp, self.target[part]
        if self.logits == 1:
            sign = 1 - 2 * target
            wrong = sign * margin  # what is small of the two chances is computed as such
            fall = xp.exp(-abs(wrong))
            loss = (wrong + abs(wrong)) / 2 + xp.log1p(fall)
            error = sign * xp.where(wrong > 0, 1 / (1 + fall), fall / (1 + fall))
        else:
            top = xp.amax(margin, -1, keepdims=True)
            rise = xp.exp(margin - top)
            total = rise.sum(-1)[:, :, None]
            loss = top + xp.log(total) - (target * margin).sum(-1)[:, :, None]
            error = rise / total - target
        return (weight * loss).sum(0)[:, 0], weight * error

    def rebase(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate all folds in float64 and make this the base; return as `evaluate`."""
        self.passes += 1
        (folds, logits, size), count = points.shape, len(self.x)
        flat = self.put(points).reshape(folds * logits, -1)
        chunk = self._empty(min(CHUNK, count), self.width)  # used again: new memory is slow
        self.margin = self._empty(count, folds, logits)
        self.residual = self._empty(count, folds, logits)
        loss = self.put(np.zeros(folds))
        gradient = self.put(np.zeros((folds * logits, size - 1)))
        for first in range(0, count, CHUNK):
            part = slice(first, first + CHUNK)
            rows = chunk[: len(self.x[part])]
            rows[:] = self.x[part]
            margin = forward(rows, flat[:, :-1].T) + flat[:, -1]
            self.margin[part] = margin.reshape(-1, folds, logits)
            some, self.residual[part] = self._losses(part, self.margin[part], self.weight[part])
            loss += some
            gradient += backward(rows, self.residual[part].reshape(len(rows), -1))
        self.base, self.gradient = points.copy(), np.empty_like(points)
        self.gradient[:, :, :-1] = self.take(gradient).reshape(folds, logits, -1)
        self.gradient[:, :, -1] = self.take(self.residual.sum(0))
        return self.take(loss), self.gradient.copy()

    def evaluate(self, points: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return loss (A,) and gradient (A, k, d + 1) of the folds (A,) at their points."""
        self.passes += 1
        count, here = len(self.x), folds if self.xp is np else self.xp.as_tensor(folds)
        every = slice(None) if len(folds) == self.folds else here
        step = points - self.base[folds]
        flat = self.put(step).reshape(len(folds) * self.logits, -1)
        moved = self._double(forward(self.x, self._like_x(flat[:, :-1]).T)) + flat[:, -1]
        margin = self.margin[:, every] + moved.reshape(count, -1, self.logits)
        loss, residual = self._losses(slice(None), margin, self.weight[:, every])
        change = (residual - self.residual[:, every]).reshape(count, -1)
        gradient = self.gradient[folds].copy()
        rows = self.take(backward(self.x, self._like_x(change)))
        gradient[:, :, :-1] += rows.reshape(len(folds), self.logits, -1)
        gradient[:, :, -1] += self.take(change.sum(0)).reshape(len(folds), -1)
        return self.take(loss), gradient

    def hessian(self, points: np.ndarray) -> Any:
        """Return the Hessian at the points, its mean over folds, one per logit.

        Returns
        -------
        (k, d + 1, d + 1) of the library
            What couples one logit to another is left out.
        """
        step = self._like_x(self.put(points - self.base).reshape(-1, self.width + 1))
        moved = self._double(self.x @ step[:, :-1].T + step[:, -1])
        margin = self.margin + moved.reshape(self.margin.shape)
        slope = self._losses(slice(None), margin, self.weight)[1]
        live = self.xp.where(self.weight > 0, self.weight, self.xp.ones_like(self.weight))
        chance = abs(slope) / live  # or one less it, which gives the same curve
        curve = (self.weight * chance * (1 - chance)).sum(1) / self.folds  # (n, k)
        return self._stack([self._gram(self.x, curve[:, k]) for k in range(self.logits)])

    def gram(self, every: int = 1) -> Any:
        """Return the Hessian at the origin, (1, d + 1, d + 1), estimated from each nth row."""
        part = self.x[::every]
        level = float((self.share * (1 - self.share)).mean()) / len(part)
        return self._stack([self._gram(part, level)])

    def _stack(self, matrices: list) -> Any:
        return np.stack(matrices) if self.xp is np else self.xp.stack(matrices)

    def _gram(self, x: Any, curve: Any) -> Any:
        """Return the Gram matrix of the features and a column of ones, rows weighted."""
        if isinstance(curve, float):
            full, edge, corner = (x.T @ x) * curve, x.sum(0) * curve, len(x) * curve
        else:
            root = self._like_x(curve**0.5)[:, None] * x
            full, edge, corner = root.T @ root, self._like_x(curve) @ x, float(curve.sum())
        out = self._empty(self.width + 1, self.width + 1)
        out[:-1, :-1], out[-1, :-1], out[:-1, -1], out[-1, -1] = full, edge, edge, corner
        return out


class Preconditioner:
    """A Hessian with a penalty's curvature on its diagonal, factorised.

    Parameters
    ----------
    hessian : (1 or k, d + 1, d + 1)
        As `Columns.hessian` or `Columns.gram` gives it.
    ridge : (d,) float64
        Curvature of the penalty by each weight; the bias has none.
    noise
        Relative error of the Hessian's entries, which its diagonal is raised by.
    """

    def __init__(self, hessian: Any, ridge: np.ndarray, *, noise: float) -> None:
        self.xp = library_of(hessian)
        extra = np.append(ridge, 0.0)
        self.factors = [self._factor(one, extra, noise) for one in hessian]

    def _factor(self, one: Any, extra: np.ndarray, noise: float) -> Any:
        diagonal = one.diagonal()
        floor = float(diagonal.max()) * 1e-16 * (noise > 0) + 1e-300
        if self.xp is not np:
            extra = self.xp.as_tensor(extra, device=one.device)
        for grown in range(12):
            raised = diagonal * (noise * 10**grown) + floor + extra
            if self.xp is np:
                try:
                    whole = one + np.diag(raised)
                    return cholesky(whole, lower=True, overwrite_a=True, check_finite=False)
                except np.linalg.LinAlgError:
                    continue
            whole = one.clone()
            whole.diagonal().add_(raised)
            factor, failed = self.xp.linalg.cholesky_ex(whole)
            if not int(failed):
                return factor
        raise np.linalg.LinAlgError("A Hessian of the probe is not positive definite.")

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return its inverse times (F, k, d + 1) float64."""
        logits, size = right.shape[1:]
        if len(self.factors) == 1:
            return self._solve(0, right.reshape(-1, size)).reshape(right.shape)
        parts = [self._solve(k, right[:, k]) for k in range(logits)]
        return np.stack(parts, axis=1)

    def _solve(self, which: int, right: np.ndarray) -> np.ndarray:
        if self.xp is np:
            return cho_solve((self.factors[which], True), right.T, check_finite=False).T
        tall = self.xp.as_tensor(right, device=self.factors[which].device).T
        return np.asarray(self.xp.cholesky_solve(tall, self.factors[which]).T.cpu())
