"""Aggregators: from the embeddings of all tiles of a patient to one logit.

Every network maps a bag (n, dim), whatever the order of its tiles, to a logit (1,). Its `attention`
(n,) says how much each tile counts, and sums to 1.
"""

from collections.abc import Callable
from itertools import islice
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

WIDTH = 512  # features of a token, in both networks


class Attention(nn.Module):
    """Pre-norm self-attention with 8 heads of 64 features (Wagner et al. 2023)."""

    def __init__(self, heads: int = 8, width: int = 64) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * heads * width, bias=False)
        self.out = nn.Linear(heads * width, WIDTH)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix tokens (1, n, 512)."""
        parts = self.qkv(self.norm(tokens)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = scaled_dot_product_attention(q, k, v)  # (1, heads, n, 64)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def of_first(self, tokens: Tensor) -> Tensor:
        """Return how much the first token attends to every token (n,), mean over heads."""
        q, k, _ = self.qkv(self.norm(tokens))[0].unflatten(-1, (3, self.heads, -1)).unbind(1)
        logits = torch.einsum("hd,nhd->hn", q[0], k) / q.shape[-1] ** 0.5
        return logits.softmax(dim=-1).mean(dim=0)


class Transformer(nn.Module):
    """The aggregator of Wagner et al. 2023 (Cancer Cell 41, 1650-1661).

    A linear layer to 512 with ReLU, a class token, two pre-norm blocks of attention and an MLP
    of 512 with GELU, no dropout, no positions. The class token is normalised twice, as in the
    authors' code (HistoBistro, models/aggregators/transformer.py).
    """

    def __init__(self, dim: int, depth: int = 2) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(dim, WIDTH), nn.ReLU())
        self.token = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.attend = nn.ModuleList(Attention() for _ in range(depth))
        self.think = nn.ModuleList(_mlp() for _ in range(depth))
        self.logit = nn.Sequential(nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1))

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logit (1,) of a bag (n, dim)."""
        return self.logit(self._tokens(bag, len(self.attend))[:, 0]).flatten()

    def attention(self, bag: Tensor) -> Tensor:
        """Return the class token's attention to each tile in the last block, mean over heads."""
        last = len(self.attend) - 1
        block = cast(Attention, self.attend[last])
        tiles = block.of_first(self._tokens(bag, last))[1:]
        return tiles / tiles.sum()

    def _tokens(self, bag: Tensor, blocks: int) -> Tensor:
        """Return the tokens (1, 1 + n, 512) after some blocks, the class token first."""
        tokens = torch.cat([self.token, self.project(bag)[None]], dim=1)
        for attend, think in islice(zip(self.attend, self.think, strict=True), blocks):
            tokens = tokens + attend(tokens)
            tokens = tokens + think(tokens)
        return tokens


def _mlp() -> nn.Sequential:
    layers = nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH)
    return nn.Sequential(nn.LayerNorm(WIDTH), *layers)


class GatedAttention(nn.Module):
    """Attention-based pooling with a gate (Ilse et al. 2018, equation 9, 128 hidden units).

    Tiles pass the same linear layer with ReLU as in the transformer.
    """

    def __init__(self, dim: int, hidden: int = 128) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Linear(dim, WIDTH), nn.ReLU())
        self.content = nn.Sequential(nn.Linear(WIDTH, hidden), nn.Tanh())
        self.gate = nn.Sequential(nn.Linear(WIDTH, hidden), nn.Sigmoid())
        self.weigh = nn.Linear(hidden, 1)
        self.logit = nn.Linear(WIDTH, 1)

    def forward(self, bag: Tensor) -> Tensor:
        """Return the logit (1,) of a bag (n, dim)."""
        tiles = self.project(bag)
        return self.logit((self._weights(tiles) * tiles).sum(dim=0))

    def attention(self, bag: Tensor) -> Tensor:
        """Return the weight of each tile in the mean."""
        return self._weights(self.project(bag)).flatten()

    def _weights(self, tiles: Tensor) -> Tensor:
        return self.weigh(self.content(tiles) * self.gate(tiles)).softmax(dim=0)  # (n, 1)


AGGREGATORS: dict[str, Callable[[int], nn.Module]] = {
    "transformer": Transformer,
    "abmil": GatedAttention,
}


def build_aggregator(name: str, dim: int, *, seed: int) -> nn.Module:
    """Return a network with random weights that depend on the seed only.

    Parameters
    ----------
    name
        `transformer` or `abmil`, as in a head's card.
    dim
        Features of a tile.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AGGREGATORS[name](dim)
