"""Networks without weights, built as model cards describe them."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.encoders.layers import ConvStem, PooledNetwork
from cryotome.encoders.own_code import build_own
from cryotome.study.geometry import Geometry


def _swiglu_packed() -> Any:
    from timm.layers import SwiGLUPacked

    return SwiGLUPacked


# names in cards that stand for classes
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


def without_pooler(network: type[nn.Module]) -> dict[str, bool]:
    """Return the argument that keeps a class of transformers from adding an unused pooler."""
    takes = "add_pooling_layer" in inspect.signature(network.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


LOADERS: dict[str, Callable[[Card], nn.Module]] = {
    "timm": _timm,
    "torchvision": _torchvision,
    "transformers": _transformers,
    "python": build_own,
}


def build_bare(card: Card) -> nn.Module:
    """Build the network of a card without its pooler, as its loader does.

    Raises
    ------
    CardError
        The library does not take its architecture or arguments; the text names a close one.
    """
    try:
        return LOADERS[card["loader"]](card)
    except (TypeError, RuntimeError, ValueError) as error:
        if card["loader"] == "python":
            raise
        near: list[str] = []
        if card["loader"] == "timm":
            import timm

            near = get_close_matches(card["architecture"], timm.list_models(), n=1)
        meant = f" Did you mean {near[0]!r}?" if near not in ([], [card["architecture"]]) else ""
        raise CardError(
            f"{card['loader']} does not build {card['architecture']!r} with the arguments "
            f"{card['arguments']}: {error}.{meant} Correct `architecture` or `arguments` in the "
            "model's card."
        ) from error


# of tensors, in place: what libraries draw initial weights with
FILLS = {"add_", "clamp_", "div_", "erfinv_", "fill_", "mul_", "normal_", "uniform_", "zero_"}


class _Unfilled(TorchFunctionMode):
    """Leave out what fills tensors that have no numbers."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if getattr(function, "__name__", "") in FILLS and args and args[0].is_meta:
            return args[0]
        return function(*args, **(kwargs or {}))


@contextmanager
def on_meta() -> Iterator[None]:
    """Build networks whose tensors have a shape and no numbers, in a third of the usual time."""
    with torch.device("meta"), _Unfilled():
        yield


def build_network(card: Card, side: int | None = None) -> nn.Module:
    """Build the network of a card, with its pooler, without weights.

    Parameters
    ----------
    side
        Side of the images it will be given, px. It sets the size of a network whose card
        resizes the position grid; others keep the card's arguments.

    Raises
    ------
    CardError
        Its gates are not SiLU gates, although SwiGLU weights would load; or it pools by an
        average where the card names the class token; or its number of class and register tokens
        is not the card's.
    """
    if side and "grid" in card.get("checkpoint", {}):
        size = {"timm": "img_size", "transformers": "image_size"}[card["loader"]]
        card = card | {"arguments": card["arguments"] | {size: side}}
    network = build_bare(card)
    _check_gates(network, card)
    _check_class_token(network, card)
    _check_prefix(network, card)
    return PooledNetwork(network, **card["pooler"]) if "pooler" in card else network


def _name(card: Card) -> str:
    return card.get("architecture") or card["module"]


def _check_gates(network: nn.Module, card: Card) -> None:
    for name, layer in network.named_modules():
        gate = getattr(layer, "act", None)
        if type(layer).__name__ in ("GluMlp", "SwiGLU") and not isinstance(gate, nn.SiLU):
            raise CardError(
                f"{_name(card)} has the gate {type(gate).__name__} in "
                f"{name}, where SwiGLU has SiLU. Its weights would load and give wrong embeddings: "
                "write `act_layer: SiLU` under `arguments`."
            )


def _check_class_token(network: nn.Module, card: Card) -> None:
    """Refuse a network that averages tokens where the card asks for the class token."""
    own = getattr(network, "global_pool", None)
    if card["pooling"] == "class" and isinstance(own, str) and own not in ("", "token"):
        raise CardError(
            f"{_name(card)} pools by {own!r}, its card says `pooling: class`. Write "
            "`global_pool: token` under `arguments`."
        )


def _check_prefix(network: nn.Module, card: Card) -> None:
    """Refuse a wrong number of prefix tokens: means would include registers or skip patches."""
    own = count_prefix_tokens(network)
    if own is not None and card["prefix_tokens"] != own:
        raise CardError(
            f"{_name(card)} has {own} tokens before those of the image (class token and "
            f"registers), its card says `prefix_tokens: {card['prefix_tokens']}`. Means over the "
            f"image would be wrong: write `prefix_tokens: {own}`, or correct `arguments`."
        )


def count_prefix_tokens(network: nn.Module) -> int | None:
    """Return the number of class and register tokens of a network; None: unknown."""
    known = getattr(network, "num_prefix_tokens", None)  # timm's
    if known is None and getattr(network, "config", None) is not None:  # transformers
        names = [name for name, _ in network.named_parameters()]
        if not any(name.endswith("embeddings") or ".embeddings." in f".{name}" for name in names):
            return None
        has_class = any(name.endswith("cls_token") for name in names)
        known = int(has_class) + getattr(network.config, "num_register_tokens", 0)
    return known


def token_side(network: nn.Module) -> int:
    """Return the side of the image part of one token, px; 0 where there are no tokens."""
    network = getattr(network, "trunk", network)
    embed, config = getattr(network, "patch_embed", None), getattr(network, "config", None)
    return embed.patch_size[0] if embed is not None else getattr(config, "patch_size", 0)


def require_input_side(card: Card, name: str, geometry: Geometry) -> None:
    """Refuse patches of a size that a network cannot take, before its weights are loaded.

    Own code is not asked: it is tried out with its weights.

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
    if "module" in card:
        return
    with on_meta():
        network = build_network(card)
    network = getattr(network, "trunk", network)
    side, size = geometry.seen, _fixed_side(network)
    if size and side != size and "grid" not in card.get("checkpoint", {}):
        raise CardError(
            f"{name} takes patches of {size} px, not {side}. {_how_to_change(size, geometry)}"
        )
    step, embed = token_side(network) or 1, getattr(network, "patch_embed", None)
    if side % step and not getattr(embed, "dynamic_img_pad", False):
        near = max(step, side - side % step)
        raise CardError(
            f"{name} takes multiples of {step} px, not {side}. {_how_to_change(near, geometry)}"
        )


def _fixed_side(network: nn.Module) -> int | None:
    """Return the only side of an image that a network takes, px; None: several."""
    embed = getattr(network, "patch_embed", None)
    if embed is not None and getattr(embed, "strict_img_size", False):
        return embed.img_size[0]
    return getattr(getattr(network, "config", None), "image_size", None)


def _how_to_change(side: int, geometry: Geometry) -> str:
    resizes = ", or a view `fit-*`, which resizes them" if geometry.policy != "patches" else ""
    return f"Use a dataset card with `patch: {{side: {side}}}`{resizes}."
