"""Preconditioned L-BFGS on many folds at once, to a stated relative gap."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryotome.learners.probes.objective import Objective, Preconditioner

STUCK = 1e-5  # share of a step below which a line search gives up
HISTORY = 20  # pairs of step and change of gradient that are remembered
LIMIT = 600  # passes over the features
SLOW = 8  # how much faster a flop of a Gram matrix is than one of a matrix times few columns
NEAR = 1e-5  # relative gap below which float32 passes go on from a base in float64
COUPLED = 10  # how much nearer more than two classes are brought, by the estimate
TRUSTED = 1e-2  # relative gap below which a Hessian holds good until the optimum


@dataclass(frozen=True)
class Penalty:
    """What is added to the mean cross-entropy of each fold.

    `squared`: strength / 2 * sum of metric * w²; else strength * |w|, over all logits.

    Attributes
    ----------
    strength : (F,) float64
    metric : (F, d) float64
        Ones where not said; only with `squared`.
    """

    strength: np.ndarray
    squared: bool
    metric: np.ndarray | None = None

    def of(self, points: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return value (A,) and gradient (A, k, d + 1) of the folds (A,) at their points."""
        weights, strength = points[:, :, :-1], self.strength[folds]
        gradient = np.zeros_like(points)
        if self.squared:
            metric = 1.0 if self.metric is None else self.metric[folds][:, None]
            gradient[:, :, :-1] = strength[:, None, None] * metric * weights
            return (gradient[:, :, :-1] * weights).sum((1, 2)) / 2, gradient
        norm = size(points)
        gradient[:, :, :-1] = (strength / np.maximum(norm, 1e-300))[:, None, None] * weights
        return strength * norm, gradient

    def curvature(self, points: np.ndarray) -> np.ndarray:
        """Return one curvature by each weight that serves all folds, (d,) float64."""
        level = self.strength if self.squared else self.strength / np.maximum(size(points), 1e-300)
        mean = np.exp(np.log(level).mean())
        if self.metric is None:
            return np.full(points.shape[2] - 1, mean)
        return mean * self.metric.mean(axis=0)


@dataclass
class LbfgsState:
    """Where a descent ended, per fold: points (F, k, d + 1), the others (F,)."""

    points: np.ndarray
    value: np.ndarray
    gap: np.ndarray
    iterations: np.ndarray
    passes: int

    @classmethod
    def none(cls, columns: Objective) -> "LbfgsState":
        """Return the end where every fold is best without weights."""
        none = np.zeros(columns.folds)
        loss = columns.zero_loss.copy()
        return cls(columns.origin(), loss, none, none.astype(int), columns.passes)

    def put(self, folds: np.ndarray, other: "LbfgsState") -> None:
        """Take over where some folds ended."""
        for name in ("points", "value", "gap", "iterations"):
            getattr(self, name)[folds] = getattr(other, name)
        self.passes += other.passes


def size(points: np.ndarray) -> np.ndarray:
    """Return the norm of the weights of each fold, all logits together, (F,)."""
    return np.sqrt((points[:, :, :-1] ** 2).sum((1, 2)))


class LbfgsHistory:
    """The curvature that the last steps have met, per fold; gives the next direction."""

    def __init__(self) -> None:
        self.pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def put(self, step: np.ndarray, change: np.ndarray, taken: np.ndarray) -> None:
        inner = (step * change).sum((1, 2))
        good = taken & (inner > 1e-14 * np.sqrt((step**2).sum((1, 2)) * (change**2).sum((1, 2))))
        if good.any():
            share = np.where(good, 1 / np.where(good, inner, 1), 0)
            self.pairs = [*self.pairs[1 - HISTORY :], (step, change, share)]

    def direction(self, slope: np.ndarray, solve: Callable) -> np.ndarray:
        """Return minus the inverse Hessian, as far as known, times the gradient."""
        rest, parts = slope.copy(), []
        for step, change, share in reversed(self.pairs):
            parts.append(share * (step * rest).sum((1, 2)))
            rest -= parts[-1][:, None, None] * change
        rest = solve(rest)
        for step, change, share in self.pairs:
            back = share * (change * rest).sum((1, 2))
            rest += (parts.pop() - back)[:, None, None] * step
        return -rest


class LbfgsSolver:
    """One descent: what is minimised, its Hessian, and how both are kept up to date.

    Parameters
    ----------
    hessian
        To begin with; `Columns.gram` gives one.
    tolerance
        Relative gap of the objective at which a fold is done.
    """

    def __init__(
        self, columns: Objective, penalty: Penalty, hessian: Any, tolerance: float
    ) -> None:
        self.columns, self.penalty = columns, penalty
        # what couples logits is left out of the Hessian, which then promises too much
        self.tolerance = tolerance / (1 if columns.logits == 1 else COUPLED)
        self.hessian, self.hessian_gap = hessian, np.inf
        self.noise = 1e-16 if columns.exact else 1e-6
        self.near = columns.exact
        self.every = np.arange(columns.folds)
        count, width = columns.x.shape
        refresh = count * width**2 * columns.logits + width**3 / 3
        self.patience = max(4.0, refresh / (4 * count * width * SLOW * columns.logits))

    def run(self, start: np.ndarray | None = None) -> LbfgsState:
        """Go down from the given points, or from the best model of the objective at zero."""
        first = self.columns.passes
        self.memory, self.since = LbfgsHistory(), 0
        points = self.start(start)
        iterations, stride = np.zeros((2, len(points)))
        direction, turn = np.zeros_like(points), np.ones(len(points), bool)
        while True:
            direction[turn] = self.memory.direction(self.slope, self.solve)[turn]
            stride[turn] = 1
            fall = -(self.slope * direction).sum((1, 2))
            gap = fall / 2 / np.maximum(self.value, 1e-300)
            if self.columns.passes - first > LIMIT:
                break
            if self.renew(points, gap, stride):
                turn[:] = True
                continue
            active = np.flatnonzero((gap > self.tolerance) & (stride > STUCK))
            if not len(active):
                break
            step = stride[active, None, None] * direction[active]
            after, slope = self.total(points[active] + step, active)
            due = stride[active] * fall[active]
            slack = self.slack() * self.value[active]
            good = after <= self.value[active] - 1e-4 * due + slack
            short = due / 2 / np.maximum(after - self.value[active] + due, 1e-300)
            stride[active] *= np.where(good, 1, np.clip(short, 0.1, 0.5))
            moved, turn[:] = active[good], False
            self.remember(moved, step[good], slope[good] - self.slope[moved])
            points[moved] += step[good]
            self.value[moved], self.slope[moved] = after[good], slope[good]
            turn[moved], self.since = True, self.since + 1
            iterations[moved] += 1
        passes = self.columns.passes - first
        return LbfgsState(points, self.value, gap, iterations.astype(int), passes)

    def slack(self) -> float:
        """Return how much of the objective may be rounding."""
        if not self.near:
            return 1e-7
        return 1e-11 if self.columns.exact else 1e-10

    def renew(self, points: np.ndarray, gap: np.ndarray, stride: np.ndarray) -> bool:
        """Renew the base or the Hessian where that is due; return whether anything was."""
        done = ((gap <= self.tolerance) | (stride <= STUCK)).all()
        if not self.near and (done or (gap <= NEAR).all()):
            loss, slope = self.columns.rebase(points)
            value, pull = self.penalty.of(points, self.every)
            self.value, self.slope, self.near = loss + value, slope + pull, True
            return True
        doubtful = done and len(self.every) == 1 and self.hessian_gap > TRUSTED
        if doubtful or (self.since >= self.patience and not done and (stride == 1).any()):
            self.hessian, self.hessian_gap = self.columns.hessian(points), gap.max()
            self.memory, self.since = LbfgsHistory(), 0
            self.factorise(points)
            return True
        ridge = self.penalty.curvature(points)
        if not done and not 0.4 < ridge[0] / self.ridge[0] < 2.5:
            self.factorise(points)
            return True
        return False

    def remember(self, folds: np.ndarray, step: np.ndarray, change: np.ndarray) -> None:
        """Remember the last accepted steps of some folds."""
        shape = (len(self.every), *step.shape[1:])
        steps, changes, taken = np.zeros(shape), np.zeros(shape), np.zeros(len(self.every), bool)
        steps[folds], changes[folds], taken[folds] = step, change, True
        self.memory.put(steps, changes, taken)

    def total(self, points: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return objective (A,) and gradient (A, k, d + 1) of some folds."""
        parts = self.columns.evaluate(points, folds), self.penalty.of(points, folds)
        return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]

    def factorise(self, points: np.ndarray) -> None:
        """Put the penalty's curvature at these points on the Hessian, and factorise."""
        self.ridge = self.penalty.curvature(points)
        self.factor = Preconditioner(self.hessian, self.ridge, noise=self.noise)
        self.aim(points)

    def aim(self, points: np.ndarray) -> None:
        """Note where the weights point: along it a norm that is not squared has no curvature."""
        self.along = points.copy()
        self.along[:, :, -1] = 0
        self.along /= np.maximum(size(points), 1e-300)[:, None, None]
        self.bent = self._solve(self.along)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return the inverse of Hessian plus penalty times (F, k, d + 1)."""
        left = self._solve(right)
        if self.penalty.squared:
            return left
        rest = 1 - self.ridge[0] * (self.along * self.bent).sum((1, 2))
        share = self.ridge[0] * (self.along * left).sum((1, 2)) / np.maximum(rest, 1e-12)
        return left + share[:, None, None] * self.bent

    def _solve(self, right: np.ndarray) -> np.ndarray:
        left = self.factor.solve(right)
        if self.columns.logits > 1:  # what is common to all logits changes no chance
            left -= left.mean(axis=1, keepdims=True)
        return left

    def start(self, points: np.ndarray | None) -> np.ndarray:
        """Return where to begin, not worse than no weights at all."""
        if points is None:
            points, origin = self.from_zero(), self.columns.origin()
            self.aim(points)
        else:
            points = origin = points.copy()
            self.factorise(points)
        self.value, self.slope = self.total(points, self.every)
        while (worse := self.value > self.columns.zero_loss).any() and origin is not points:
            folds = np.flatnonzero(worse)
            points[folds] = origin[folds] + (points[folds] - origin[folds]) / 4
            self.value[folds], self.slope[folds] = self.total(points[folds], folds)
        return points

    def from_zero(self) -> np.ndarray:
        """Return the minimum of the quadratic model at zero, (F, k, d + 1).

        For a norm that is not squared its curvature 1 / u at that minimum is the root of
        1 / |(1 + u H)^-1 g| = 1 / strength, found by Newton's method from u = 0, on the
        median of the folds.
        """
        origin, slope = self.columns.base, self.columns.gradient
        if self.penalty.squared:
            self.factorise(origin)
            return origin - self.factor.solve(slope)
        strength, steep = self.penalty.strength, size(slope)
        bent = (slope * self._times(slope))[:, :, :-1].sum((1, 2))
        u = float(np.median((1 / strength - 1 / steep) * steep**3 / np.maximum(bent, 1e-300)))
        for _ in range(8):
            self.ridge = np.full(self.columns.width, 1 / u)
            self.factor = Preconditioner(self.hessian, self.ridge, noise=self.noise)
            step = self.factor.solve(slope)
            left = size(step / u)
            again = self.factor.solve(self._times(step / u)) / u
            rise = (step / u * again)[:, :, :-1].sum((1, 2)) / left**3
            change = np.median((1 / strength - 1 / left) / np.maximum(rise, 1e-300))
            u, before = float(np.clip(u + change, u / 10, u * 1000)), u
            if 0.6 < u / before < 1.7:
                break
        return origin - step

    def _times(self, points: np.ndarray) -> np.ndarray:
        """Return the Hessian times the points, (F, k, d + 1)."""
        flat = self.columns.put(points.reshape(-1, points.shape[2]))
        return self.columns.take(flat @ self.hessian[0]).reshape(points.shape)
