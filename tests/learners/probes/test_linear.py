import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from sklearn.linear_model import LogisticRegression

from cryotome.core.errors import ProbeError
from cryotome.core.metrics import auroc
from cryotome.learners.probes.linear import Execution, fit_folds, fit_linear


def features(count, width, *, scale=1.0, offset=3.0, signal=1.0, classes=2, seed=0):
    """Correlated features off the origin, float32, and labels that they carry."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, width)) / np.sqrt(1 + np.arange(width))
    x = x @ np.linalg.qr(rng.normal(size=(width, width)))[0]
    truth = signal * x @ rng.normal(size=(width, classes))
    y = (truth + rng.gumbel(size=truth.shape)).argmax(axis=1)
    y[:classes] = range(classes)
    return ((x + offset) * scale).astype(np.float32), y


def loss_of(w, b, x, y, strength, squared):
    """The objective of weights (M,) or (K, M) in float64, features centred first."""
    x = x.astype(np.float64)
    mean = x.mean(axis=0)
    margin = (x - mean) @ w.T + (b + mean @ w.T)
    if margin.ndim == 1:
        loss = np.logaddexp(0, (1 - 2 * y) * margin).mean()
    else:
        loss = (np.logaddexp.reduce(margin, axis=1) - margin[np.arange(len(y)), y]).mean()
    norm = np.linalg.norm(w)
    return loss + strength * (norm**2 / 2 if squared else norm)


def newton(x, y, strength):
    """Minimise mean loss + strength / 2 |w|² of two classes in float64: least value and w."""
    x = x.astype(np.float64) - x.mean(axis=0, dtype=np.float64)
    left, values, basis = np.linalg.svd(x, full_matrices=False)
    a = np.c_[left * values, np.ones(len(x))]
    pull = np.append(np.full(len(values), strength), 0)
    point = np.append(np.zeros(len(values)), np.log(y.mean() / (1 - y.mean())))
    sign = 1 - 2 * y

    def value(v):
        return np.logaddexp(0, sign * (a @ v)).mean() + (pull * v * v).sum() / 2

    for _ in range(200):
        wrong = np.exp(-np.logaddexp(0, -sign * (a @ point)))
        gradient = a.T @ (sign * wrong) / len(y) + pull * point
        curve = (a.T * (wrong * (1 - wrong) / len(y))) @ a + np.diag(pull + 1e-300)
        step, stride = np.linalg.lstsq(curve, gradient, rcond=None)[0], 1.0
        while value(point - stride * step) > value(point) * (1 + 1e-15) and stride > 1e-8:
            stride /= 2
        point = point - stride * step
        if gradient @ step < 1e-15 * value(point):
            break
    return value(point), basis.T @ point[:-1]


def least_norm(x, y, strength):
    """Minimise mean loss + strength |w|: ridge whose strength is the norm's own, by roots."""

    def ridge(log):
        return newton(x, y, np.exp(log))

    def excess(log):
        return log + np.log(np.linalg.norm(ridge(log)[1]) / strength)

    start = np.log(x.var(axis=0).sum())
    grid = start + np.arange(-60, 20, 4.0)
    signs = np.sign([excess(log) for log in grid])
    first = int(np.flatnonzero(signs[1:] != signs[:-1])[0])
    log = brentq(excess, grid[first], grid[first + 1], xtol=1e-11)
    value, w = ridge(log)
    norm = np.linalg.norm(w)
    return value - np.exp(log) * norm**2 / 2 + strength * norm, w


def strength_of(count, width, classes, squared):
    cost = 0.01 * width * classes
    if squared:
        return 1 / (cost * count)
    return 1 / (2 * cost) / (np.sqrt(2) if classes == 2 else 1)


CASES = {
    "two cells": {"count": 2, "width": 30, "scale": 20},
    "a dozen cells": {"count": 12, "width": 200, "scale": 20},
    "as many cells as features": {"count": 64, "width": 64, "scale": 10},
    "more features": {"count": 60, "width": 90, "scale": 10},
    "more cells": {"count": 150, "width": 64, "scale": 10},
    "many cells": {"count": 2500, "width": 40, "scale": 10},
    "far off the origin": {"count": 300, "width": 60, "scale": 2, "offset": 1e4},
    "many far off": {"count": 2000, "width": 40, "scale": 2, "offset": 1e4},
    "tiny": {"count": 200, "width": 60, "scale": 1e-6},
    "huge": {"count": 200, "width": 30, "scale": 1e6},
    "many huge": {"count": 2000, "width": 30, "scale": 1e6},
    "separable": {"count": 100, "width": 20, "scale": 10, "signal": 300},
    "separable and few": {"count": 20, "width": 60, "scale": 100, "signal": 300},
    "hardly any signal": {"count": 500, "width": 60, "scale": 5, "signal": 0.01},
}


def case(name):
    if name == "duplicates":
        x, y = features(60, 40, scale=10)
        return np.repeat(x, 3, axis=0), np.repeat(y, 3)
    if name == "constant columns":
        x, y = features(200, 40, scale=10)
        x[:, ::3] = 7.25
        return x, y
    if name == "unbalanced":
        x, y = features(400, 30, scale=20)
        keep = (y == 0) | (np.arange(400) < 12)
        return x[keep], y[keep]
    return features(**CASES[name])


@pytest.mark.parametrize("name", [*CASES, "duplicates", "constant columns", "unbalanced"])
@pytest.mark.parametrize("squared", [False, True], ids=["norm", "squared"])
def test_the_optimum_of_two_classes_is_that_of_newton(name, squared):
    x, y = case(name)
    strength = strength_of(*x.shape, 2, squared)
    fit = fit_linear(x, y, penalty=0.01, squared=squared)
    if fit.zero:
        pull = (x - x.mean(0, dtype=np.float64)).T @ (y - y.mean()) / len(y)
        assert not squared
        assert np.linalg.norm(pull) <= strength
        assert not fit.weights.any()
        return
    least, w = newton(x, y, strength) if squared else least_norm(x, y, strength)
    found = loss_of(fit.weights, fit.bias, x, y, strength, squared)
    assert (found - least) / least < 1e-8
    assert fit.objective == pytest.approx(found, rel=1e-7)
    pairs = y.sum() * (1 - y).sum()
    assert auroc(y, fit.score(x)) == pytest.approx(
        auroc(y, x @ w), abs=max(1e-6, 2.5 / pairs)
    )  # two pairs that nearly tie


def test_the_probe_minimises_the_two_class_form_of_chen():
    """Mean cross-entropy + |W| / (2 cost) over two weight vectors, minimised without our algebra."""
    x, y = features(80, 5, scale=20, offset=0)
    cost = 5 * 2 / 100

    def chen(point):
        w, b = point[:10].reshape(2, 5), point[10:]
        logits = x @ w.T + b
        loss = (np.logaddexp.reduce(logits, axis=1) - logits[np.arange(80), y]).mean()
        return loss + np.linalg.norm(w) / (2 * cost)

    starts = [np.random.default_rng(seed).normal(size=12) for seed in range(3)]
    found = min(minimize(chen, start, method="BFGS").fun for start in starts)
    fit = fit_linear(x, y, penalty=0.01, squared=False)
    ours = np.concatenate([-fit.weights / 2, fit.weights / 2, [-fit.bias / 2, fit.bias / 2]])
    assert not fit.zero
    assert chen(ours) <= found + 1e-9


def test_only_some_of_the_cases_are_zero():
    zero = {name for name in CASES if fit_linear(*case(name), penalty=0.01, squared=False).zero}
    assert zero == {"tiny", "hardly any signal", "many far off"}


@pytest.mark.parametrize(("count", "width"), [(60, 30), (25, 60), (1200, 20)])
def test_nine_classes_have_the_optimum_of_scikit_learn(count, width):
    x, y = features(count, width, scale=5, classes=9, signal=3)
    fit = fit_linear(x, y, penalty=0.01, squared=True)
    cost = 0.01 * width * 9
    oracle = LogisticRegression(C=cost, solver="newton-cholesky", tol=1e-12, max_iter=200)
    centred = x - x.mean(0, dtype=np.float64)
    oracle.fit(centred, y)
    strength = strength_of(count, width, 9, True)
    least = loss_of(oracle.coef_, oracle.intercept_, centred, y, strength, True)
    assert loss_of(fit.weights, fit.bias, x, y, strength, True) / least - 1 < 1e-8
    assert fit.score(x) == pytest.approx(oracle.predict_proba(centred), abs=1e-3)
    assert fit.score(x).sum(axis=1) == pytest.approx(np.ones(count))


@pytest.mark.parametrize(("count", "width"), [(60, 30), (1200, 20)])
def test_the_norm_of_nine_classes_is_ridge_at_its_own_strength(count, width):
    """The stationary point of |W| is that of |W|² / 2 of strength a / |W|; both are convex."""
    x, y = features(count, width, scale=20, classes=9, signal=3)
    fit = fit_linear(x, y, penalty=0.01, squared=False)
    assert not fit.zero
    centred = x - x.mean(0, dtype=np.float64)
    strength = strength_of(count, width, 9, False)

    def ridge(cost):
        oracle = LogisticRegression(C=cost, solver="newton-cholesky", tol=1e-12, max_iter=200)
        return oracle.fit(centred, y)

    def excess(log):
        cost = np.exp(log)
        return np.log(np.linalg.norm(ridge(cost).coef_) / (count * strength * cost))

    log = brentq(excess, np.log(1e-6), np.log(1e4), xtol=1e-9)
    oracle = ridge(np.exp(log))
    least = loss_of(oracle.coef_, oracle.intercept_, centred, y, strength, False)
    assert abs(loss_of(fit.weights, fit.bias, x, y, strength, False) / least - 1) < 1e-8
    assert fit.c_effective == pytest.approx(np.exp(log), rel=1e-3)


def test_effective_c_is_the_ridge_with_the_same_optimum():
    x, y = features(500, 40, scale=10)
    fit = fit_linear(x, y, penalty=0.01, squared=False)
    cost = 0.01 * 40 * 2
    a = 1 / (2 * np.sqrt(2) * cost)
    assert fit.c_effective == pytest.approx(fit.weight_norm / (500 * a))
    ridge = fit_linear(x, y, penalty=fit.c_effective / 80, squared=True)
    assert ridge.c_effective == pytest.approx(fit.c_effective)
    assert ridge.weights == pytest.approx(fit.weights, rel=1e-3, abs=1e-4 * fit.weight_norm)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("share", [1.0, 0.02])
def test_folds_together_equal_folds_alone(squared, share):
    x, y = features(3000, 25, scale=10)
    rng = np.random.default_rng(1)
    trains = [rng.permutation(3000)[: int(n * share)] for n in (2000, 2100, 2200, 900, 1000)]
    together = fit_folds(x, y, trains, penalty=0.01, squared=squared)
    for rows, fit in zip(trains, together, strict=True):
        alone = fit_linear(x[rows], y[rows], penalty=0.01, squared=squared)
        assert fit.objective == pytest.approx(alone.objective, rel=1e-8)
        assert fit.weights == pytest.approx(alone.weights, abs=1e-3 * fit.weight_norm)
        assert (fit.zero, fit.converged) == (alone.zero, True)
        assert fit.feature_sd == pytest.approx(np.sqrt(x[rows].var(0, dtype=float).mean()))


def test_a_fold_that_is_zero_leaves_those_beside_it_alone():
    x, y = features(2000, 20, scale=10)
    noise = y.copy()
    x[1000:] = np.random.default_rng(0).permutation(x[1000:])  # no signal in the second half
    halves = [np.arange(1000), np.arange(1000, 2000)]
    fits = fit_folds(x, noise, halves, penalty=0.03, squared=False)
    assert [fit.zero for fit in fits] == [False, True]
    assert fits[1].score(x) == pytest.approx(np.full(2000, noise[1000:].mean()))
    assert fits[1].objective == pytest.approx(
        -np.log(np.r_[y[1000:].mean(), 1 - y[1000:].mean()])
        @ np.r_[y[1000:].mean(), 1 - y[1000:].mean()]
    )
    assert fits[0].converged


@pytest.mark.parametrize("scale", [100, 1e4])
def test_nearly_separable_classes_take_few_passes(scale):
    """Float32 passes from a base at zero take 602 passes here, and end short of the optimum."""
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.2).astype(int)
    x = rng.normal(size=(3000, 100)) + np.outer(2.5 * y, np.eye(100)[0]) + 2.5 * y[:, None] / 10
    x = (x * scale).astype(np.float32)
    folds = fit_folds(x, y, [np.arange(2000), np.arange(1000, 3000)], penalty=0.01, squared=True)
    least = newton(x[:2000], y[:2000], 1 / (2000 * 0.01 * 200))[0]
    strength = strength_of(2000, 100, 2, True)
    found = loss_of(folds[0].weights, folds[0].bias, x[:2000], y[:2000], strength, True)
    assert least < 5e-3
    assert found / least - 1 < 1e-8
    assert all(fit.converged for fit in folds)
    assert folds[0].passes < 200


@pytest.mark.parametrize("labels", [("tumour", "benign"), (2, 1), (1, -1), (7.5, -3.5)])
def test_labels_of_any_kind_give_the_chance_of_the_second(labels):
    x, y = features(80, 10, scale=20)
    named = np.array([labels[1], labels[0]])[y]
    fit = fit_linear(x, named, penalty=0.01, squared=True)
    assert fit.classes.tolist() == sorted(labels)
    second = y if labels[0] > labels[1] else 1 - y
    plain = fit_linear(x, second, penalty=0.01, squared=True)
    assert fit.score(x) == pytest.approx(plain.score(x))


@pytest.mark.parametrize("count", [6, 50, 500])
def test_features_that_say_nothing_give_the_share_of_each_class(count):
    y = np.arange(count) % 3 == 0
    for squared in (False, True):
        fit = fit_linear(np.full((count, 20), 0.1, np.float32), y, penalty=0.01, squared=squared)
        assert fit.zero and fit.converged
        assert fit.score(np.zeros((1, 20))) == pytest.approx([y.mean()])


def test_torch_and_numpy_find_the_same():
    x, y = features(900, 30, scale=10)
    trains = [np.arange(800), np.arange(100, 900), np.arange(20), np.arange(100)]
    plain = fit_folds(x, y, trains, penalty=0.01, squared=False)
    torch = fit_folds(x, y, trains, penalty=0.01, squared=False, execution=Execution("cpu"))
    for one, other in zip(plain, torch, strict=True):
        assert one.objective == pytest.approx(other.objective, rel=1e-9)
        assert one.zero == other.zero


def test_what_cannot_be_fitted_is_refused_by_name():
    x, y = features(10, 4)
    for rows, sentence in (
        (
            np.flatnonzero(y == 1),
            r"All \d training rows of fold 0 have the label 1. A probe needs two",
        ),
        (np.array([], int), "Fold 0 has no training rows"),
    ):
        with pytest.raises(ProbeError, match=sentence):
            fit_folds(x, y, [rows], penalty=0.01, squared=True)
    with pytest.raises(ProbeError, match=r"Features of shape \(10, 4\) do not fit 9 labels"):
        fit_linear(x, y[:9], penalty=0.01, squared=True)
    x[3, 2], x[5] = np.nan, np.inf
    with pytest.raises(ProbeError, match="NaN or infinite in 2 of 10 rows, first row 3"):
        fit_linear(x, y, penalty=0.01, squared=True)
