import numpy as np
import pytest
from test_linear import features, loss_of, strength_of

from cryotome.linear import fit_linear
from cryotome.metrics import auroc
from cryotome.replica import fit_replica


def test_the_replica_comes_near_the_exact_optimum_and_says_how_near():
    x, y = features(300, 30, scale=20, offset=0.5)
    fit, exact = (
        fit_replica(x, y, penalty=0.01),
        fit_linear(x, y, penalty=0.01, squared=False),
    )
    assert not fit.zero
    assert 0 <= fit.optimality < 1e-6
    there = loss_of(fit.weights, fit.bias, x, y, strength_of(300, 30, 2, False), False)
    assert there / exact.objective - 1 == pytest.approx(fit.optimality, abs=1e-6)
    assert fit.weights.dtype == np.float64
    assert fit.weights == pytest.approx(fit.weights.astype(np.float32), rel=1e-6)


def test_where_zero_is_the_optimum_the_replica_ranks_by_its_first_step():
    x, y = features(200, 20, scale=0.5)
    fit = fit_replica(x, y, penalty=0.01)
    assert fit.zero
    assert fit.weight_norm < 1e-2
    assert auroc(y, fit.score(x)) > 0.6  # the exact probe gives 0.5


def test_the_replica_takes_more_than_two_classes():
    x, y = features(200, 20, scale=20, classes=4, offset=0.5)
    fit = fit_replica(x, y, penalty=0.01)
    assert fit.score(x).shape == (200, 4)
    assert 0 <= fit.optimality < 1e-4


def test_far_from_the_origin_float32_keeps_the_replica_from_the_optimum():
    x, y = features(300, 30, scale=20, offset=3)
    assert fit_replica(x, y, penalty=0.01).optimality > 1e-4
