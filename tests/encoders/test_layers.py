import pytest
import torch

from cryotome.core.errors import CardError
from cryotome.encoders.layers import (
    AttentionPool,
    ConvStem,
    LinearLayers,
    MultiheadPool,
    PooledNetwork,
)


def test_the_stem_shrinks_by_four_and_ends_channels_last():
    stem = ConvStem(img_size=64, embed_dim=16, strict_img_size=True)
    assert stem(torch.rand(2, 3, 64, 64)).shape == (2, 16, 16, 16)
    assert stem.grid_size == (16, 16)
    with pytest.raises(ValueError, match="ConvStem shrinks by 4, not by 16"):
        ConvStem(patch_size=16)


def test_the_stem_of_the_published_width_has_its_parameters():
    assert sum(p.numel() for p in ConvStem().parameters()) == 3 * 12 * 9 + 24 + 12 * 24 * 9 + 48 + (
        24 * 96 + 96 + 192
    )


@pytest.mark.parametrize("kind", [AttentionPool, MultiheadPool])
def test_attention_looks_at_every_token_once_whatever_their_order(kind):
    pool = kind(8, 6, heads=2).eval()
    tokens = torch.randn(1, 5, 8)
    with torch.inference_mode():
        pooled = pool(tokens)
        assert torch.allclose(pooled, pool(tokens[:, [4, 2, 0, 1, 3]]), atol=1e-6)
        assert not torch.allclose(pooled, pool(tokens[:, :4]), atol=1e-3)
    assert pooled.shape == (1, 6)


def test_a_pooled_network_names_its_parts():
    network = PooledNetwork(torch.nn.Linear(4, 3), "linear", {"widths": [3, 5, 2], "bias": True})
    assert isinstance(network.pooler, LinearLayers)
    assert network(torch.randn(5, 4)).shape == (5, 2)
    assert {name for name in network.state_dict() if name.endswith("weight")} == {
        "trunk.weight", "pooler.0.weight", "pooler.2.weight"
    }  # fmt: skip
    layers = network.pooler
    x = torch.randn(5, 3)
    assert torch.equal(layers(x), layers[2](torch.nn.functional.gelu(layers[0](x))))


def test_a_projection_is_one_layer_without_bias():
    assert [name for name, _ in LinearLayers([4, 2], bias=False).named_parameters()] == ["0.weight"]


def test_wrong_arguments_of_a_pooler_are_named():
    with pytest.raises(CardError, match=r"`arguments` of the pooler 'linear' are wrong: .*'dim'"):
        PooledNetwork(torch.nn.Linear(4, 3), "linear", {"dim": 3, "out": 2})
