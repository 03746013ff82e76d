"""Networks: a model card becomes an architecture without weights."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.encoders.convert import without_pooler
from cryotome.encoders.layers import ConvStem, PooledNetwork


def _swiglu_packed() -> Any:
    from timm.layers import SwiGLUPacked

    return SwiGLUPacked


# Names that cards may use where a constructor wants a class.
SYMBOLS: dict[str, Callable[[], Any]] = {
    "SwiGLUPacked": _swiglu_packed,
    "SiLU": lambda: nn.SiLU,
    "ConvStem": lambda: ConvStem,
    "LayerNorm_eps1e-6": lambda: partial(nn.LayerNorm, eps=1e-6),
    "LayerNorm_eps1e-12": lambda: partial(nn.LayerNorm, eps=1e-12),
}


def _timm(card: Card) -> nn.Module:
    import timm

    arguments = {
        key: SYMBOLS[value]() if isinstance(value, str) and value in SYMBOLS else value
        for key, value in card["arguments"].items()
    }
    return timm.create_model(card["architecture"], pretrained=False, **arguments)


def _torchvision(card: Card) -> nn.Module:
    import torchvision

    if card["architecture"] not in torchvision.models.list_models(torchvision.models):
        raise CardError(f"torchvision classifies with no {card['architecture']!r}.")
    network = torchvision.models.get_model(card["architecture"], weights=None, **card["arguments"])
    network.fc = nn.Identity()
    return network


def _transformers(card: Card) -> nn.Module:
    import transformers

    network: Any = getattr(transformers, card["architecture"], None)
    config = getattr(network, "config_class", None)
    if not config or not issubclass(network, transformers.PreTrainedModel):
        raise CardError(f"transformers has no network of the name {card['architecture']!r}.")
    return network(config(**card["arguments"]), **without_pooler(network))


LOADERS: dict[str, Callable[[Card], nn.Module]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "transformers": _transformers,
}


def build_network(card: Card, side: int | None = None) -> nn.Module:
    """Build the network of a card, with its pooler, without weights.

    Parameters
    ----------
    side
        Side of what it will be given, px. Networks whose card resizes the position grid are
        built for it; others keep the card's arguments.

    Raises
    ------
    CardError
        Its gates are not SiLU gates: SwiGLU weights would load strictly and be wrong. Or its
        own pooling is an average where the card says class token; or it has more or fewer class
        and register tokens than the card says.
    """
    if side and "grid" in card.get("checkpoint", {}):
        size = {"timm": "img_size", "transformers": "image_size"}[card["loader"]]
        card = card | {"arguments": card["arguments"] | {size: side}}
    network = LOADERS[card["loader"]](card)
    _check_gates(network, card)
    _check_class_token(network, card)
    _check_prefix(network, card)
    return PooledNetwork(network, **card["pooler"]) if "pooler" in card else network


def _check_gates(network: nn.Module, card: Card) -> None:
    for name, layer in network.named_modules():
        gate = getattr(layer, "act", None)
        if type(layer).__name__ in ("GluMlp", "SwiGLU") and not isinstance(gate, nn.SiLU):
            raise CardError(
                f"{card['architecture']} has the gate {type(gate).__name__} in "
                f"{name}, where SwiGLU has SiLU. Its weights would load and give wrong embeddings: "
                "write `act_layer: SiLU` under `arguments`."
            )


def _check_class_token(network: nn.Module, card: Card) -> None:
    """Stop a card that says class token and would be given an average without a word."""
    own = getattr(network, "global_pool", None)
    if card["pooling"] == "class" and isinstance(own, str) and own not in ("", "token"):
        raise CardError(
            f"{card['architecture']} pools by {own!r}, its card says `pooling: class`. Write "
            "`global_pool: token` under `arguments`."
        )


def _check_prefix(network: nn.Module, card: Card) -> None:
    """Stop a card whose means over the image would take in registers, or leave out patches."""
    own = count_prefix_tokens(network)
    if own is not None and card["prefix_tokens"] != own:
        raise CardError(
            f"{card['architecture']} has {own} tokens before those of the image (class token and "
            f"registers), its card says `prefix_tokens: {card['prefix_tokens']}`. Means over the "
            f"image would be wrong: write `prefix_tokens: {own}`, or correct `arguments`."
        )


def count_prefix_tokens(network: nn.Module) -> int | None:
    """Return how many class and register tokens a network has; None where it does not say."""
    known = getattr(network, "num_prefix_tokens", None)  # timm's
    if known is None and getattr(network, "config", None) is not None:  # of transformers
        names = [name for name, _ in network.named_parameters()]
        if not any(name.endswith("embeddings") or ".embeddings." in f".{name}" for name in names):
            return None
        has_class = any(name.endswith("cls_token") for name in names)
        known = int(has_class) + getattr(network.config, "num_register_tokens", 0)
    return known


def token_side(network: nn.Module) -> int:
    """Return the side of what one token stands for, px; 0 where there are no tokens."""
    network = getattr(network, "trunk", network)
    embed, config = getattr(network, "patch_embed", None), getattr(network, "config", None)
    return embed.patch_size[0] if embed is not None else getattr(config, "patch_size", 0)


def require_input_side(card: Card, name: str, side: int, *, view: str) -> None:
    """Stop before a network is given patches of a size that it cannot take.

    The architecture is built without weights and asked.

    Raises
    ------
    CardError
        The network takes another size only, or multiples of its own patch size; or the card
        has no network.
    """
    if card["loader"] not in LOADERS:
        raise CardError(
            f"{name} has no network that could be trained: its loader is {card['loader']!r}. Give "
            "it a head on embeddings, or choose another model."
        )
    with torch.device("meta"):
        network = build_network(card)
    network = getattr(network, "trunk", network)
    embed = getattr(network, "patch_embed", None)
    size = getattr(getattr(network, "config", None), "image_size", None)
    if embed is not None and getattr(embed, "strict_img_size", False):
        size = embed.img_size[0]
    flexible = "grid" in card.get("checkpoint", {})
    if size and side != size and not flexible:
        raise CardError(f"{name} takes patches of {size} px, not {side}. {_way(card, size, view)}")
    step = token_side(network) or 1
    if side % step and not getattr(embed, "dynamic_img_pad", False):
        near = max(step, side - side % step)
        raise CardError(
            f"{name} takes multiples of {step} px, not {side}. {_way(card, near, view)}"
        )


def _way(card: Card, size: int, view: str) -> str:
    resizes = ", or a view `fit-*`, which resizes them" if view != "patches" else ""
    return f"Use a dataset card with `patch: {{side: {size}}}`{resizes}."
