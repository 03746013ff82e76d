"""Classifiers: an encoder's network with an output layer, trained end to end or with adapters."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from cryotome.core.cards import Card
from cryotome.encoders.encoder import build_encoder
from cryotome.learners.endtoend.last_blocks import train_last_blocks
from cryotome.learners.endtoend.lora import add_lora
from cryotome.study.geometry import Geometry

# keys of a head's card by which less than all weights trains
WAYS: dict[str, Callable[..., nn.Module]] = {"lora": add_lora, "last_blocks": train_last_blocks}


def build_classifier(
    card: Card, name: str, weights_dir: Path, *, side: int, seed: int, head: Card | None = None
) -> tuple[nn.Sequential, str]:
    """Build an encoder with one logit on its embedding (2048 to 1 for a ResNet50).

    New layers are initialised from `seed`; with random weights, the whole network is, so that
    folds differ in their initial weights too. Patches of `side` px are neither resized nor
    cropped, whatever the card's transforms.

    Parameters
    ----------
    head
        The head's card. With `lora` the encoder is frozen and gets adapters; with `last_blocks`
        all before its last blocks is frozen.

    Returns and raises as `build_encoder`.
    """
    if isinstance(card["weights"], dict) and "random" in card["weights"]:
        card = card | {"weights": {"random": card["weights"]["random"] + seed}}
    encoder, weights_sha256 = build_encoder(card, name, weights_dir, Geometry(side))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for key, change in WAYS.items():
            if head and key in head:
                encoder.network = change(encoder.network, head[key], name=name)
        network = nn.Sequential(encoder, nn.Linear(card["dim"], 1))
    network.to(memory_format=torch.channels_last)
    return network, weights_sha256
