import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss as sklearn_log_loss
from tests.learners.probes.test_linear import features

from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.linear import fit_linear
from cryotome.learners.probes.ridge_cv import fit_ridge_cv_folds, log_loss

GRID = [1e-4, 1e-3, 1e-2, 0.1, 1.0]


def rows(train, validation):
    return FoldRows(train, validation, np.arange(0))


def oracle(x, y, seen, classes=2):
    """scikit-learn on standardised features, the C with the least loss on the rows `seen`."""
    train, check = seen
    mean, sd = x[train].mean(0, dtype=float), x[train].std(0, dtype=float)
    scaled = (x - mean) / np.where(sd > 0, sd, 1)
    models = [
        LogisticRegression(C=c, solver="newton-cholesky", tol=1e-10).fit(scaled[train], y[train])
        for c in GRID
    ]
    losses = [sklearn_log_loss(y[check], m.predict_proba(scaled[check])) for m in models]
    best = int(np.argmin(losses))
    return GRID[best], models[best].predict_proba(scaled)


@pytest.mark.parametrize(
    ("count", "width", "classes"), [(60, 30, 2), (30, 60, 2), (900, 20, 2), (400, 12, 4)]
)
def test_the_choice_and_the_scores_are_scikit_learns(count, width, classes):
    x, y = features(count + 200, width, scale=5, classes=classes)
    x *= np.float32(10.0) ** (np.arange(width) % 4 - 2)  # scales that standardising takes away
    x[:, 1] = 0.1
    train, check = np.arange(count), np.arange(count, count + 200)
    (fit,) = fit_ridge_cv_folds(x, y, [rows(train, check)], penalty=0.01, c_grid=GRID)
    cost, scores = oracle(x, y, (train, check))
    assert fit.c_effective == cost
    assert fit.score(x) == pytest.approx(scores[:, 1] if classes == 2 else scores, abs=2e-4)
    assert abs(fit.weights.reshape(-1, width)[:, 1]).max() < 1e-12


def test_folds_together_choose_as_alone():
    x, y = features(900, 10, scale=5)
    trains = [np.arange(n) for n in (600, 640, 700)]
    checks = [np.arange(700, n) for n in (750, 800, 900)]
    how = {"penalty": 0.01, "c_grid": GRID}
    together = fit_ridge_cv_folds(x, y, list(map(rows, trains, checks)), **how)
    for train, check, fit in zip(trains, checks, together, strict=True):
        (alone,) = fit_ridge_cv_folds(x, y, [rows(train, check)], **how)
        assert fit.c_effective == alone.c_effective
        assert fit.score(x) == pytest.approx(alone.score(x), abs=1e-4)


def test_the_edge_of_the_grid_and_a_fold_without_validation_say_so():
    x, y = features(120, 5)
    train, check, none = np.arange(60), np.arange(60, 120), np.array([], int)
    noise = np.random.default_rng(0).permutation(y)
    how = {"penalty": 0.01, "c_grid": GRID}
    assert fit_ridge_cv_folds(x, noise, [rows(train, check)], **how)[0].choice == "strongest"
    clear = features(120, 5, signal=300)
    assert fit_ridge_cv_folds(*clear, [rows(train, check)], **how)[0].choice == "weakest"
    both = fit_ridge_cv_folds(x, y, [rows(train, check), rows(train, none)], **how)
    assert (both[1].choice, both[1].c_effective) == ("nominal", 0.01 * 5 * 2)
    assert both[0].choice != "nominal"


def test_log_loss_is_minus_the_log_of_the_probability_of_the_label():
    x, y = features(50, 5, classes=3)
    fit = fit_linear(x, y, penalty=0.01, squared=True)
    probability = fit.score(x)[np.arange(50), y]
    assert log_loss(fit, x, y) == pytest.approx(-np.log(probability).mean())
