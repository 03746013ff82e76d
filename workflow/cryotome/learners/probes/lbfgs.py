"""Preconditioned L-BFGS on many folds at once, down to a given relative gap of the objective."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryotome.learners.probes.objective import Objective, Preconditioner
from cryotome.learners.probes.penalty import Penalty, weight_norm

MIN_STEP = 1e-5  # fraction of a full step below which a line search gives up
MAX_PAIRS = 20  # remembered pairs of step and change of gradient
MAX_PASSES = 600  # over the features
GRAM_SPEEDUP = 8  # speed of a flop in a Gram matrix over one in a product with few columns
MIN_PATIENCE = 4  # steps with one Hessian
RECENTER_GAP = 1e-5  # relative gap below which float32 passes need a base point in float64
COUPLED_FACTOR = 10  # by which the tolerance is tightened for more than two classes
HESSIAN_GAP = 1e-2  # relative gap below which a Hessian is valid up to the optimum


@dataclass
class LbfgsState:
    """Result of a minimisation, per fold: points (F, k, d + 1), the others (F,)."""

    points: np.ndarray
    value: np.ndarray
    gap: np.ndarray
    iterations: np.ndarray
    passes: int

    @classmethod
    def at_zero(cls, objective: Objective) -> "LbfgsState":
        """Return the result of folds whose optimum has no weights."""
        none = np.zeros(objective.folds)
        loss = objective.zero_loss.copy()
        return cls(objective.zero(), loss, none, none.astype(int), objective.passes)

    def update(self, folds: np.ndarray, other: "LbfgsState") -> None:
        """Replace the results of some folds."""
        for name in ("points", "value", "gap", "iterations"):
            getattr(self, name)[folds] = getattr(other, name)
        self.passes += other.passes


class LbfgsHistory:
    """Last steps and changes of gradient of each fold, from which the next direction follows."""

    def __init__(self) -> None:
        self.pairs: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def append(self, step: np.ndarray, change: np.ndarray, moved: np.ndarray) -> None:
        """Append step and change (F, k, d + 1) of the folds that moved, (F,) bool."""
        inner = (step * change).sum((1, 2))
        good = moved & (inner > 1e-14 * np.sqrt((step**2).sum((1, 2)) * (change**2).sum((1, 2))))
        if good.any():
            inverse = np.where(good, 1 / np.where(good, inner, 1), 0)
            self.pairs = [*self.pairs[1 - MAX_PAIRS :], (step, change, inverse)]

    def append_some(
        self, folds: np.ndarray, step: np.ndarray, change: np.ndarray, count: int
    ) -> None:
        """Append the steps of some of `count` folds."""
        shape = (count, *step.shape[1:])
        steps, changes, moved = np.zeros(shape), np.zeros(shape), np.zeros(count, bool)
        steps[folds], changes[folds], moved[folds] = step, change, True
        self.append(steps, changes, moved)

    def direction(self, gradient: np.ndarray, solve: Callable) -> np.ndarray:
        """Return minus the approximate inverse Hessian times the gradient."""
        rest, factors = gradient.copy(), []
        for step, change, inverse in reversed(self.pairs):
            factors.append(inverse * (step * rest).sum((1, 2)))
            rest -= factors[-1][:, None, None] * change
        rest = solve(rest)
        for step, change, inverse in self.pairs:
            back = inverse * (change * rest).sum((1, 2))
            rest += (factors.pop() - back)[:, None, None] * step
        return -rest


def rounding_error(objective: Objective, recentered: bool) -> float:
    """Return the relative rounding error of the objective."""
    if not recentered:
        return 1e-7
    return 1e-11 if objective.is_float64 else 1e-10


def is_slow(solver: "LbfgsSolver", gap: float) -> bool:
    """Return whether, at the rate since the last Hessian, a new one saves time."""
    if solver.steps < max(MIN_PATIENCE, solver.patience / 2):
        return False
    fall = np.log(solver.first_gap / gap) / solver.steps
    return bool(np.log(gap / solver.max_gap) > solver.patience * fall)


class LbfgsSolver:
    """Minimiser of an objective plus a penalty, preconditioned by a Hessian.

    Parameters
    ----------
    hessian
        The first one; `Objective.zero_hessian` returns one.
    max_gap
        Relative gap of the objective at which a fold has converged.
    """

    def __init__(
        self, objective: Objective, penalty: Penalty, hessian: Any, max_gap: float
    ) -> None:
        self.objective, self.penalty = objective, penalty
        # the Hessian ignores the coupling of logits, so its predicted decrease is too large
        self.max_gap = max_gap / (1 if objective.logits == 1 else COUPLED_FACTOR)
        self.hessian, self.hessian_gap = hessian, np.inf
        self.noise = 1e-16 if objective.is_float64 else 1e-6
        self.recentered = objective.is_float64
        self.all_folds = np.arange(objective.folds)
        count, width = objective.x.shape
        cost = count * width**2 * objective.logits + width**3 / 3  # of a new Hessian, flops
        self.patience = max(
            MIN_PATIENCE, cost / (4 * count * width * GRAM_SPEEDUP * objective.logits)
        )

    def run(self, start: np.ndarray | None = None) -> LbfgsState:
        """Minimise from the given points, or from the minimum of the quadratic model at zero."""
        first = self.objective.passes
        self.history, self.steps, self.first_gap = LbfgsHistory(), 0, np.inf
        points = self.start(start)
        iterations, stride = np.zeros((2, len(points)))
        direction, turn = np.zeros_like(points), np.ones(len(points), bool)
        while True:
            direction[turn] = self.history.direction(self.gradient, self.solve)[turn]
            stride[turn] = 1
            fall = -(self.gradient * direction).sum((1, 2))
            gap = fall / 2 / np.maximum(self.value, 1e-300)
            if self.objective.passes - first > MAX_PASSES:
                break
            if not self.steps:
                self.first_gap = gap.max()
            if self.refresh(points, gap, stride):
                turn[:] = True
                continue
            active = np.flatnonzero((gap > self.max_gap) & (stride > MIN_STEP))
            if not len(active):
                break
            step = stride[active, None, None] * direction[active]
            good, shrink = self.search(points, active, step, stride[active] * fall[active])
            stride[active] *= shrink
            moved, turn[:] = active[good], False
            turn[moved] = True
            iterations[moved] += 1
        passes = self.objective.passes - first
        return LbfgsState(points, self.value, gap, iterations.astype(int), passes)

    def search(
        self, points: np.ndarray, active: np.ndarray, step: np.ndarray, due: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move the active folds (A,) whose objective falls enough by their step.

        Parameters
        ----------
        due : (A,) float64
            Decrease of the objective that the gradient predicts for the step.

        Returns
        -------
        good : (A,) bool
            Folds that moved; `points` is changed in place.
        shrink : (A,) float64
            Factor of the step size: 1 where a fold moved.
        """
        after, gradient = self.total(points[active] + step, active)
        slack = rounding_error(self.objective, self.recentered) * self.value[active]
        good = after <= self.value[active] - 1e-4 * due + slack
        short = due / 2 / np.maximum(after - self.value[active] + due, 1e-300)
        moved = active[good]
        change = gradient[good] - self.gradient[moved]
        self.history.append_some(moved, step[good], change, len(self.all_folds))
        points[moved] += step[good]
        self.value[moved], self.gradient[moved] = after[good], gradient[good]
        self.steps += 1
        return good, np.where(good, 1, np.clip(short, 0.1, 0.5))

    def refresh(self, points: np.ndarray, gap: np.ndarray, stride: np.ndarray) -> bool:
        """Renew the base point or the Hessian where that is due; return whether one was."""
        done = ((gap <= self.max_gap) | (stride <= MIN_STEP)).all()
        if not self.recentered and (done or (gap <= RECENTER_GAP).all()):
            self.recenter(points)
            self.recentered = True
            return True
        doubtful = done and len(self.all_folds) == 1 and self.hessian_gap > HESSIAN_GAP
        if doubtful or (not done and (stride == 1).any() and is_slow(self, gap.max())):
            self.recenter(points)
            self.hessian, self.hessian_gap = self.objective.hessian(), gap.max()
            self.history, self.steps = LbfgsHistory(), 0
            self.factorise(points)
            return True
        ridge = self.penalty.curvature(points)
        if not done and not 0.4 < ridge[0] / self.ridge[0] < 2.5:
            self.factorise(points)
            return True
        return False

    def recenter(self, points: np.ndarray) -> None:
        """Take the folds' present points as the base of further passes.

        Where classes are nearly separable, the gradient is many times smaller than at zero, and
        float32 passes that start from there return mostly rounding error.
        """
        loss, slope = self.objective.recenter(points)
        value, pull = self.penalty.value(points, self.all_folds)
        self.value, self.gradient = loss + value, slope + pull

    def total(self, points: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return objective plus penalty (A,) and their gradient (A, k, d + 1) of some folds."""
        loss, slope = self.objective.evaluate(points, folds)
        value, pull = self.penalty.value(points, folds)
        return loss + value, slope + pull

    def factorise(self, points: np.ndarray) -> None:
        """Add the penalty's curvature at these points to the Hessian, and factorise it."""
        self.ridge = self.penalty.curvature(points)
        self.factor = Preconditioner(self.hessian, self.ridge, noise=self.noise)
        self.set_direction(points)

    def set_direction(self, points: np.ndarray) -> None:
        """Store the direction of the weights: along it an unsquared norm has no curvature."""
        self.along = points.copy()
        self.along[:, :, -1] = 0
        self.along /= np.maximum(weight_norm(points), 1e-300)[:, None, None]
        self.along_solved = self._solve(self.along)

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Return the inverse of Hessian plus penalty times (F, k, d + 1)."""
        left = self._solve(right)
        if self.penalty.squared:
            return left
        rest = 1 - self.ridge[0] * (self.along * self.along_solved).sum((1, 2))
        factor = self.ridge[0] * (self.along * left).sum((1, 2)) / np.maximum(rest, 1e-12)
        return left + factor[:, None, None] * self.along_solved

    def _solve(self, right: np.ndarray) -> np.ndarray:
        left = self.factor.solve(right)
        if self.objective.logits > 1:  # adding a constant to all logits changes no probability
            left -= left.mean(axis=1, keepdims=True)
        return left

    def start(self, points: np.ndarray | None) -> np.ndarray:
        """Return first points that are not worse than no weights at all."""
        if points is None:
            points, origin = self.from_zero(), self.objective.zero()
            self.set_direction(points)
        else:
            points = origin = points.copy()
            self.factorise(points)
        self.value, self.gradient = self.total(points, self.all_folds)
        while (worse := self.value > self.objective.zero_loss).any() and origin is not points:
            folds = np.flatnonzero(worse)
            points[folds] = origin[folds] + (points[folds] - origin[folds]) / 4
            self.value[folds], self.gradient[folds] = self.total(points[folds], folds)
        return points

    def from_zero(self) -> np.ndarray:
        """Return the minimum of the quadratic model at zero, (F, k, d + 1).

        For an unsquared norm its curvature 1 / u at that minimum is the root of
        1 / |(1 + u H)^-1 g| = 1 / strength, found by Newton's method from u = 0, on the
        median of the folds.
        """
        origin, slope = self.objective.base, self.objective.gradient
        if self.penalty.squared:
            self.factorise(origin)
            return origin - self.factor.solve(slope)
        strength, steep = self.penalty.strength, weight_norm(slope)
        bent = (slope * self._times(slope))[:, :, :-1].sum((1, 2))
        u = float(np.median((1 / strength - 1 / steep) * steep**3 / np.maximum(bent, 1e-300)))
        for _ in range(8):
            self.ridge = np.full(self.objective.width, 1 / u)
            self.factor = Preconditioner(self.hessian, self.ridge, noise=self.noise)
            step = self.factor.solve(slope)
            left = weight_norm(step / u)
            again = self.factor.solve(self._times(step / u)) / u
            rise = (step / u * again)[:, :, :-1].sum((1, 2)) / left**3
            change = np.median((1 / strength - 1 / left) / np.maximum(rise, 1e-300))
            u, before = float(np.clip(u + change, u / 10, u * 1000)), u
            if 0.6 < u / before < 1.7:
                break
        return origin - step

    def _times(self, points: np.ndarray) -> np.ndarray:
        """Return the Hessian times the points, (F, k, d + 1)."""
        flat = self.objective.write(points.reshape(-1, points.shape[2]))
        return self.objective.read(flat @ self.hessian[0]).reshape(points.shape)
