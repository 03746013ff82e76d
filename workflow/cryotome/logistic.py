"""Logistic regression by scikit-learn, as Roth et al. 2024 (paper 002) name it."""

import warnings
from typing import Any

import numpy as np

from cryotome.errors import ProbeError


def score_logistic(
    x: np.ndarray,
    y: np.ndarray,
    wanted: np.ndarray,
    *,
    penalty: float,
    iterations: int,
    tolerance: float,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Fit scikit-learn's logistic regression and score other rows.

    It minimises C * (sum of cross-entropies) + |W|² / 2 by lbfgs, biases free, from zero, in
    the precision that `x` has; C = penalty M K with M features and K classes (paper 002,
    section 2.1: lambda = 100 / (M K)).

    Parameters
    ----------
    x, y, wanted : (n, M), (n,), (m, M)
    penalty
        The `a` of C = a M K.
    iterations
        At most; a fit that is cut short is used as it is, and the notes say so.
    tolerance
        Largest component of the gradient of the SUM at which lbfgs stops, as scikit-learn up
        to 1.3 took it; since 1.4 it takes that of the mean over the training rows.

    Returns
    -------
    scores : (m,) P of the second class, or (m, K)
    notes
        `converged`, `iterations`, `effective_c`; `warning`: what scikit-learn warned of.

    Raises
    ------
    ProbeError
        The training rows have one class.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = np.unique(y)
    if len(classes) < 2:
        raise ProbeError(
            f"All {len(y)} training rows have the label {classes[0]}. A logistic regression needs "
            "two classes: raise the fraction, or leave this fold out."
        )
    cost = penalty * x.shape[1] * len(classes)
    model = LogisticRegression(C=cost, max_iter=iterations, tol=tolerance / len(x))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        chances = model.fit(x, y).predict_proba(wanted)
    notes = {
        "effective_c": cost,
        "iterations": int(model.n_iter_.max()),
        "converged": not any(issubclass(one.category, ConvergenceWarning) for one in caught),
        "warning": "; ".join(str(one.message).splitlines()[0] for one in caught),
    }
    return chances[:, 1] if len(classes) == 2 else chances, notes
