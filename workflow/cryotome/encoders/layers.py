"""Layers of published encoders that are in no library."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryotome.core.errors import CardError


def _pair(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, (tuple, list)) else (size, size)  # type: ignore[return-value]


class ConvStem(nn.Module):
    """The convolutional patch embedding of CTransPath (Wang et al. 2022, Medical Image Analysis).

    It replaces the patch embedding of timm's Swin transformer: (n, 3, side, side) to
    (n, side / 4, side / 4, dim), channels last, normalised. `proj` and `norm` are named as in
    the published checkpoint.
    """

    def __init__(
        self,
        img_size: Any = 224,
        patch_size: Any = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: Any = nn.LayerNorm,
        **others: Any,
    ) -> None:
        super().__init__()
        self.img_size, self.patch_size = _pair(img_size), _pair(patch_size)
        if self.patch_size != (4, 4):
            raise ValueError(f"ConvStem shrinks by 4, not by {patch_size}.")
        self.grid_size = (self.img_size[0] // 4, self.img_size[1] // 4)
        self.num_patches, self.strict_img_size = self.grid_size[0] * self.grid_size[1], True
        widths = [in_chans, embed_dim // 8, embed_dim // 4]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.proj = nn.Sequential(*layers, nn.Conv2d(widths[-1], embed_dim, 1))
        self.norm = norm_layer(embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, side, side) to (n, side / 4, side / 4, dim)."""
        return self.norm(self.proj(x).permute(0, 2, 3, 1))


class AttentionPool(nn.Module):
    """One learned query attends to all tokens (CONCH v1.5; Ding et al. 2025, Nature Medicine).

    Tokens and query are normalised first, the result last; no projection has a bias.
    """

    def __init__(self, dim: int, out: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(1, out))
        self.to_q = nn.Linear(out, out, bias=False)
        self.to_kv = nn.Linear(dim, 2 * out, bias=False)
        self.to_out = nn.Linear(out, out, bias=False)
        self.ln_q, self.ln_k, self.norm = nn.LayerNorm(out), nn.LayerNorm(dim), nn.LayerNorm(out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (n, tokens, dim) to (n, out)."""
        query = self.to_q(self.ln_q(self.query)).expand(len(tokens), 1, -1)
        parts = (query, *self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1))
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in parts)
        pooled = functional.scaled_dot_product_attention(q, k, v)  # (n, heads, 1, out / heads)
        return self.norm(self.to_out(pooled.flatten(1)))


class MultiheadPool(nn.Module):
    """One learned query attends to all tokens by torch's attention, with biases.

    Of CONCH (Lu et al. 2024, Nature Medicine): tokens and query are normalised first, the result
    last; all LayerNorms have the epsilon 1e-5.
    """

    def __init__(self, dim: int, out: int, heads: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, out))
        self.attn = nn.MultiheadAttention(out, heads, kdim=dim, vdim=dim, batch_first=True)
        self.ln_q, self.ln_k, self.norm = nn.LayerNorm(out), nn.LayerNorm(dim), nn.LayerNorm(out)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (n, tokens, dim) to (n, out)."""
        query, tokens = self.ln_q(self.query).expand(len(tokens), 1, -1), self.ln_k(tokens)
        pooled, _ = self.attn(query, tokens, tokens, need_weights=False)  # (n, 1, out)
        return self.norm(pooled.flatten(1))


class LinearLayers(nn.Sequential):
    """Linear layers from one width to the next, with GELU between them: (n, first) to (n, last).

    One layer without bias is the projection of CLIP (Radford et al. 2021) and ImageBind (Girdhar
    et al. 2023).
    """

    def __init__(self, widths: list[int], bias: bool) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after, bias=bias), nn.GELU()]
        super().__init__(*layers[:-1])


POOLERS: dict[str, type[nn.Module]] = {
    "attention": AttentionPool,
    "multihead": MultiheadPool,
    "linear": LinearLayers,
}


class PooledNetwork(nn.Module):
    """A network and the pooler that its card names: parameters `trunk.*` and `pooler.*`."""

    def __init__(self, trunk: nn.Module, kind: str, arguments: dict[str, Any]) -> None:
        super().__init__()
        try:
            self.trunk, self.pooler = trunk, POOLERS[kind](**arguments)
        except TypeError as error:
            raise CardError(f"`arguments` of the pooler {kind!r} are wrong: {error}.") from None

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, side, side) to (n, out)."""
        return self.pooler(self.trunk(x))
