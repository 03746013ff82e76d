import numpy as np
import pytest

from cryotome.learners.probes.lbfgs import LbfgsHistory, LbfgsSolver, LbfgsState, Penalty, size
from cryotome.learners.probes.objective import Objective


def columns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3))
    label = (x[:, 0] + rng.normal(size=200) > 0).astype(int)
    return Objective(x, label, np.full((200, 1), 1 / 200), 2)


@pytest.mark.parametrize("squared", [False, True])
def test_a_descent_ends_where_the_gradient_is_none(squared):
    problem, penalty = columns(), Penalty(np.array([0.05]), squared)
    ended = LbfgsSolver(problem, penalty, problem.gram(), 1e-12).run()
    assert ended.gap[0] <= 1e-12
    slope = (
        problem.evaluate(ended.points, np.array([0]))[1]
        + penalty.of(ended.points, np.array([0]))[1]
    )
    assert abs(slope).max() < 1e-6
    again = LbfgsSolver(problem, penalty, problem.gram(), 1e-12).run(ended.points)
    assert again.iterations[0] <= 1


def test_a_weight_that_is_penalised_more_gets_smaller():
    problem = columns()
    plain = Penalty(np.array([0.05]), True, np.ones((1, 3)))
    uneven = Penalty(np.array([0.05]), True, np.array([[100.0, 1, 1]]))
    ends = [
        LbfgsSolver(problem, penalty, problem.gram(), 1e-10).run() for penalty in (plain, uneven)
    ]
    assert abs(ends[1].points[0, 0, 0]) < abs(ends[0].points[0, 0, 0]) / 10


def test_the_gradient_of_a_norm_is_its_strength_in_the_direction_of_the_weights():
    point = np.array([[[3.0, 4.0, 7.0]]])  # two weights, a bias
    value, gradient = Penalty(np.array([2.0]), False).of(point, np.array([0]))
    assert value == pytest.approx([10.0])
    assert gradient.tolist() == [[[pytest.approx(1.2), pytest.approx(1.6), 0.0]]]
    assert size(point).tolist() == [5.0]


def test_a_memory_of_one_pair_meets_its_secant():
    memory = LbfgsHistory()
    step, change = np.array([[[1.0, 2.0]]]), np.array([[[2.0, 2.0]]])
    memory.put(step, change, np.array([True]))
    assert memory.direction(change, lambda right: right) == pytest.approx(-step)


def test_no_descent_stands_at_zero():
    problem = columns()
    none = LbfgsState.none(problem)
    assert not size(none.points).any()
    none.put(np.array([0]), LbfgsState(none.points + 1, none.value, none.gap, none.iterations, 3))
    assert none.passes == 4
