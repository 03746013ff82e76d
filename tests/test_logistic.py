import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cryotome.errors import ProbeError
from cryotome.linear import fit_linear
from cryotome.logistic import score_logistic

PAPER = {"penalty": 0.01, "iterations": 1000, "tolerance": 1e-4}


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
    scores, _ = score_logistic(x, y, wanted, penalty=0.01, iterations=5000, tolerance=1e-6)
    ours = fit_linear(x, y, penalty=0.01, squared=True).score(wanted)
    assert ours.shape == scores.shape
    assert ours == pytest.approx(scores, abs=2e-3)


def test_a_fit_that_is_cut_short_is_used_and_says_so():
    x, y = tissue(600)
    scores, notes = score_logistic(x, y, x, **PAPER | {"iterations": 3})
    assert (notes["converged"], notes["iterations"]) == (False, 3)
    assert "failed to converge after 3 iteration" in notes["warning"]
    assert np.isfinite(scores).all()


def test_one_class_is_refused():
    with pytest.raises(ProbeError, match="All 2 training rows have the label 1. A logistic"):
        score_logistic(np.eye(2), np.array([1, 1]), np.eye(2), **PAPER)
