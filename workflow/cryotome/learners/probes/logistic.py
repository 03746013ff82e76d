"""The logistic regression of scikit-learn that Roth et al. 2024 use."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryotome.core.errors import ProbeError


@dataclass(frozen=True)
class LogisticFit:
    """A logistic regression on features that are centred and divided by one number.

    Attributes
    ----------
    model
        scikit-learn's, on (x - mean) / scale.
    """

    model: Any
    mean: np.ndarray
    scale: float

    def score(self, queries: np.ndarray) -> np.ndarray:
        """Return P of the second class (m,) of two classes, else P of every class (m, K)."""
        probabilities = self.model.predict_proba((queries - self.mean) / self.scale)
        return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """What `LinearHead` scores with."""
        weights, bias = self.model.coef_, self.model.intercept_
        if len(weights) == 1:
            weights, bias = weights[0], bias[0]
        return {
            "shift": self.mean, "scale": np.array(self.scale),
            "weights": weights.T, "bias": np.array(bias),
        }  # fmt: skip


def fit_logistic(
    x: np.ndarray, y: np.ndarray, *, penalty: float, iterations: int, tolerance: float
) -> tuple[LogisticFit, dict[str, Any]]:
    """Fit scikit-learn's logistic regression.

    It minimises C * (sum of cross-entropies) + |W|² / 2 by lbfgs, biases free; C = penalty M K
    with M features and K classes (Roth et al. 2024, section 2.1: lambda = 100 / (M K)).
    Features are centred and divided by one number, in float64, and C is multiplied by its
    square. This keeps the optimum, as the bias is free, and lets lbfgs reach it whatever the
    mean and scale of the features.

    Parameters
    ----------
    x, y : (n, M), (n,)
    penalty
        The `a` of C = a M K.
    iterations
        Maximum number; a fit that has not converged is used as it is, with a warning in the notes.
    tolerance
        The `gradient` at which a fit has converged. lbfgs itself runs until its steps no longer
        lower the objective.

    Returns
    -------
    fit
    notes
        `gradient`: largest component of the gradient at the end, over that without weights, or
        over the objective where that is lower; `converged`, `iterations`, `effective_c`;
        `warning`: why it has not converged.

    Raises
    ------
    ProbeError
        The training rows have one class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes, label = np.unique(y, return_inverse=True)
    if len(classes) < 2:
        raise ProbeError(
            f"All {len(y)} training rows have the label {classes[0]}. A logistic regression needs "
            "two classes: raise the fraction, or leave this fold out."
        )
    cost = penalty * x.shape[1] * len(classes)
    z = x - (mean := x.mean(axis=0, dtype=np.float64))
    # with this scale the curvature by a weight is about that by a bias, 1/4
    scale = np.sqrt((z**2).mean() + 4 / (cost * len(z)))
    z /= scale
    model = LogisticRegression(C=cost * scale**2, max_iter=iterations, tol=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(z, label)
    gradient = _gradient(model, z, label)
    reasons = [str(one.message).splitlines()[0] for one in caught]
    reasons += [f"the gradient is {gradient:.1e} of that without weights, above {tolerance:g}"]
    notes = {"effective_c": cost, "iterations": int(model.n_iter_.max()), "gradient": gradient}
    warning = "; ".join(reasons) * (gradient > tolerance)
    notes |= {"converged": gradient <= tolerance, "warning": warning}
    return LogisticFit(model, mean, float(scale)), notes


def _gradient(model: Any, z: np.ndarray, label: np.ndarray) -> float:
    """Return the largest component of the gradient, relative to the size of the problem."""
    one_hot = np.eye(label.max() + 1)[label]
    fraction, probabilities = one_hot.mean(axis=0), model.predict_proba(z)
    strength = 1 / (model.C * len(z))
    first = (fraction - one_hot).T @ z / len(z)
    residual = (probabilities - one_hot) / len(z)
    pull = np.vstack([-model.coef_, model.coef_]) if len(fraction) == 2 else model.coef_
    last = np.column_stack([residual.T @ z + strength * pull, residual.sum(axis=0)])
    loss = -np.log(np.maximum(probabilities[np.arange(len(z)), label], 1e-300)).mean()
    value = loss + strength / 2 * (model.coef_**2).sum()
    return float(abs(last).max() / max(min(abs(first).max(), value), 1e-300))
