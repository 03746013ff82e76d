"""Linear probes and nearest neighbours on frozen embeddings."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, qr, solve_triangular
from scipy.optimize import minimize
from scipy.special import expit

from cryotome.cards import Card


@dataclass(frozen=True)
class LinearFit:
    """A binary linear classifier: score = expit(x @ weights + bias)."""

    weights: np.ndarray
    bias: float
    converged: bool

    def score(self, embedding: np.ndarray) -> np.ndarray:
        """Return P(label 1) for (n, dim) embeddings, shape (n,) float64."""
        return expit(embedding @ self.weights + self.bias)


def fit_linear(x: np.ndarray, y: np.ndarray, *, penalty: float, squared: bool) -> LinearFit:
    """Minimise the mean logistic loss plus a penalty on the weights, to the optimum.

    With cost = penalty * M * 2 (M features, two classes):

    * `squared`: mean loss + |w|² / (2 cost n), scikit-learn's C = cost (paper 002,
      section 2.4).
    * else: mean loss + |w| / (2 sqrt(2) cost), the norm NOT squared, which is what the
      linear probe of Chen et al. (paper 001, section 3) minimises over its two weight
      vectors W: with w = W1 - W0 the optimum has |W| = |w| / sqrt(2). Where the
      gradient at zero is smaller than the penalty, w = 0 is the exact optimum.

    The bias is free. Features are centred (same optimum), reduced to n dimensions where
    n < M (exact, by QR), and preconditioned by the Gram matrix before L-BFGS.

    Parameters
    ----------
    x : (n, M) float
    y : (n,) of 0 and 1, both present
    """
    count, width = x.shape
    cost = penalty * width * 2
    mean = x.mean(axis=0, dtype=np.float64)
    centred = x.astype(np.float64) - mean
    basis = None
    if count < width:
        basis, triangle = qr(centred.T, mode="economic")
        centred = np.ascontiguousarray(triangle.T)  # (n, n)
    strength = 1 / (cost * count) if squared else 1 / (2 * np.sqrt(2) * cost)
    share = y.mean()
    start = np.log(share / (1 - share))
    slope = centred.T @ (share - y) / count  # gradient at w = 0 with the best bias
    if not squared and np.linalg.norm(slope) <= strength:
        return LinearFit(np.zeros(width), float(start), True)

    ridge = strength if squared else max(strength, 1e-3 * np.linalg.norm(slope))
    gram = 0.25 * centred.T @ centred / count
    factor = cholesky(gram + ridge * np.eye(len(gram)), lower=True)  # w = factor^-T u

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        w = solve_triangular(factor, point[:-1], lower=True, trans=1)
        margin = centred @ w + point[-1]
        loss = np.logaddexp(0, margin).mean() - (y * margin).mean()
        residual = (expit(margin) - y) / count
        norm = np.linalg.norm(w)
        if squared:
            loss, pull = loss + strength * norm**2 / 2, strength * w
        else:
            loss, pull = loss + strength * norm, strength * w / max(norm, 1e-300)
        gradient = solve_triangular(factor, centred.T @ residual + pull, lower=True)
        return float(loss), np.append(gradient, residual.sum())

    # start beside zero, where the norm has a gradient, on the side where the loss falls
    first = -factor.T @ slope / max(np.linalg.norm(slope), 1e-300) * 1e-3
    found = minimize(
        objective, np.append(first, start), jac=True, method="L-BFGS-B",
        options={"maxiter": 5000, "maxfun": 10000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30},
    )  # fmt: skip
    w = solve_triangular(factor, found.x[:-1], lower=True, trans=1)
    w = basis @ w if basis is not None else w
    return LinearFit(w, float(found.x[-1] - mean @ w), bool(found.success))


def score_knn(x: np.ndarray, y: np.ndarray, wanted: np.ndarray, *, neighbours: int) -> np.ndarray:
    """Return the share of positive votes among the nearest training cells, shape (m,).

    Embeddings are centred on the training mean and scaled to length one, distances are
    Euclidean (Chen et al. 2024). With fewer training cells than neighbours all vote.
    """
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize

    mean = x.mean(axis=0)
    votes = KNeighborsClassifier(min(neighbours, len(x))).fit(normalize(x - mean), y)
    return votes.predict_proba(normalize(wanted - mean))[:, 1]


def fit_and_score(
    card: Card, x: np.ndarray, y: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, dict[str, float]]:
    """Fit the head of a card on training embeddings and score others.

    Returns
    -------
    scores : (m,) float64
    notes
        What to remember of the fit, for the prediction's metadata.
    """
    if card["learner"] == "knn":
        return score_knn(x, y, wanted, neighbours=card["neighbours"]), {}
    fit = fit_linear(x, y, penalty=card["penalty"], squared=card["learner"] == "ridge")
    notes = {"converged": fit.converged, "weight_norm": float(np.linalg.norm(fit.weights))}
    return fit.score(wanted), notes
