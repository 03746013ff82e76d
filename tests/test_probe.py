import warnings

import numpy as np
import pytest
from conftest import CONFIG
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from cryotome.cards import load_card
from cryotome.metrics import auroc
from cryotome.probe import fit_and_score, fit_linear, score_knn


def features(count: int, width: int, scale: float = 1.0, seed: int = 0):
    """Correlated features off the origin, and labels that a tenth of them carry."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width)) @ np.diag(1 / np.sqrt(1 + np.arange(width)))
    x = (x @ np.linalg.qr(rng.normal(size=(width, width)))[0] + 3) * scale
    truth = (x - x.mean(0)) @ rng.normal(size=width) / scale
    return x, (expit(truth) > rng.uniform(size=count)).astype(int)


def objective(w, b, x, y, strength, squared):
    margin = x @ w + b
    norm = np.linalg.norm(w)
    return (
        np.logaddexp(0, margin).mean()
        - (y * margin).mean()
        + strength * (norm**2 / 2 if squared else norm)
    )


@pytest.mark.parametrize(("count", "width"), [(400, 30), (60, 200)])
@pytest.mark.parametrize("scale", [0.05, 1.0, 10.0])
def test_ridge_is_scikit_learns_optimum(count, width, scale):
    x, y = features(count, width, scale)
    fit = fit_linear(x, y, penalty=0.01, squared=True)
    cost = 0.01 * width * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = LogisticRegression(C=cost, solver="newton-cholesky", tol=1e-10).fit(
            x - x.mean(0), y
        )
    assert fit.converged
    there = objective(
        oracle.coef_[0],
        oracle.intercept_[0] - x.mean(0) @ oracle.coef_[0],
        x,
        y,
        1 / (cost * count),
        True,
    )
    assert objective(fit.weights, fit.bias, x, y, 1 / (cost * count), True) == pytest.approx(
        there, rel=1e-7
    )
    assert fit.score(x) == pytest.approx(oracle.predict_proba(x - x.mean(0))[:, 1], abs=2e-4)


@pytest.mark.parametrize(("count", "width"), [(400, 30), (60, 200)])
def test_the_probe_is_ridge_at_its_own_fixed_point(count, width):
    """At the optimum w of the un-squared norm, ridge with C = |w| / (n a) has the same optimum."""
    x, y = features(count, width, 20.0)
    fit = fit_linear(x, y, penalty=0.01, squared=False)
    strength = 1 / (2 * np.sqrt(2) * 0.01 * width * 2)
    norm = np.linalg.norm(fit.weights)
    assert norm > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = LogisticRegression(
            C=norm / (count * strength), solver="newton-cholesky", tol=1e-12
        ).fit(x - x.mean(0), y)
    assert np.linalg.norm(oracle.coef_) == pytest.approx(norm, rel=1e-3)
    assert fit.score(x) == pytest.approx(oracle.predict_proba(x - x.mean(0))[:, 1], abs=2e-4)


def test_the_probe_minimises_the_two_class_form_of_chen():
    """Mean cross-entropy + |W| / (2 cost) over two weight vectors, minimised without our algebra."""
    x, y = features(80, 5, 20.0)
    cost = 5 * 2 / 100

    def chen(point):
        w, b = point[:10].reshape(2, 5), point[10:]
        logits = x @ w.T + b
        loss = (np.logaddexp.reduce(logits, axis=1) - logits[np.arange(80), y]).mean()
        return loss + np.linalg.norm(w) / (2 * cost)

    found = min(
        (minimize(chen, np.random.default_rng(s).normal(size=12), method="BFGS") for s in range(3)),
        key=lambda f: f.fun,
    )
    fit = fit_linear(x, y, penalty=0.01, squared=False)
    ours = np.concatenate([-fit.weights / 2, fit.weights / 2, [-fit.bias / 2, fit.bias / 2]])
    assert chen(ours) <= found.fun + 1e-7


def test_the_probe_is_exactly_zero_where_the_penalty_outweighs_the_gradient():
    x, y = features(100, 20, 1e-4)
    fit = fit_linear(x, y, penalty=0.01, squared=False)
    assert (fit.weights == 0).all()
    assert fit.score(x) == pytest.approx(np.full(100, y.mean()))


def test_the_probe_depends_on_scale_and_ridge_hardly_does():
    x, y = features(600, 100, 1.0)
    head = {name: load_card(CONFIG, "heads", name) for name in ("probe", "ridge")}
    got = {
        (name, scale): auroc(
            y[300:], fit_and_score(card, x[:300] * scale, y[:300], x[300:] * scale)[0]
        )
        for name, card in head.items()
        for scale in (20.0, 1.0)
    }
    fall = {name: got[name, 20.0] - got[name, 1.0] for name in head}
    assert fall["probe"] > 0.2
    assert abs(fall["ridge"]) < 0.1


def test_neighbours_vote_after_centring_and_scaling():
    x = np.array([[9.0, 1], [11, 1], [9, -1], [11, -1]])
    assert score_knn(x, np.array([0, 1, 0, 1]), np.array([[10.5, 0.0]]), neighbours=2).tolist() == [
        1.0
    ]
    everyone = score_knn(x, np.array([0, 1, 0, 1]), x, neighbours=20)  # fewer cells than neighbours
    assert everyone.tolist() == [0.5] * 4
