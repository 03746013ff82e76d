"""The objective of a linear probe: losses, gradients and Hessians of many folds in few passes.

The folds train on rows of the same features, and their weights are columns of one matrix
product. The large products run in numpy or torch, whichever the features are an array of;
arguments and results are numpy float64 arrays of the size of the weights.
"""

from types import ModuleType
from typing import Any

import numpy as np
from scipy.linalg import cho_solve, cholesky

CHUNK_ROWS = 1024  # rows converted to float64 at once
# Multiplications below which OpenBLAS neither packs nor synchronises threads: a thin product in
# pieces of that size takes less than half the time of the whole.
UNPACKED_PRODUCTS = 250_000
LIGHT = 1e-6  # share of the curvature that a Hessian leaves out, with the rows that hold least
MAX_BENT = 0.5  # share of the rows that hold the rest up to which each fold has its own Hessian


def project(x: Any, columns: Any) -> Any:
    """Return features (n, d) times few columns (d, c)."""
    if not isinstance(x, np.ndarray):
        return x @ columns
    out = np.empty((len(x), columns.shape[1]), x.dtype)
    rows = max(8, UNPACKED_PRODUCTS // columns.size)
    for first in range(0, len(x), rows):
        np.matmul(x[first : first + rows], columns, out=out[first : first + rows])
    return out


def back_project(x: Any, values: Any) -> Any:
    """Return few values a row (n, c), transposed, times features (n, d): (c, d)."""
    if not isinstance(x, np.ndarray):
        return values.T @ x
    wide = np.ascontiguousarray(values.T)
    out = np.zeros((len(wide), x.shape[1]), x.dtype)
    rows = max(8, UNPACKED_PRODUCTS // out.size)
    for first in range(0, len(x), rows):
        out += wide[:, first : first + rows] @ x[first : first + rows]
    return out


def bent_rows(curve: np.ndarray) -> np.ndarray:
    """Return the rows, sorted, without those that together hold `LIGHT` of the curvature (n,)."""
    order = np.argsort(curve)
    return np.sort(order[np.searchsorted(np.cumsum(curve[order]), LIGHT * curve.sum()) :])


def array_module(x: Any) -> ModuleType:
    """Return the module whose array `x` is, numpy or torch."""
    if isinstance(x, np.ndarray):
        return np
    import torch

    return torch


class Objective:
    """Mean cross-entropy of F folds, each over its own rows of the same features.

    A point holds the weights and, last, the bias of every fold and logit: (F, k, d + 1)
    float64, with k = 1 for two classes. Passes over float32 features start from a base
    point whose margins and gradient are known in float64 and add only the change since, so
    that their rounding error shrinks with the distance from it.

    Parameters
    ----------
    x : (n, d) numpy array or torch tensor, float32 or float64
    label : (n,) int, 0 .. classes - 1
    weight : (n, F) float64
        Weight of a row in a fold: 1 / rows of the fold, or 0.

    Attributes
    ----------
    base, gradient : (F, k, d + 1) float64
        The base point and the gradient there.
    passes : int
        Passes over the features so far.
    prevalence : (F, k) float64
        Fraction of each class among the rows of a fold.
    zero_loss : (F,) float64
        Loss without weights and with the best bias.
    """

    def __init__(self, x: Any, label: np.ndarray, weight: np.ndarray, classes: int) -> None:
        self.x, self.xp, self.label = x, array_module(x), label
        self.classes, self.logits = classes, 1 if classes == 2 else classes
        self.folds, self.width = weight.shape[1], x.shape[1]
        self.is_float64 = x.dtype == self.xp.float64
        self.weight = self.write(weight)[:, :, None]  # (n, F, 1)
        one_hot = label[:, None] == (np.arange(classes) if classes > 2 else [1])
        self.target = self.write(one_hot.astype(np.float64))[:, None]  # (n, 1, k)
        self.prevalence = self.read((self.weight * self.target).sum(0))
        self.passes = 0
        self.zero_loss = self.recenter(self.zero())[0]

    def _index(self, rows: np.ndarray) -> Any:
        return rows if self.xp is np else self.xp.as_tensor(rows, device=self.x.device)

    def subset(self, folds: np.ndarray) -> "Objective":
        """Return the objective of some of the folds."""
        weight = np.ascontiguousarray(self.read(self.weight)[:, folds, 0])
        return Objective(self.x, self.label, weight, self.classes)

    def write(self, values: np.ndarray) -> Any:
        """Convert numpy values to a float64 array of the features' library and device."""
        if self.xp is np:
            return np.asarray(values, np.float64)
        return self.xp.as_tensor(values, dtype=self.xp.float64, device=self.x.device)

    def read(self, values: Any) -> np.ndarray:
        """Convert values of the features' library to numpy float64."""
        return np.asarray(values if self.xp is np else values.cpu(), np.float64)

    def _empty(self, *shape: int) -> Any:
        if self.xp is np:
            return np.empty(shape)
        return self.xp.empty(shape, dtype=self.xp.float64, device=self.x.device)

    def _double(self, values: Any) -> Any:
        return values.astype(np.float64) if self.xp is np else values.double()

    def _like_x(self, values: Any) -> Any:
        return values.astype(self.x.dtype) if self.xp is np else values.to(self.x.dtype)

    def zero(self) -> np.ndarray:
        """Return the point without weights and with the best bias, (F, k, d + 1)."""
        point = np.zeros((self.folds, self.logits, self.width + 1))
        point[:, :, -1] = np.log(self.prevalence)
        if self.logits == 1:
            point[:, :, -1] -= np.log1p(-self.prevalence)
        return point

    def _losses(self, rows: slice, margin: Any, weight: Any) -> tuple[Any, Any]:
        """Return the loss (F,) of some rows and its derivative by the margins, (n, F, k)."""
        xp, target = self.xp, self.target[rows]
        if self.logits == 1:
            sign = 1 - 2 * target
            wrong = sign * margin
            fall = xp.exp(-abs(wrong))  # of the smaller of p and 1 - p, to keep its precision
            loss = (wrong + abs(wrong)) / 2 + xp.log1p(fall)
            error = sign * xp.where(wrong > 0, 1 / (1 + fall), fall / (1 + fall))
        else:
            top = xp.amax(margin, -1, keepdims=True)
            rise = xp.exp(margin - top)
            total = rise.sum(-1)[:, :, None]
            loss = top + xp.log(total) - (target * margin).sum(-1)[:, :, None]
            error = rise / total - target
        return (weight * loss).sum(0)[:, 0], weight * error

    def recenter(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Evaluate all folds in float64 and make this point the base; return as `evaluate`."""
        self.passes += 1
        (folds, logits, size), count = points.shape, len(self.x)
        flat = self.write(points).reshape(folds * logits, -1)
        buffer = self._empty(min(CHUNK_ROWS, count), self.width)  # reused: allocating is slow
        self.margin = self._empty(count, folds, logits)
        self.residual = self._empty(count, folds, logits)
        loss = self.write(np.zeros(folds))
        gradient = self.write(np.zeros((folds * logits, size - 1)))
        for first in range(0, count, CHUNK_ROWS):
            chunk = slice(first, first + CHUNK_ROWS)
            rows = buffer[: len(self.x[chunk])]
            rows[:] = self.x[chunk]
            margin = project(rows, flat[:, :-1].T) + flat[:, -1]
            self.margin[chunk] = margin.reshape(-1, folds, logits)
            some, self.residual[chunk] = self._losses(chunk, self.margin[chunk], self.weight[chunk])
            loss += some
            gradient += back_project(rows, self.residual[chunk].reshape(len(rows), -1))
        self.base, self.gradient = points.copy(), np.empty_like(points)
        self.gradient[:, :, :-1] = self.read(gradient).reshape(folds, logits, -1)
        self.gradient[:, :, -1] = self.read(self.residual.sum(0))
        return self.read(loss), self.gradient.copy()

    def evaluate(self, points: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return loss (A,) and gradient (A, k, d + 1) of the folds (A,) at their points."""
        self.passes += 1
        count, here = len(self.x), folds if self.xp is np else self.xp.as_tensor(folds)
        chosen = slice(None) if len(folds) == self.folds else here
        step = points - self.base[folds]
        flat = self.write(step).reshape(len(folds) * self.logits, -1)
        moved = self._double(project(self.x, self._like_x(flat[:, :-1]).T)) + flat[:, -1]
        margin = self.margin[:, chosen] + moved.reshape(count, -1, self.logits)
        loss, residual = self._losses(slice(None), margin, self.weight[:, chosen])
        change = (residual - self.residual[:, chosen]).reshape(count, -1)
        gradient = self.gradient[folds].copy()
        rows = self.read(back_project(self.x, self._like_x(change)))
        gradient[:, :, :-1] += rows.reshape(len(folds), self.logits, -1)
        gradient[:, :, -1] += self.read(change.sum(0)).reshape(len(folds), -1)
        return self.read(loss), gradient

    def hessian(self) -> Any:
        """Return the Hessian at the base point, one per logit.

        Rows that hold hardly any curvature are left out. Where classes are nearly separable these
        are most rows, and the others differ from fold to fold: each fold then has a Hessian of its
        own if memory allows, else all folds share their mean.

        Returns
        -------
        (k or F * k, d + 1, d + 1) of the library
            The blocks that couple two logits are ignored.
        """
        live = self.xp.where(self.weight > 0, self.weight, self.xp.ones_like(self.weight))
        p = abs(self.residual) / live  # or 1 - p; p (1 - p) is the same
        curve = self.read(self.weight * p * (1 - p))  # (n, F, k)
        own = [bent_rows(column) for column in curve.reshape(len(curve), -1).T]
        few = np.mean([len(rows) for rows in own]) < MAX_BENT * (curve > 0).sum() / len(own)
        if not (few and 2 * len(own) * self.width <= len(curve)):
            curve = curve.mean(axis=1)
            own = [bent_rows(column) for column in curve.T]
        columns = curve.reshape(len(curve), -1).T
        return self._stack(
            [
                self._gram(self.x[self._index(rows)], self.write(column[rows]))
                for rows, column in zip(own, columns, strict=True)
            ]
        )

    def zero_hessian(self, every: int = 1) -> Any:
        """Return the Hessian at `zero`, (1, d + 1, d + 1), estimated from each nth row."""
        rows = self.x[::every]
        level = float((self.prevalence * (1 - self.prevalence)).mean()) / len(rows)
        return self._stack([self._gram(rows, level)])

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
    """A factorised Hessian with a penalty's curvature on its diagonal.

    Parameters
    ----------
    hessian : (1, k or F * k, d + 1, d + 1)
        As `Objective.hessian` or `Objective.zero_hessian` returns it.
    ridge : (d,) float64
        Curvature of the penalty by each weight; the bias has none.
    noise
        Relative error of the Hessian's entries, by which its diagonal is raised.
    """

    def __init__(self, hessian: Any, ridge: np.ndarray, *, noise: float) -> None:
        self.xp = array_module(hessian)
        extra = np.append(ridge, 0.0)
        self.factors = [self._factor(one, extra, noise) for one in hessian]

    def _factor(self, one: Any, extra: np.ndarray, noise: float) -> Any:
        diagonal = one.diagonal()
        floor = float(diagonal.max()) * 1e-16 * (noise > 0) + 1e-300
        if self.xp is not np:
            extra = self.xp.as_tensor(extra, device=one.device)
        for attempt in range(12):
            raised = diagonal * (noise * 10**attempt) + floor + extra
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
        """Return the inverse times (F, k, d + 1) float64."""
        flat, count = right.reshape(-1, right.shape[2]), len(self.factors)
        out = np.empty_like(flat)
        for which in range(count):
            out[which::count] = self._solve(which, flat[which::count])
        return out.reshape(right.shape)

    def _solve(self, which: int, right: np.ndarray) -> np.ndarray:
        if self.xp is np:
            return cho_solve((self.factors[which], True), right.T, check_finite=False).T
        tall = self.xp.as_tensor(right, device=self.factors[which].device).T
        return np.asarray(self.xp.cholesky_solve(tall, self.factors[which]).T.cpu())
