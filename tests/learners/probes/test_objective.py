import numpy as np
import pytest
import torch

from cryotome.learners.probes.objective import Objective, Preconditioner, bent_rows


def problem(classes, *, kind=np.float64, device=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)).astype(kind)
    label = np.arange(50) % classes
    weight = (np.arange(100).reshape(50, 2) % 3 > 0).astype(float)
    weight /= weight.sum(axis=0)
    return Objective(x if device is None else torch.from_numpy(x), label, weight, classes)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_the_gradient_is_that_of_finite_differences(classes, device):
    objective = problem(classes, device=device)
    point = np.random.default_rng(1).normal(size=objective.zero().shape)
    loss, gradient = objective.evaluate(point, np.arange(2))
    for place in np.ndindex(point.shape[1:]):
        beside = point.copy()
        beside[(slice(None), *place)] += 1e-6
        rise = (objective.evaluate(beside, np.arange(2))[0] - loss) / 1e-6
        assert rise == pytest.approx(gradient[(slice(None), *place)], abs=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_hessian_is_the_change_of_the_gradient_within_a_logit(classes):
    objective = problem(classes).subset(np.array([0]))
    point = np.random.default_rng(1).normal(size=objective.zero().shape)
    gradient = objective.recenter(point)[1]
    hessian = objective.hessian()
    for logit, entry in np.ndindex(objective.logits, 5):
        beside = point.copy()
        beside[0, logit, entry] += 1e-6
        rise = (objective.evaluate(beside, np.array([0]))[1] - gradient)[0, logit] / 1e-6
        assert rise == pytest.approx(hessian[logit][entry], abs=1e-5)


def test_rows_without_curvature_are_left_out():
    curve = np.array([1e-9, 2.0, 0.0, 3.0, 1e-8])
    assert bent_rows(curve).tolist() == [1, 3]
    assert bent_rows(np.ones(4)).tolist() == [0, 1, 2, 3]


def test_folds_have_their_own_hessians_only_where_few_rows_hold_the_curvature():
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(400, 4)), np.arange(400) % 2
    x[:, 0] += 8 * label
    weight = np.column_stack([np.arange(400) < 300, np.arange(400) >= 100]) / 300
    objective = Objective(x, label, weight, 2)
    assert objective.hessian().shape == (1, 5, 5)
    point = objective.zero()
    point[:, 0, 0], point[:, 0, -1] = 8, -32
    objective.recenter(point)
    both = objective.hessian()
    assert both.shape == (2, 5, 5)
    for fold in range(2):
        one = objective.subset(np.array([fold]))
        one.recenter(point[[fold]])
        assert both[fold] == pytest.approx(one.hessian()[0], abs=1e-2 * one.hessian().max())
    factor = Preconditioner(both, np.full(4, 0.1), noise=0.0)
    right = rng.normal(size=(2, 1, 5))
    wanted = [
        np.linalg.solve(one + np.diag([0.1] * 4 + [1e-300]), r[0])
        for one, r in zip(both, right, strict=True)
    ]
    assert factor.solve(right)[:, 0] == pytest.approx(np.array(wanted))


def test_without_weights_the_best_loss_is_the_entropy_of_the_labels():
    objective = problem(2)
    share = objective.prevalence[:, 0]
    entropy = -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert objective.zero_loss == pytest.approx(entropy)
    assert objective.gradient[:, :, -1] == pytest.approx(np.zeros((2, 1)), abs=1e-15)


def test_float32_passes_near_their_base_are_as_good_as_float64():
    exact, single = problem(2), problem(2, kind=np.float32)
    exact.x = single.x.astype(np.float64)
    point = np.random.default_rng(1).normal(size=(2, 1, 5))
    single.recenter(point)
    exact.recenter(point)
    beside = point + 1e-6
    errors = abs(single.evaluate(beside, np.arange(2))[1] - exact.evaluate(beside, np.arange(2))[1])
    assert errors.max() < 1e-12


def test_a_preconditioner_solves_and_bears_a_feature_that_is_zero():
    hessian = np.diag([2.0, 0.0, 4.0])[None]
    factor = Preconditioner(hessian, np.array([0.0, 0.0]), noise=1e-16)
    assert factor.solve(np.array([[[2.0, 0.0, 4.0]]])) == pytest.approx(np.array([[[1.0, 0, 1]]]))
