"""Schedules of learning rate, weight decay, momentum and temperature, and rates per layer.

Roth et al. 2024, section 2.2 and released configuration. The schedules run over
`schedule_iterations`; `stop_iteration` does not shorten them.
"""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import nn

from cryotome.core.cards import Card

FULL_BATCH = 1024  # images per step to which the learning rate of a card refers
BETAS = (0.9, 0.999)


def with_warmup(iteration: int, warmup: int, *, start: float, end: float) -> float:
    """Return the value on a line from `start` at iteration 0 to `end` at `warmup - 1`."""
    progress = min(1.0, iteration / (warmup - 1)) if warmup > 1 else 1.0
    return start + (end - start) * progress


def cosine(iteration: int, total: int, *, start: float, end: float) -> float:
    """Return the value on half a cosine from `start` at iteration 0 to `end` at `total`."""
    progress = min(iteration, total) / max(total, 1)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True)
class Schedule:
    """Rates of one iteration.

    Attributes
    ----------
    learning_rate, weight_decay
        Of AdamW, before the factors of the parameter groups.
    last_layer
        Learning rate of the prototypes.
    momentum
        Weight of the teacher in its own update.
    temperature
        Of the teacher.
    """

    learning_rate: float
    weight_decay: float
    last_layer: float
    momentum: float
    temperature: float


def schedule_at(iteration: int, card: Card) -> Schedule:
    """Return the rates of an iteration, counted from 0.

    >>> card = {"schedule_iterations": 10, "batch": 256, "learning_rate": 2e-4, "warmup": 3}
    >>> card |= {"final_learning_rate": 1e-6, "weight_decay": [0.04, 0.2], "momentum": 0.994}
    >>> card |= {"teacher_temperature": {"start": 0.04, "end": 0.07, "warmup": 4}}
    >>> card |= {"freeze_last_layer": 1}
    >>> rates = schedule_at(0, card)
    >>> rates.learning_rate, round(rates.weight_decay, 6), rates.momentum, rates.temperature
    (0.0, 0.04, 0.994, 0.04)
    """
    total, warmup = card["schedule_iterations"], card["warmup"]
    peak = card["learning_rate"] * math.sqrt(card["batch"] / FULL_BATCH)
    rate = with_warmup(iteration, warmup, start=0.0, end=peak)
    if iteration >= warmup:
        least = card["final_learning_rate"]
        rate = cosine(iteration - warmup, total - warmup, start=peak, end=least)
    first, last = card["weight_decay"]
    warm = card["teacher_temperature"]
    return Schedule(
        learning_rate=rate,
        weight_decay=cosine(iteration, total, start=first, end=last),
        last_layer=rate * (iteration >= card["freeze_last_layer"]),
        momentum=cosine(iteration, total, start=card["momentum"], end=1.0),
        temperature=with_warmup(iteration, warm["warmup"], start=warm["start"], end=warm["end"]),
    )


def layer_index(name: str, blocks: int) -> int:
    """Return the layer of a weight: 0 for embeddings, from 1 for blocks, the last for all others.

    >>> [layer_index(n, 12) for n in ("backbone.mask_token", "backbone.network.blocks.3.ls1.gamma")]
    [0, 4]
    >>> layer_index("backbone.network.norm.weight", 12), layer_index("head.last.weight", 12)
    (13, 13)
    """
    if not name.startswith("backbone."):
        return blocks + 1
    if ".blocks." in name:
        return int(name.split(".blocks.")[1].split(".")[0]) + 1
    embeds = ("pos_embed", "patch_embed", "cls_token", "mask_token")
    return 0 if any(word in name for word in embeds) else blocks + 1


def weight_factors(name: str, blocks: int, card: Card) -> tuple[float, float, bool]:
    """Return a weight's factors of learning rate and decay, and whether it is a prototype.

    Biases, norms and LayerScale are not decayed; positions, class and mask token are.
    """
    rate = card["layer_decay"] ** (blocks + 1 - layer_index(name, blocks))
    rate *= card["patch_embed_rate"] if "patch_embed" in name else 1.0
    undecayed = name.endswith(".bias") or "norm" in name or "gamma" in name
    return rate, float(not undecayed), ".last." in name


def build_optimizer(student: nn.Module, blocks: int, card: Card) -> torch.optim.AdamW:
    """Build AdamW with a group of weights per factors; names start with `backbone.` or `head.`."""
    named = [(weight_factors(name, blocks, card), w) for name, w in student.named_parameters()]
    named.sort(key=lambda pair: pair[0])
    groups: list[dict[str, Any]] = [
        {"params": [weight for _, weight in some], "factors": factors}
        for factors, some in groupby(named, key=lambda pair: pair[0])
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, fused=True)


def apply_schedule(optimizer: torch.optim.Optimizer, rates: Schedule) -> None:
    """Set the rates of this iteration in every parameter group."""
    for group in optimizer.param_groups:
        rate, decay, is_last = group["factors"]
        group["lr"] = rate * (rates.last_layer if is_last else rates.learning_rate)
        group["weight_decay"] = decay * rates.weight_decay
