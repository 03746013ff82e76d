"""Training of the last blocks of a network alone: everything before them is frozen."""

import re

from timm.models import group_parameters
from torch import nn

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.learners.endtoend.lora import keep_statistics


def train_last_blocks(network: nn.Module, count: int, *, name: str) -> nn.Module:
    """Freeze a network but its last blocks and what follows them, such as a last norm.

    Blocks are those by which timm groups the network's parameters. Batch normalisation keeps the
    statistics of the weights, in every block.

    Parameters
    ----------
    network
        `network` of an `Encoder`, with its weights; changed in place.
    count
        `last_blocks` of a head card.
    name
        The model, for messages.

    Raises
    ------
    CardError
        The network is none of timm, or has fewer blocks.
    """
    if not hasattr(network, "group_matcher"):
        raise CardError(
            f"{name} is no network of timm, so `last_blocks` cannot tell its blocks. Take a head "
            "that trains all weights, or `lora`."
        )
    matcher: Card = network.group_matcher(coarse=False)  # type: ignore[operator]
    group = group_parameters(network, matcher, reverse=True)
    said = matcher["blocks"]
    patterns = [said] if isinstance(said, str) else [pattern for pattern, _ in said]
    blocks = sorted({at for path, at in group.items() if any(re.match(p, path) for p in patterns)})
    if count > len(blocks):
        raise CardError(
            f"{name} has {len(blocks)} blocks, and the head trains its last {count}. Lower "
            "`last_blocks`, or take a head that trains all weights."
        )
    for path, weight in network.named_parameters():
        weight.requires_grad_(group[path] >= blocks[-count])
    network.register_forward_pre_hook(keep_statistics)
    return network
