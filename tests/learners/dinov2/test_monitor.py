import numpy as np
import pytest
import torch
from small_dino import coloured, finetune_card, small_learner

from cryotome.core.errors import TrainingError
from cryotome.learners.dinov2.monitor import Monitor, raise_if_collapsed

LIMITS = {"monitoring": {"min_lead": 0.5, "min_spread": 0.2}}


def evaluation(iteration, knn, probe, spread=0.5):
    return {"iteration": iteration, "knn": knn, "probe": probe, "spread": spread}


def test_labels_are_balanced_and_halved():
    images = coloured(36)
    images.label[:10] = 0
    monitor = Monitor(images, finetune_card(), 28)
    fit, held = np.split(monitor.label, 2)
    assert np.bincount(fit).tolist() == np.bincount(held).tolist() == [4, 4, 4]
    assert len(set(monitor.rows)) == 24
    assert monitor.chance_level == pytest.approx(1 / 3)


def test_classes_that_differ_in_brightness_are_told_apart():
    learner = small_learner(finetune_card())
    seen = Monitor(coloured(), finetune_card(), 28).evaluate(
        learner.teacher.backbone, torch.float32
    )
    assert seen["knn"] > 0.9
    assert seen["probe"] > 0.9
    assert 0 < seen["spread"] < 1


def test_two_classes_have_a_balanced_accuracy_too():
    images = coloured()
    images.label[:] = images.label == 2
    learner = small_learner(finetune_card())
    seen = Monitor(images, finetune_card(), 28).evaluate(learner.teacher.backbone, torch.float32)
    assert seen["probe"] > 0.9


def test_without_labels_the_spread_is_watched():
    monitor = Monitor(coloured(labelled=False), finetune_card(), 28)
    seen = monitor.evaluate(small_learner(finetune_card()).teacher.backbone, torch.float32)
    assert np.isnan(seen["knn"])
    assert seen["spread"] > 0


def test_equal_embeddings_have_no_spread():
    learner = small_learner(finetune_card())
    learner.teacher.backbone.network.norm.weight.data.zero_()
    learner.teacher.backbone.network.norm.bias.data.fill_(1)
    monitor = Monitor(coloured(labelled=False), finetune_card(), 28)
    assert monitor.evaluate(learner.teacher.backbone, torch.float32)["spread"] == pytest.approx(
        0, abs=1e-6
    )


def test_a_collapse_is_stopped_loudly_with_a_way_out():
    """From 80 % to 10 %, as in the issue of DINOv2."""
    evaluations = [evaluation(0, 0.8, 0.85), evaluation(100, 0.82, 0.86), evaluation(200, 0.1, 0.3)]
    with pytest.raises(TrainingError, match="The finetuning collapsed at iteration 200") as error:
        raise_if_collapsed(evaluations, 1 / 9, LIMITS)
    said = str(error.value)
    assert (
        "k-NN from 0.800 to 0.100, linear probe from 0.850 to 0.300; chance level is 0.111" in said
    )
    assert "The best evaluation was at 100." in said
    assert "Lower `learning_rate`" in said


def test_a_rise_or_one_bad_score_is_no_collapse():
    raise_if_collapsed([evaluation(0, 0.8, 0.85), evaluation(100, 0.9, 0.95)], 1 / 9, LIMITS)
    raise_if_collapsed([evaluation(0, 0.8, 0.85), evaluation(100, 0.2, 0.85)], 1 / 9, LIMITS)


def test_scores_near_chance_at_the_start_cannot_fall():
    raise_if_collapsed([evaluation(0, 0.53, 0.55), evaluation(100, 0.5, 0.5)], 0.5, LIMITS)


@pytest.mark.parametrize("spread", [0.05, float("nan")])
def test_embeddings_that_become_alike_or_no_numbers_are_a_collapse(spread):
    nan = float("nan")
    with pytest.raises(TrainingError, match="the spread of the embeddings from 0.5 to"):
        raise_if_collapsed(
            [evaluation(0, nan, nan), evaluation(100, nan, nan, spread)], nan, LIMITS
        )


def test_no_limits_stop_nothing():
    none = {"monitoring": {"min_lead": 0, "min_spread": 0}}
    raise_if_collapsed([evaluation(0, 0.9, 0.9), evaluation(100, 0.5, 0.5, 0.0)], 0.5, none)
