"""Recalibrators: maps from scores to probabilities, fitted on labelled cells."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, logit

from cryotome.evaluation.clinical.calibration import MIN_PROBABILITY

MAX_TEMPERATURE = 100.0  # and its inverse the least; beyond, scores are one half, or 0 and 1


@dataclass(frozen=True)
class Recalibrator:
    """The map logit P = intercept + slope logit(score); of a temperature T the slope is 1 / T."""

    slope: float
    intercept: float = 0.0

    def apply(self, score: np.ndarray) -> np.ndarray:
        """Return the probability of each score, (n,)."""
        return expit(self.intercept + self.slope * clipped_logit(score))


def clipped_logit(score: np.ndarray) -> np.ndarray:
    """Return the logit of scores, which are clipped to 1e-6 and 1 minus it, (n,)."""
    return logit(np.clip(score, MIN_PROBABILITY, 1 - MIN_PROBABILITY))


def platt_targets(label: np.ndarray) -> np.ndarray:
    """Return what is fitted in place of 0 and 1, so that separated classes have an optimum too.

    >>> platt_targets(np.array([0, 1, 1])).round(2).tolist()
    [0.33, 0.75, 0.75]
    """
    positives = label.sum()
    high, low = (positives + 1) / (positives + 2), 1 / (len(label) - positives + 2)
    return np.where(label == 1, high, low)


def fit_temperature(label: np.ndarray, score: np.ndarray) -> Recalibrator:
    """Fit a temperature (Guo et al. 2017) on Platt's targets: labels and scores (n,)."""
    x, target, reach = clipped_logit(score), platt_targets(label), np.log(MAX_TEMPERATURE)
    how = {"bounds": (-reach, reach), "method": "bounded", "options": {"xatol": 1e-7}}
    found = minimize_scalar(lambda cold: _log_loss(np.exp(cold) * x, target), **how)
    return Recalibrator(float(np.exp(found.x)))


def fit_logistic_map(label: np.ndarray, score: np.ndarray) -> Recalibrator:
    """Fit slope and intercept (Platt 1999), on his targets: labels and scores (n,)."""
    x, target = clipped_logit(score), platt_targets(label)
    columns = np.column_stack([x, np.ones(len(x))])

    def objective(weights: np.ndarray) -> tuple[float, np.ndarray]:
        said = columns @ weights
        return _log_loss(said, target), columns.T @ (expit(said) - target) / len(x)

    found = minimize(objective, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return Recalibrator(*map(float, found.x))


def _log_loss(logits: np.ndarray, target: np.ndarray) -> float:
    return float((np.logaddexp(0, logits) - target * logits).mean())


Fit = Callable[[np.ndarray, np.ndarray], Recalibrator]
METHODS: dict[str, Fit] = {"temperature": fit_temperature, "logistic": fit_logistic_map}


def fit_recalibrator(method: str, label: np.ndarray, score: np.ndarray) -> Recalibrator | None:
    """Fit a method of `METHODS`; None where the labelled cells have one class only."""
    return METHODS[method](label, score) if len(np.unique(label)) == 2 else None
