"""Profile of an encoder: parameters, dimension, tokens and GFLOP, counted without weights."""

import json
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from cryotome.core.cards import Card, without_notes
from cryotome.encoders.encoder import Encoder
from cryotome.encoders.network import build_network, on_meta, token_side
from cryotome.encoders.own_code import locate_code
from cryotome.study.geometry import input_side
from cryotome.study.variants import has_network

# keys of a card that decide its network
NETWORK = ["loader", "architecture", "module", "module_sha256", "code", "arguments", "pooling"]
NETWORK += ["pooler", "prefix_tokens", "views"]


def profile_models(cards: dict[str, Card], weights_dir: Path) -> dict[str, dict[str, float]]:
    """Profile every model that has a network; own code lies where `locate_code` says.

    Returns
    -------
    model to its `profile_encoder`

    Raises
    ------
    EncoderError
        Own code is missing, not allowed or faulty.
    """
    networks = {name: card for name, card in cards.items() if has_network(card)}
    return {n: profile_encoder(locate_code(card, n, weights_dir)) for n, card in networks.items()}


def profile_encoder(card: Card) -> dict[str, float]:
    """Build a card's network without weights and count its parameters and operations.

    Own code is built with numbers, for it may compute with them. Its card is of `locate_code`.

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
    keys = [*NETWORK, "normalise", "input", "checkpoint"]
    return dict(_profile(without_notes(card, *keys)))


@cache
def _profile(network_card: str) -> dict[str, float]:
    """Profile the network of a card, which several cards may share."""
    card = json.loads(network_card)
    side = input_side(card)
    own = "module" in card
    with nullcontext() if own else on_meta():
        bare = network = build_network(card)
        if "grid" in card.get("checkpoint", {}):
            network = build_network(card, side)
        # without gradients, or the counter trips over a parameter that is an input of a layer
        encoder = Encoder(network, card).eval().requires_grad_(False)
    parameters = sum(p.numel() for p in bare.parameters())
    seen = _record_tokens(network)
    # made outside the context, or what a library caches in a forward would be on `meta`
    x = torch.zeros(1, 3, side, side, device="cpu" if own else "meta")
    # the counter sees the two matrix products of attention only in its unfused form
    with (
        torch.no_grad(),
        nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        embedding = encoder(x)
    tokens = seen[-1]
    count = tokens.shape[1] - (side // token_side(network)) ** 2 if tokens.ndim == 3 else 0
    return {
        "parameters": parameters,
        "dim": embedding.shape[1],
        "prefix_tokens": count,
        "gflops": round(counter.get_total_flops() / 1e9, 1),
    }


def _record_tokens(network: nn.Module) -> list[Tensor]:
    """Return a list that gets what a network computes before pooling, when it runs.

    That is (n, tokens, dim), or a feature map.
    """
    network = getattr(network, "trunk", network)
    name = "forward_features" if hasattr(network, "forward_features") else "forward"
    compute, seen = getattr(network, name), list[Tensor]()

    def recorded(*arguments: Any, **options: Any) -> Any:
        output = compute(*arguments, **options)
        last: Any = output[-1] if isinstance(output, list) else output
        seen.append(getattr(last, "last_hidden_state", last))
        return output

    setattr(network, name, recorded)
    return seen
