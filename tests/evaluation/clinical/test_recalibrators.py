import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from cryotome.evaluation.clinical.recalibrators import (
    MAX_TEMPERATURE,
    METHODS,
    clipped_logit,
    fit_logistic_map,
    fit_recalibrator,
    fit_temperature,
)


def planted(cells=20_000, *, temperature=1.0, shift=0.0, seed=0):
    """Labels and scores that say `temperature` times the true logit and `shift` more."""
    rng = np.random.default_rng(seed)
    true = rng.normal(-0.5, 1.5, size=cells)
    label = (rng.random(cells) < expit(true)).astype(int)
    return label, expit(temperature * true + shift)


class Logits(ClassifierMixin, BaseEstimator):
    """A fitted classifier of scikit-learn whose decision is its one feature."""

    classes_ = np.array([0, 1])

    def fit(self, x, y):
        self.is_fitted_ = True
        return self

    def decision_function(self, x):
        return x[:, 0]

    def predict(self, x):
        return (x[:, 0] > 0).astype(int)


def of_scikit_learn(method, label, score):
    x = clipped_logit(score)[:, None]
    model = CalibratedClassifierCV(FrozenEstimator(Logits().fit(x, label)), method=method)
    return model.fit(x, label).predict_proba(x)[:, 1]


def test_slope_and_intercept_are_those_of_scikit_learns_platt_scaling():
    label, score = planted(300, temperature=2.0, shift=0.7)
    expected = of_scikit_learn("sigmoid", label, score)
    assert fit_logistic_map(label, score).apply(score) == pytest.approx(expected, abs=1e-4)


def test_the_temperature_is_that_of_scikit_learn():
    """Theirs is on the labels themselves, which Platt's targets come near with many cells."""
    label, score = planted(temperature=2.0)
    expected = of_scikit_learn("temperature", label, score)
    assert fit_temperature(label, score).apply(score) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("temperature", "shift"), [(1.0, 0.0), (2.5, 0.0), (0.5, 0.0), (2.0, 1.0)])
def test_what_was_planted_is_recovered_and_nothing_changes_where_nothing_was(temperature, shift):
    label, score = planted(temperature=temperature, shift=shift)
    found = fit_logistic_map(label, score)
    assert 1 / found.slope == pytest.approx(temperature, rel=0.05)
    assert -found.intercept / found.slope == pytest.approx(shift, abs=0.05)
    if not shift:
        assert 1 / fit_temperature(label, score).slope == pytest.approx(temperature, rel=0.05)
    if temperature == 1.0 and not shift:
        for method in METHODS:
            after = fit_recalibrator(method, label, score).apply(score)
            assert np.abs(after - score).max() < 0.02


@pytest.mark.parametrize("method", METHODS)
def test_one_class_is_fitted_by_nothing_and_separated_classes_by_a_finite_map(method):
    assert fit_recalibrator(method, np.ones(5, int), np.linspace(0.2, 0.9, 5)) is None
    assert fit_recalibrator(method, np.array([], int), np.array([])) is None
    label, score = np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9])
    found = fit_recalibrator(method, label, score)
    assert 0 < found.slope < 2  # without Platt's targets it has no bound
    assert 0.05 < found.apply(score).min() < 0.5 < found.apply(score).max() < 0.95


def test_a_temperature_keeps_the_order_and_the_half_and_stays_within_its_bounds():
    label, score = planted(200, temperature=1.5)
    found = fit_temperature(label, score)
    assert (np.diff(found.apply(np.sort(score))) > 0).all()
    assert found.apply(np.array([0.5])) == 0.5
    turned = fit_temperature(1 - label, score)  # as warm as it may be
    assert turned.slope == pytest.approx(1 / MAX_TEMPERATURE, rel=1e-3)
    assert fit_logistic_map(1 - label, score).slope < 0


def test_scores_of_0_and_1_have_a_finite_logit():
    label, score = np.array([0, 1, 0, 1]), np.array([0.0, 1.0, 1.0, 0.0])
    for method in METHODS:
        assert np.isfinite(fit_recalibrator(method, label, score).apply(score)).all()
