import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cryotome.core.errors import ProbeError
from cryotome.core.metrics import auroc
from cryotome.learners.probes.linear import fit_linear
from cryotome.learners.probes.logistic import fit_logistic

PAPER = {"penalty": 0.01, "iterations": 1000, "tolerance": 1e-4}


def score_logistic(x, y, queries, **how):
    """Fit and score other rows: the scores and the notes of the fit."""
    fit, notes = fit_logistic(x, y, **how)
    return fit.score(queries), notes


def tissue(count: int, classes: int = 9, width: int = 24, seed: int = 0):
    """Embeddings of classes that overlap, float32, and their labels."""
    middles = np.random.default_rng(1).normal(size=(classes, width))
    rng = np.random.default_rng(seed)
    y = rng.integers(classes, size=count)
    return (middles[y] + 1.5 * rng.normal(size=(count, width))).astype(np.float32), y


def test_nine_classes_are_scored_as_scikit_learn_with_the_papers_coefficient_does():
    (x, y), (wanted, _) = tissue(600), tissue(100, seed=1)
    scores, notes = score_logistic(x, y, wanted, **PAPER)
    assert notes["effective_c"] == pytest.approx(24 * 9 / 100)
    assert (notes["converged"], notes["warning"]) == (True, "")
    other = LogisticRegression(C=2.16, max_iter=5000, tol=1e-8).fit(x.astype(float), y)
    assert scores.shape == (100, 9)
    assert scores == pytest.approx(other.predict_proba(wanted), abs=2e-3)


@pytest.mark.parametrize("classes", [2, 9])
def test_our_solver_finds_the_same_optimum(classes):
    """`ridge` minimises the same objective; that is its use where scikit-learn does not converge."""
    (x, y), (wanted, _) = tissue(800, classes), tissue(200, classes, seed=1)
    scores, _ = score_logistic(x, y, wanted, penalty=0.01, iterations=5000, tolerance=1e-5)
    ours = fit_linear(x, y, penalty=0.01, squared=True).score(wanted)
    assert ours.shape == scores.shape
    assert ours == pytest.approx(scores, abs=2e-3)


def oracle(x, y, wanted, cost):
    """scikit-learn's optimum in float64 at a tolerance near rounding; its units are its own."""
    x, wanted = (part.astype(float) - x.mean(axis=0, dtype=float) for part in (x, wanted))
    scale = np.sqrt((x**2).mean())
    how = {"solver": "newton-cholesky" if y.max() == 1 else "newton-cg", "max_iter": 10_000}
    model = LogisticRegression(C=cost * scale**2, tol=1e-13 if y.max() == 1 else 1e-9, **how)
    return model.fit(x / scale, y).predict_proba(wanted / scale)


FORMS = {
    "large": lambda x: x * 1e6,
    "small": lambda x: x * 1e-6,
    "at 100": lambda x: x + 100,
    "at 1e4": lambda x: x + 1e4,
    "at 1e6": lambda x: x + 1e6,
    "small at 100": lambda x: 0.05 * x + 100,
    "twice": lambda x: np.hstack([x, x, x[:, :1] * 0]),
    "wide": lambda x: np.hstack([x, np.random.default_rng(9).normal(size=(len(x), 900))]),
}


@pytest.mark.parametrize("classes", [2, 9])
@pytest.mark.parametrize("form", FORMS)
def test_wherever_features_lie_both_solvers_find_scikit_learns_optimum(form, classes):
    (x, y), (wanted, _) = tissue(600, classes), tissue(100, classes, seed=1)
    both = np.vstack([x, wanted]) + 3 * np.random.default_rng(5).normal(size=(700, 24))
    both = FORMS[form](both).astype(np.float32)
    x, wanted = both[:600], both[600:]
    scores, notes = score_logistic(x, y, wanted, **PAPER)
    there = oracle(x, y, wanted, notes["effective_c"])
    there = there[:, 1] if classes == 2 else there
    assert notes["converged"] and notes["gradient"] < 1e-4
    assert scores == pytest.approx(there, abs=1e-4)
    ours = fit_linear(x, y, penalty=0.01, squared=True)
    assert ours.converged
    assert ours.score(wanted) == pytest.approx(there, abs=1e-3)
    if classes == 2:
        assert auroc(np.arange(100) % 2, scores) == auroc(np.arange(100) % 2, there)


@pytest.mark.parametrize("factor", [1, 1e6])
def test_separable_classes_have_converged_only_where_the_gradient_says_so(factor):
    """At 1e6 the least loss is about 1e-9: scores are right, and the loss could fall further."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20)).astype(np.float32)
    y = (x.sum(axis=1) > 0).astype(int)
    scores, notes = score_logistic(x * np.float32(factor), y, x * np.float32(factor), **PAPER)
    assert auroc(y, scores) > 0.999
    assert notes["converged"] == (factor == 1) == (notes["warning"] == "")


def test_one_feature_that_outweighs_all_others_keeps_a_fit_from_converging():
    x, y = tissue(600, 2)
    x[:, 0] *= 1e4
    notes = score_logistic(x, y, x, **PAPER | {"iterations": 100})[1]
    assert not notes["converged"] and notes["gradient"] > 1e-4
    assert "the gradient is " in notes["warning"]


def test_a_fit_that_is_cut_short_is_used_and_says_so():
    x, y = tissue(600)
    scores, notes = score_logistic(x, y, x, **PAPER | {"iterations": 3})
    assert (notes["converged"], notes["iterations"]) == (False, 3)
    assert "failed to converge after 3 iteration" in notes["warning"]
    assert np.isfinite(scores).all()


def test_one_class_is_refused():
    with pytest.raises(ProbeError, match="All 2 training rows have the label 1. A logistic"):
        score_logistic(np.eye(2), np.array([1, 1]), np.eye(2), **PAPER)
