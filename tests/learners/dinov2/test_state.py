import numpy as np
import pytest
import torch
from small_dino import coloured, finetune_card, small_learner

from cryotome.core.errors import CardError, TrainingError
from cryotome.learners.dinov2.state import FinetuningState


def state_of(folder, images=None, **changes):
    card = finetune_card(**changes)
    return FinetuningState(small_learner(card), images or coloured(), card, folder)


def test_looks_and_exports_come_when_the_card_says(tmp_path):
    state = state_of(
        tmp_path, evaluate_every=3, checkpoint_every=4, stop_iteration=10, schedule_iterations=20
    )
    assert state.exported == [4, 8, 10]
    pauses = []
    while state.iteration < 10:
        pauses.append(state.next_pause())
        state.iteration += pauses[-1]
    assert np.cumsum(pauses).tolist() == [3, 4, 6, 8, 9, 10]


def test_a_step_is_known_from_its_number(tmp_path):
    """Two finetunings at the same iteration see the same images, crops and masks."""
    first, second = state_of(tmp_path), state_of(tmp_path)
    second.sampler.batch(0, 4)
    for one, other in zip((first, second), (second, first), strict=True):
        crops, masks = one.draw(5)
        again, others = other.draw(5)
        assert torch.equal(crops, again)
        assert torch.equal(masks.hidden, others.hidden)


def test_a_state_restored_goes_on_to_the_same_bits(tmp_path):
    whole, broken = (state_of(tmp_path, drop_path=0.3) for _ in range(2))
    whole.learn(4, lambda: None)
    broken.learn(2, lambda: None)
    torch.rand(3)  # another process would stand elsewhere
    again = state_of(tmp_path, drop_path=0.3)
    again.restore(broken.state())
    again.learn(2, lambda: None)
    mine, its = again.learner.state_dict(), whole.learner.state_dict()
    assert all(torch.equal(mine[name], its[name]) for name in its)


def test_a_loss_that_is_no_number_names_its_iteration(tmp_path):
    state = state_of(tmp_path)
    state.iteration = 4
    losses = np.ones((2, 4))
    losses[1, 2] = np.nan
    with pytest.raises(
        TrainingError,
        match="is not finite at iteration 4 of 8: .*'ibot': nan.*Lower `learning_rate`",
    ):
        state.evaluate(losses, 1.0)


def test_a_look_says_losses_speed_memory_and_time_left(tmp_path, capsys):
    state = state_of(tmp_path)
    state.evaluate(np.empty((0, 4)), 0.0)
    losses = state.learn(2, lambda: None).numpy()
    state.evaluate(losses, 0.5)
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("Iteration 0 of 8: k-NN ")
    assert "Iteration 2 of 8: k-NN " in said[1]
    for word in (
        "linear probe ",
        "spread ",
        "dino_global ",
        "koleo ",
        "; 16.0 images/s, ",
        " GB, ",
        " to go.",
    ):
        assert word in said[1]
    assert state.evaluations[1]["ibot"] == pytest.approx(losses[:, 2].mean())


def test_cards_that_cannot_be_followed_are_refused(tmp_path):
    with pytest.raises(CardError, match="`select: knn` in a finetuning card needs labels"):
        state_of(tmp_path, images=coloured(labelled=False), select="knn")
    with pytest.raises(CardError, match="`stop_iteration: 9` lies beyond `schedule_iterations: 8`"):
        state_of(tmp_path, stop_iteration=9)
