import pytest
import torch
from torch import nn

from cryotome.learners.mil.aggregators import (
    AGGREGATORS,
    GatedAttention,
    Transformer,
    build_aggregator,
)


@pytest.fixture
def bag():
    return torch.randn(7, 384, generator=torch.Generator().manual_seed(0))


def count(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_the_transformer_has_the_parameters_of_the_published_one():
    """3.35 M at 384 features: projection, token, two blocks, norm, logit."""
    block = 2 * 2 * 512 + 512 * 3 * 512 + (512 * 512 + 512) + 2 * (512 * 512 + 512)
    assert count(Transformer(384)) == 3_353_089
    assert 385 * 512 + 512 + 2 * block + 2 * 2 * 512 + 513 == 3_353_089


def test_attention_pooling_has_the_parameters_of_its_layers():
    assert count(GatedAttention(384)) == 385 * 512 + 2 * 513 * 128 + 129 + 513


@pytest.mark.parametrize("name", AGGREGATORS)
def test_a_bag_of_any_size_gives_one_logit_that_no_order_of_tiles_changes(name, bag):
    network = build_aggregator(name, 384, seed=0).eval()
    assert network(bag).shape == (1,)
    assert network(bag[:1]).shape == (1,)
    turned = bag[torch.tensor([3, 1, 6, 0, 2, 5, 4])]
    assert torch.allclose(network(bag), network(turned), atol=1e-6)
    assert not torch.allclose(network(bag), network(bag[:3]), atol=1e-6)


@pytest.mark.parametrize("name", AGGREGATORS)
def test_weights_follow_the_seed_alone(name):
    torch.manual_seed(5)
    first = build_aggregator(name, 8, seed=1).state_dict()
    then = torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == then  # and leave the other draws alone
    again = build_aggregator(name, 8, seed=1).state_dict()
    other = build_aggregator(name, 8, seed=2).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def plain_transformer(ours: Transformer, bag: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same network, written with torch's own attention and the weights of ours.

    Returns its logit, and the class token's attention to every token in the last block.
    """
    x = torch.cat([ours.token[0], nn.functional.relu(ours.project[0](bag))])[None]
    for attend, think in zip(ours.attend, ours.think, strict=True):
        theirs = nn.MultiheadAttention(512, 8, batch_first=True)
        with torch.no_grad():
            theirs.in_proj_weight.copy_(attend.qkv.weight)
            theirs.in_proj_bias.zero_()
            theirs.out_proj.weight.copy_(attend.out.weight)
            theirs.out_proj.bias.copy_(attend.out.bias)
        y = nn.functional.layer_norm(x, (512,), attend.norm.weight, attend.norm.bias)
        mixed, weights = theirs(y, y, y)
        x = x + mixed
        norm, first, _, second = think
        x = x + second(nn.functional.gelu(first(norm(x))))
    first, second, linear = ours.logit
    return linear(second(first(x[0, 0]))), weights[0, 0]


def test_the_transformer_is_the_one_that_torchs_own_attention_gives(bag):
    network = build_aggregator("transformer", 384, seed=3)
    with torch.no_grad():  # norms that do something
        for weight in network.parameters():
            weight.add_(
                0.05 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1))
            )
    logit, attention = plain_transformer(network, bag)
    assert network(bag).item() == pytest.approx(logit.item(), abs=1e-5)
    of_tiles = attention[1:] / attention[1:].sum()
    assert torch.allclose(network.attention(bag), of_tiles, atol=1e-6)
    assert of_tiles.max() > 1.1 * of_tiles.min()


def test_attention_pooling_is_the_weighted_sum_of_the_paper():
    """Ilse et al. 2018, equation 9, on two tiles by hand."""
    network = GatedAttention(1, hidden=1)
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
        network.project[0].weight[0] = 1  # the first of 512 features is the tile itself
        network.content[0].weight[0, 0], network.gate[0].bias[0] = 1, 0
        network.weigh.weight[0, 0], network.logit.weight[0, 0] = 2, 1
    # w tanh(h) sigmoid(0): 2 * 0.761594 * 0.5 and 2 * 0.964028 * 0.5; softmax 0.449564, 0.550436
    assert network(torch.tensor([[1.0], [2.0]])).item() == pytest.approx(1.550436, abs=1e-5)
    found = network.attention(torch.tensor([[1.0], [2.0]])).tolist()
    assert found == pytest.approx([0.449564, 0.550436], abs=1e-5)
