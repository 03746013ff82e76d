import pytest
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.encoders.network import build_network
from cryotome.encoders.profile import profile_encoder


def test_a_small_vit_is_counted_by_hand():
    card = load_card(CONFIG, "models", "vit_tiny_random")
    card["arguments"] = {"num_classes": 0, "depth": 1, "embed_dim": 12, "num_heads": 2}
    tokens, dim = 14 * 14 + 1, 12
    block = 12 * dim**2 + 13 * dim  # qkv, proj, mlp of 4 and their biases, two norms
    stem = 3 * 16 * 16 * dim + dim
    parameters = stem + dim + tokens * dim + block + 2 * dim
    multiplied = 196 * 3 * 256 * dim + tokens * 12 * dim**2 + 2 * tokens**2 * dim
    assert profile_encoder(card) == {
        "parameters": parameters,
        "dim": 12,
        "prefix_tokens": 1,
        "gflops": pytest.approx(2 * multiplied / 1e9, abs=0.05),
    }


def test_registers_are_prefix_tokens_and_maps_have_none():
    assert profile_encoder(load_card(CONFIG, "models", "dinov3_vits16"))["prefix_tokens"] == 5
    assert profile_encoder(load_card(CONFIG, "models", "hibou_b"))["prefix_tokens"] == 5
    assert profile_encoder(load_card(CONFIG, "models", "resnet10t_random"))["prefix_tokens"] == 0


def test_measuring_leaves_nothing_behind_that_a_forward_would_use():
    """BEiT caches the index of its positions; one without numbers gives embeddings of garbage."""
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4}
    card = load_card(CONFIG, "models", "beit_vit_b")
    profile_encoder(card)
    card["arguments"] |= sizes
    network = build_network(card).eval()
    cached = next(
        layer.generate_relative_position_index((14, 14))
        for layer in network.modules()
        if hasattr(layer, "generate_relative_position_index")
    )
    assert cached.device.type == "cpu"
    pixels = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(network(pixels)[0], network(pixels)[0])
