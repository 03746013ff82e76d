from copy import deepcopy

import pytest
import torch

from cryotome.learners.dinov2.head import Head, head_logits

SETTINGS = {"hidden": 2048, "bottleneck": 256, "prototypes": 4096}


def test_points_have_length_one_and_prototypes_too_at_first():
    head = Head(384, SETTINGS)
    points = head(torch.randn(5, 384))
    assert points.norm(dim=1).tolist() == pytest.approx([1] * 5, abs=1e-5)
    assert head.prototypes.norm(dim=1).detach().numpy() == pytest.approx(1, abs=1e-5)
    assert head_logits(points, head.prototypes).shape == (5, 4096)


def test_it_has_the_published_size():
    """training.md: 22.35 M with 65,536 prototypes for a ViT-S."""
    with torch.device("meta"):
        head = Head(384, SETTINGS | {"prototypes": 65536})
    assert sum(weight.numel() for weight in head.parameters()) == 22_352_128


def test_lengths_of_prototypes_are_trained_and_copies_are_equal():
    head = Head(8, {"hidden": 8, "bottleneck": 4, "prototypes": 6})
    lengths = dict(head.named_parameters())["last.parametrizations.weight.original0"]
    assert lengths.shape == (6, 1)
    assert lengths.requires_grad
    x = torch.randn(3, 8)
    assert torch.equal(deepcopy(head)(x), head(x))


def test_logits_stay_fp32_where_all_else_is_bf16():
    points, prototypes = torch.randn(4, 256), torch.randn(32, 256)
    with torch.autocast("cpu", torch.bfloat16):
        logits, rounded = head_logits(points, prototypes), points @ prototypes.T
    assert rounded.dtype == torch.bfloat16
    assert logits.dtype == torch.float32
    assert torch.equal(logits, points @ prototypes.T)
