"""The linear probe as it was published: float32, L-BFGS from zero, one call of `step`."""

from dataclasses import replace

import numpy as np

from cryotome.linear import LinearFit, fit_linear

ITERATIONS = 1000


def fit_replica(x: np.ndarray, y: np.ndarray, *, penalty: float) -> LinearFit:
    """Do what the linear probe of Chen et al. 2024 (UNI) does, step by step.

    Mean cross-entropy + |W| / (2 C) over K weight vectors of float32 and free biases,
    C = penalty * M * K, all zero at first; torch's L-BFGS with learning rate 1, strong
    Wolfe line search, at most 1,000 iterations, gradient tolerance 1e-7, change tolerance
    1e-9, history of 100. It stops beside the optimum: where that is zero it stays at tiny
    weights whose direction is that of the first gradient.

    Returns
    -------
    LinearFit
        `zero` and `optimality` are measured against the exact optimum of the same
        objective; `converged` says that it stopped before its 1,000 iterations.
    """
    exact = fit_linear(x, y, penalty=penalty, squared=False)
    label = np.searchsorted(exact.classes, y)
    cost = penalty * x.shape[1] * len(exact.classes)
    w, b, iterations, passes = descend(x, label, cost=cost)
    objective = _objective(w, b, x, label, cost)
    two = len(exact.classes) == 2
    length = float(np.linalg.norm(w[1] - w[0] if two else w))
    strength = 1 / (2 * cost) / (np.sqrt(2) if two else 1)
    return replace(
        exact,
        weights=w[1] - w[0] if two else w,
        bias=float(b[1] - b[0]) if two else b,
        converged=iterations < ITERATIONS,
        optimality=objective / exact.objective - 1,
        iterations=iterations,
        passes=passes,
        objective=objective,
        weight_norm=length,
        c_effective=length / (len(y) * strength),
    )


def descend(x: np.ndarray, label: np.ndarray, *, cost: float) -> tuple:
    """Run the published optimiser.

    Parameters
    ----------
    label : (n,) int, 0 .. K - 1

    Returns
    -------
    weights (K, M), biases (K,), both float64, iterations, evaluations
    """
    import torch
    from torch.nn.functional import cross_entropy

    features, target = torch.from_numpy(np.array(x, np.float32)), torch.from_numpy(label)
    weights = torch.zeros(int(label.max()) + 1, x.shape[1], requires_grad=True)
    bias = torch.zeros(len(weights), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], lr=1, max_iter=ITERATIONS, tolerance_grad=1e-7, tolerance_change=1e-9,
        history_size=100, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(features @ weights.T + bias, target)
        loss = loss + weights.norm() / (2 * cost)
        loss.backward()
        return loss

    optimiser.step(closure)
    state = optimiser.state[weights]
    w, b = (part.detach().double().numpy() for part in (weights, bias))
    return w, b, int(state["n_iter"]), int(state["func_evals"])


def _objective(
    w: np.ndarray, b: np.ndarray, x: np.ndarray, label: np.ndarray, cost: float
) -> float:
    """Return the objective in float64, of weights (K, M) and biases (K,)."""
    margin = x.astype(np.float64) @ w.T + b
    loss = np.logaddexp.reduce(margin, axis=1) - margin[np.arange(len(x)), label]
    return float(loss.mean() + np.linalg.norm(w) / (2 * cost))
