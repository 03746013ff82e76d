"""Profile of an encoder: parameters, dimension, tokens and GFLOP, counted without weights."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cryotome.core.cards import Card
from cryotome.encoders.encoder import Encoder
from cryotome.encoders.network import build_network, token_side
from cryotome.study.geometry import input_side


def _tokens(network: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a network before pooling: (n, tokens, dim), or a feature map."""
    network = getattr(network, "trunk", network)
    output: Any = getattr(network, "forward_features", network)(x)
    output = output[-1] if isinstance(output, list) else output
    return getattr(output, "last_hidden_state", output)


def profile_encoder(card: Card) -> dict[str, float]:
    """Build a card's network without weights and count its parameters and operations.

    Returns
    -------
    parameters
        Of the network with the card's arguments, before its position grid is resized.
    dim
        Length of one embedding.
    prefix_tokens
        Class and register tokens.
    gflops
        GFLOP (2 x multiply-add) of a forward pass of one image of side `input`.
    """
    side = input_side(card)
    with torch.device("meta"):
        parameters = sum(p.numel() for p in build_network(card).parameters())
        network = build_network(card, side)
        encoder = Encoder(network, card).eval()
    # made outside the context, or what a library caches in a forward would be on `meta`
    x = torch.empty(1, 3, side, side, device="meta")
    # the counter sees the two matrix products of attention only in its unfused form
    with torch.no_grad(), nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
        with FlopCounterMode(display=False) as counter:
            embedding = encoder(x)
        tokens = _tokens(network, x)
    count = tokens.shape[1] - (side // token_side(network)) ** 2 if tokens.ndim == 3 else 0
    return {
        "parameters": parameters,
        "dim": embedding.shape[1],
        "prefix_tokens": count,
        "gflops": round(counter.get_total_flops() / 1e9, 1),
    }
