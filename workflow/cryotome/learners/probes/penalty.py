"""The penalty of a linear probe: the norm of its weights, squared or not."""

from dataclasses import dataclass

import numpy as np


def weight_norm(points: np.ndarray) -> np.ndarray:
    """Return the norm of the weights of each fold, all logits together, (F,)."""
    return np.sqrt((points[:, :, :-1] ** 2).sum((1, 2)))


@dataclass(frozen=True)
class Penalty:
    """The penalty added to the mean cross-entropy of each fold.

    `squared`: strength / 2 * sum of metric * w²; else strength * |w|, over all logits.

    Attributes
    ----------
    strength : (F,) float64
    metric : (F, d) float64
        Default ones; only with `squared`.
    """

    strength: np.ndarray
    squared: bool
    metric: np.ndarray | None = None

    def value(self, points: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return value (A,) and gradient (A, k, d + 1) of the folds (A,) at their points."""
        weights, strength = points[:, :, :-1], self.strength[folds]
        gradient = np.zeros_like(points)
        if self.squared:
            metric = 1.0 if self.metric is None else self.metric[folds][:, None]
            gradient[:, :, :-1] = strength[:, None, None] * metric * weights
            return (gradient[:, :, :-1] * weights).sum((1, 2)) / 2, gradient
        norm = weight_norm(points)
        gradient[:, :, :-1] = (strength / np.maximum(norm, 1e-300))[:, None, None] * weights
        return strength * norm, gradient

    def curvature(self, points: np.ndarray) -> np.ndarray:
        """Return the curvature by each weight, averaged over the folds, (d,) float64."""
        level = self.strength
        if not self.squared:
            level = level / np.maximum(weight_norm(points), 1e-300)
        mean = np.exp(np.log(level).mean())
        if self.metric is None:
            return np.full(points.shape[2] - 1, mean)
        return mean * self.metric.mean(axis=0)
