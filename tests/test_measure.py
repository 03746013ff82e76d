import pytest
from conftest import CONFIG

from cryotome.cards import load_card
from cryotome.measure import measure


def test_a_small_vit_is_counted_by_hand():
    card = load_card(CONFIG, "models", "vit_tiny_random")
    card["arguments"] = {"num_classes": 0, "depth": 1, "embed_dim": 12, "num_heads": 2}
    tokens, dim = 14 * 14 + 1, 12
    block = 12 * dim**2 + 13 * dim  # qkv, proj, mlp of 4 and their biases, two norms
    stem = 3 * 16 * 16 * dim + dim
    parameters = stem + dim + tokens * dim + block + 2 * dim
    multiplied = 196 * 3 * 256 * dim + tokens * 12 * dim**2 + 2 * tokens**2 * dim
    assert measure(card) == {
        "parameters": parameters,
        "dim": 12,
        "prefix_tokens": 1,
        "gflops": pytest.approx(2 * multiplied / 1e9, abs=0.05),
    }


def test_registers_are_prefix_tokens_and_maps_have_none():
    assert measure(load_card(CONFIG, "models", "dinov3_vits16"))["prefix_tokens"] == 5
    assert measure(load_card(CONFIG, "models", "hibou_b"))["prefix_tokens"] == 5
    assert measure(load_card(CONFIG, "models", "resnet10t_random"))["prefix_tokens"] == 0
