"""The linear probe as it was published: float32, L-BFGS from zero, one call of `step`."""

from dataclasses import replace

import numpy as np

from cryotome.linear import LinearFit, fit_linear


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
    import torch
    from torch.nn.functional import cross_entropy

    exact = fit_linear(x, y, penalty=penalty, squared=False)
    classes, label = np.unique(y, return_inverse=True)
    cost = penalty * x.shape[1] * len(classes)
    features = torch.from_numpy(np.array(x, np.float32))
    target = torch.from_numpy(label)
    weights = torch.zeros(len(classes), x.shape[1], requires_grad=True)
    bias = torch.zeros(len(classes), requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weights, bias], lr=1, max_iter=1000, tolerance_grad=1e-7, tolerance_change=1e-9,
        history_size=100, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = cross_entropy(features @ weights.T + bias, target)
        loss = loss + weights.norm() / (2 * cost)
        loss.backward()
        return loss

    optimiser.step(closure)
    iterations = int(optimiser.state[weights]["n_iter"])
    w, b = (part.detach().double().numpy() for part in (weights, bias))
    objective = _objective(w, b, x, label, cost)
    two = len(classes) == 2
    count = len(y)
    norm = 1 / (2 * cost) / (np.sqrt(2) if two else 1)
    length = float(np.linalg.norm(w[1] - w[0] if two else w))
    return replace(
        exact,
        weights=w[1] - w[0] if two else w,
        bias=float(b[1] - b[0]) if two else b,
        converged=iterations < 1000,
        optimality=objective / exact.objective - 1,
        iterations=iterations,
        passes=int(optimiser.state[weights]["func_evals"]),
        objective=objective,
        weight_norm=length,
        c_effective=length / (count * norm),
    )


def _objective(
    w: np.ndarray, b: np.ndarray, x: np.ndarray, label: np.ndarray, cost: float
) -> float:
    """Return the objective in float64, of weights (K, M) and biases (K,)."""
    margin = x.astype(np.float64) @ w.T + b
    loss = np.logaddexp.reduce(margin, axis=1) - margin[np.arange(len(x)), label]
    return float(loss.mean() + np.linalg.norm(w) / (2 * cost))
