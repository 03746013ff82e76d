import numpy as np
import pytest

from cryotome.learners.probes.lbfgs import LbfgsHistory, LbfgsSolver, LbfgsState
from cryotome.learners.probes.objective import Objective
from cryotome.learners.probes.penalty import Penalty, weight_norm


def small_objective():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    label = (x[:, 0] + rng.normal(size=200) > 0).astype(int)
    return Objective(x, label, np.full((200, 1), 1 / 200), 2)


@pytest.mark.parametrize("squared", [False, True])
def test_a_descent_ends_where_the_gradient_is_none(squared):
    objective, penalty = small_objective(), Penalty(np.array([0.05]), squared)
    ended = LbfgsSolver(objective, penalty, objective.zero_hessian(), 1e-12).run()
    assert ended.gap[0] <= 1e-12
    slope = (
        objective.evaluate(ended.points, np.array([0]))[1]
        + penalty.value(ended.points, np.array([0]))[1]
    )
    assert abs(slope).max() < 1e-6
    again = LbfgsSolver(objective, penalty, objective.zero_hessian(), 1e-12).run(ended.points)
    assert again.iterations[0] <= 1


def test_a_weight_that_is_penalised_more_gets_smaller():
    objective = small_objective()
    plain = Penalty(np.array([0.05]), True, np.ones((1, 3)))
    uneven = Penalty(np.array([0.05]), True, np.array([[100.0, 1, 1]]))
    ends = [
        LbfgsSolver(objective, penalty, objective.zero_hessian(), 1e-10).run()
        for penalty in (plain, uneven)
    ]
    assert abs(ends[1].points[0, 0, 0]) < abs(ends[0].points[0, 0, 0]) / 10


def test_a_history_of_one_pair_meets_its_secant():
    history = LbfgsHistory()
    step, change = np.array([[[1.0, 2.0]]]), np.array([[[2.0, 2.0]]])
    history.append(step, change, np.array([True]))
    assert history.direction(change, lambda right: right) == pytest.approx(-step)


def test_no_descent_stands_at_zero():
    objective = small_objective()
    none = LbfgsState.at_zero(objective)
    assert not weight_norm(none.points).any()
    none.update(
        np.array([0]), LbfgsState(none.points + 1, none.value, none.gap, none.iterations, 3)
    )
    assert none.passes == 4
