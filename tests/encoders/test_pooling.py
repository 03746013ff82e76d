import pytest
import torch

from cryotome.core.errors import CardError
from cryotome.encoders.pooling import pool_tokens


def test_mean_leaves_registers_out():
    tokens = torch.tensor([[[1.0], [90.0], [2.0], [4.0]]])  # class, register, two image parts
    assert pool_tokens(tokens, how="class+mean", prefix=2).tolist() == [[1.0, 3.0]]
    assert pool_tokens(tokens, how="class", prefix=2).tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("how", "pooled"),
    [
        ("class", [1.0]),
        ("mean", [8.5]),
        ("class+mean", [1.0, 8.5]),
        ("class+rest", [1.0, (90 + 136) / 17]),
        ("centre", [(6 + 7 + 10 + 11) / 4]),
    ],
)
def test_every_pooling_of_tokens(how, pooled):
    tokens = torch.tensor([[1.0, 90.0, *range(1, 17)]]).unsqueeze(
        -1
    )  # class, register, 4 x 4 parts
    assert pool_tokens(tokens, how=how, prefix=2).tolist() == [pytest.approx(pooled)]


def test_the_centre_of_an_odd_grid_is_one_token():
    tokens = torch.arange(10.0).view(1, 10, 1)  # class, 3 x 3 parts
    assert pool_tokens(tokens, how="centre", prefix=1).tolist() == [[5.0]]


def test_maps_are_averaged():
    assert pool_tokens(torch.ones(2, 3, 4, 4), how="map_mean", prefix=0).tolist() == [[1] * 3] * 2


def test_a_pooling_that_does_not_fit_says_so():
    said = r"'class\+mean' does not fit an output of shape \(2, 5\); it pools already: write"
    with pytest.raises(CardError, match=rf"{said} `global_pool: ''` under `arguments`"):
        pool_tokens(torch.zeros(2, 5), how="class+mean", prefix=1)
    with pytest.raises(CardError, match=r"'class' does not fit .*\(2, 5, 4, 4\). Or choose"):
        pool_tokens(torch.zeros(2, 5, 4, 4), how="class", prefix=1)
