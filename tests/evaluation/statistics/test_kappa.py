import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from cryotome.evaluation.statistics.kappa import balanced_accuracy, cohen_kappa, tables_by_slide


def some_calls(cells=300, slides=20):
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2, size=cells)
    other = np.where(rng.random(cells) < 0.3, 1 - one, one)
    return rng.integers(0, slides, size=cells), one, other


def test_both_are_those_of_scikit_learn():
    slide, one, other = some_calls()
    summed = [part.sum() for part in tables_by_slide(slide, one, other, 20)]
    assert cohen_kappa(*summed) == pytest.approx(cohen_kappa_score(one, other))
    assert balanced_accuracy(*summed) == pytest.approx(balanced_accuracy_score(other, one))


def test_slides_that_are_drawn_twice_count_twice():
    slide, one, other = some_calls()
    counts = np.random.default_rng(1).multinomial(20, np.full(20, 1 / 20), size=5)
    by_slide = tables_by_slide(slide, one, other, 20)
    found = cohen_kappa(*(counts @ part for part in by_slide))
    for drawn, value in zip(counts, found, strict=True):
        cells = np.repeat(np.arange(len(slide)), drawn[slide])
        assert value == pytest.approx(cohen_kappa_score(one[cells], other[cells]))


def test_what_is_not_known_is_nan():
    assert np.isnan(cohen_kappa(*(np.array([n]) for n in (6, 0, 0, 0))))  # both call all alike
    assert np.isnan(balanced_accuracy(*(np.array([n]) for n in (6, 0, 2, 0))))  # one class
