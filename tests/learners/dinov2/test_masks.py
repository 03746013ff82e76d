import numpy as np
import pytest
import torch

from cryotome.learners.dinov2.masks import Masks, draw_blocks, draw_masks

CARD = {"probability": 0.5, "ratio": [0.1, 0.5]}
CPU = torch.device("cpu")


def rng(seed=0):
    return np.random.default_rng(seed)


def test_half_of_the_crops_are_masked_up_to_their_buckets():
    masks = draw_masks(64, 16, CARD, rng())
    count = masks.sum(1).sort().values
    assert masks.shape == (64, 256)
    assert (count[:32] == 0).all()
    bounds = 256 * np.linspace(0.1, 0.5, 33)
    assert (count[32:].numpy() <= bounds[1:]).all()
    assert (count[32:] > 0).all()


def test_goals_are_nearly_reached():
    goal = np.repeat([26, 60, 100, 127], 50)
    found = draw_blocks(goal, 16, rng()).sum((1, 2))
    assert (found <= goal).all()
    assert (found / goal).mean() > 0.97


def test_masks_are_blocks_and_not_scattered():
    """A masked token's right neighbour is masked far more often than by chance."""
    masks = draw_blocks(np.full(100, 64), 16, rng())
    beside = masks[:, :, 1:][masks[:, :, :-1]].mean()
    assert beside > 0.6  # by chance 0.25


def test_small_grids_and_goals_below_the_least_block_end():
    """An implementation elsewhere raises on them."""
    masks = draw_blocks(np.array([0, 1, 2, 3, 8]), 4, rng())
    assert masks.sum((1, 2))[0] == 0
    assert (masks.sum((1, 2)) <= [0, 1, 2, 3, 8]).all()


def test_which_crops_are_masked_is_shuffled_and_repeatable():
    first, again, other = (draw_masks(64, 16, CARD, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.any(1).tolist() != other.any(1).tolist()


def test_weights_sum_to_the_share_of_masked_crops():
    hidden = torch.tensor([[True, False, True, False], [False] * 4, [False, False, False, True]])
    masks = Masks.of(hidden).to(CPU)
    assert masks.place.tolist() == [0, 2, 11]
    assert masks.weight.tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3])
