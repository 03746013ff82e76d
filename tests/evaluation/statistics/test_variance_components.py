import numpy as np
import pytest
from tests.evaluation.statistics.planted_parts import (
    CROSSED,
    FACTORS,
    SD,
    SLIDES,
    parts_of,
    simulate,
)

from cryotome.evaluation.statistics.variance_components import CONFOUNDED, split_variance


def covered(found: list[dict], name: str, truth: float) -> float:
    return float(np.mean([one[name].low <= truth <= one[name].high for one in found]))


@pytest.mark.parametrize("planted", [{}, {"scanner": 0.04, "domain": 0.02, "fold": 0.03}])
def test_planted_components_are_found_and_covered_and_none_where_none_are(planted):
    found = [simulate(parts_of(CROSSED), planted, seed) for seed in range(120)]
    for name in FACTORS:
        truth = planted.get(name, 0.0) ** 2
        mean = np.mean([one[name].variance for one in found])
        assert mean == pytest.approx(truth, rel=0.25, abs=2e-4)
        assert covered(found, name, truth) > 0.9  # of 0.95; the Monte-Carlo error is 0.02
    slides = np.mean([one["slide"].variance for one in found])
    assert slides == pytest.approx(SD**2 / SLIDES, rel=0.1)
    assert covered(found, "rest", 0.0) > 0.9


def test_levels_that_are_those_of_another_factor_have_no_component():
    found = simulate(parts_of([("a", "x"), ("b", "y"), ("c", "z")]), {}, seed=0)
    assert np.isnan(found["scanner"].variance)
    assert found["scanner"].note == found["domain"].note == CONFOUNDED
    assert found["fold"].freedom == 3
    one = simulate(parts_of([("a", "x"), ("a", "y")]), {}, seed=0)
    assert one["scanner"].note == "one level"


def test_a_scanner_that_shares_no_domain_adds_no_contrast():
    """As in MIDOG++: one tumour on three scanners, two on a fourth."""
    pairs = [("a", "x"), ("b", "x"), ("c", "x"), ("d", "y"), ("d", "z"), ("a", "v")]
    found = simulate(parts_of(pairs), {}, seed=0)
    assert (found["scanner"].levels, found["scanner"].freedom) == (4, 2)


def test_parts_without_any_spread_have_none():
    parts = parts_of(CROSSED)
    flat = np.zeros((len(parts), 2))
    found = split_variance(np.full(len(parts), 0.5), flat, parts, np.ones((5, 2)))
    for one in found.values():
        assert (one.variance, one.low, one.high) == (0.0, 0.0, 0.0)


def test_a_variance_of_auroc_is_never_above_a_quarter():
    parts = parts_of([("a", "x"), ("b", "x")], folds=2)
    auroc = np.array([0.0, 1.0, 0.0, 1.0])
    found = split_variance(auroc, np.full((4, 2), 0.01), parts, np.ones((5, 2)))
    assert found["scanner"].variance == found["scanner"].high == 0.25
