import numpy as np
import pytest

from cryotome.learners.probes.fold_batches import (
    check_folds,
    group_folds,
    prepare_batch,
    round_up_pow2,
)


def features(count=60, width=4):
    rng = np.random.default_rng(0)
    return rng.normal(5, 2, size=(count, width)).astype(np.float32), np.arange(count) % 2


def test_folds_of_many_rows_go_together_and_few_alone():
    y = np.arange(100) % 2
    trains = [np.arange(n) for n in (40, 10, 45, 100)]
    assert list(group_folds(y, trains, width=10)) == [[1], [0, 2], [3]]


def test_folds_of_other_classes_do_not_go_together():
    y = np.r_[np.arange(50) % 2, np.arange(50) % 3]
    assert list(group_folds(y, [np.arange(50), np.arange(50, 100)], width=5)) == [[0], [1]]


@pytest.mark.parametrize(
    ("count", "standardised"), [(60, False), (10, False), (3, False), (10, True)]
)
def test_the_way_back_gives_the_same_logits(count, standardised):
    x, y = features()
    how = {"standardised": standardised, "device": None}
    batch = prepare_batch(x, y, [np.arange(count)], [0], **how)
    point = np.random.default_rng(1).normal(size=(1, 1, batch.objective.width + 1))
    weights, bias = batch.to_original(point)
    inside = np.asarray(batch.objective.x, float) @ point[0, 0, :-1] + point[0, 0, -1]
    assert x[:count] @ weights[0, 0] + bias[0, 0] == pytest.approx(inside, abs=1e-5)
    assert batch.sd[0] == pytest.approx(np.sqrt(x[:count].var(axis=0, dtype=float).mean()))


def test_few_rows_are_reduced_to_their_span():
    x, y = features(count=10, width=40)
    assert (
        prepare_batch(x, y, [np.arange(10)], [0], standardised=False, device=None).objective.width
        == 10
    )


def test_a_power_of_two_changes_no_digit():
    assert [round_up_pow2(value) for value in (0.0, 1.0, 3.0, 0.3)] == [1, 1, 4, 0.5]


def test_features_that_sum_to_more_than_a_float_holds_are_no_error():
    x, y = np.full((4, 3), 3e38, np.float32), np.arange(4) % 2
    check_folds(x, y, [np.arange(4)])
