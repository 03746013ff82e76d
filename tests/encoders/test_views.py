import pytest
import torch

from cryotome.encoders.views import join_views, split_views

PATCHES = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)


def test_each_colour_is_an_image_and_their_outputs_stand_beside_each_other():
    seen = split_views(PATCHES, "channels")
    assert seen.shape == (6, 1, 4, 4)
    assert torch.equal(seen[4, 0], PATCHES[1, 1])
    assert torch.equal(join_views(seen.flatten(1), "channels"), PATCHES.flatten(1))
    tokens = torch.arange(6.0).view(6, 1, 1).expand(6, 5, 2)
    assert join_views(tokens, "channels")[1, 0].tolist() == [3, 3, 4, 4, 5, 5]
    assert join_views(torch.zeros(6, 7, 2, 2), "channels").shape == (2, 21, 2, 2)


def test_quarters_are_enlarged_and_averaged():
    flat = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    seen = split_views(flat, "image+quarters")
    assert seen.shape == (10, 3, 4, 4)
    assert torch.equal(seen[:5], torch.zeros_like(seen[:5]))
    assert seen[5:] == pytest.approx(torch.ones_like(seen[5:]))
    ramp = torch.arange(4.0).expand(1, 3, 4, 4)
    left, right = split_views(ramp, "image+quarters")[1:3]
    assert left.mean() < ramp.mean() < right.mean()
    outputs = torch.tensor([[1.0], [2], [3], [4], [7]])
    assert join_views(outputs, "image+quarters").tolist() == [[1, 4]]


def test_without_views_nothing_happens():
    assert split_views(PATCHES, "") is PATCHES
    assert join_views(PATCHES, "") is PATCHES
