"""A model card becomes a network that turns patches into embeddings."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.encoders.convert import load_state, without_pooler
from cryotome.encoders.layers import ConvStem, Pooled
from cryotome.encoders.pooling import pool_tokens
from cryotome.encoders.weights import check_known, find_weights
from cryotome.learners.endtoend.lora import add_lora
from cryotome.study.geometry import geometry_of, side_after


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


class Encoder(nn.Module):
    """Normalise, run the network, pool; the geometry of a patch is left alone."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        self.network, self.how, self.prefix = network, card["pooling"], card["prefix_tokens"]
        for name, values in card["normalise"].items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, patches: Tensor) -> Tensor:
        """Map (n, 3, side, side) float in [0, 1] to (n, dim) float."""
        x = (patches - self.mean) / self.std
        if self.how == "mean_before_norm":
            output = self.network(x, output_hidden_states=True).hidden_states[-1]
        else:
            output = self.network(x)
        output = getattr(output, "last_hidden_state", output)
        output = output[-1] if isinstance(output, list) else output  # the last feature map
        return pool_tokens(output, how=self.how, prefix=self.prefix)


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
    return Pooled(network, **card["pooler"]) if "pooler" in card else network


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
    own = own_prefix(network)
    if own is not None and card["prefix_tokens"] != own:
        raise CardError(
            f"{card['architecture']} has {own} tokens before those of the image (class token and "
            f"registers), its card says `prefix_tokens: {card['prefix_tokens']}`. Means over the "
            f"image would be wrong: write `prefix_tokens: {own}`, or correct `arguments`."
        )


def own_prefix(network: nn.Module) -> int | None:
    """Return how many class and register tokens a network has; None where it does not say."""
    known = getattr(network, "num_prefix_tokens", None)  # timm's
    if known is None and getattr(network, "config", None) is not None:  # of transformers
        names = [name for name, _ in network.named_parameters()]
        if not any(name.endswith("embeddings") or ".embeddings." in f".{name}" for name in names):
            return None
        has_class = any(name.endswith("cls_token") for name in names)
        known = int(has_class) + getattr(network.config, "num_register_tokens", 0)
    return known


def patch_side(network: nn.Module) -> int:
    """Return the side of what one token stands for, px; 0 where there are no tokens."""
    network = getattr(network, "trunk", network)
    embed, config = getattr(network, "patch_embed", None), getattr(network, "config", None)
    return embed.patch_size[0] if embed is not None else getattr(config, "patch_size", 0)


def check_side(card: Card, name: str, side: int, *, view: str) -> None:
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
    step = patch_side(network) or 1
    if side % step and not getattr(embed, "dynamic_img_pad", False):
        near = max(step, side - side % step)
        raise CardError(
            f"{name} takes multiples of {step} px, not {side}. {_way(card, near, view)}"
        )


def _way(card: Card, size: int, view: str) -> str:
    resizes = ", or a view `fit-*`, which resizes them" if view != "patches" else ""
    return f"Use a dataset card with `patch: {{side: {size}}}`{resizes}."


def state_hash(network: nn.Module) -> str:
    """Return a sha256 over names and values of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_encoder(
    card: Card, name: str, weights_dir: Path, *, view: str, side: int
) -> tuple[Encoder, str]:
    """Build the network of a card and give it its weights.

    Random weights are drawn from the card's seed and are the same on every machine.

    Parameters
    ----------
    view
        Its policy decides the geometry between patch and network.
    side
        Side of the patches, px.

    Returns
    -------
    encoder
        In evaluation mode, on the processor.
    hash
        sha256 of the weights file, or of the drawn weights.

    Raises
    ------
    CardError
        The network takes patches of another size.
    WeightsError
        The weights are missing, or do not fit the architecture to the last key.
    """
    side = side_after(geometry_of(card, view), side)
    check_side(card, name, side, view=view)
    weights = card["weights"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(weights.get("random", 0))
        network = build_network(card, side)
    if "random" in weights:
        return Encoder(network, card).eval(), state_hash(network)
    path = find_weights(card, name, weights_dir)
    known = check_known(path, card)
    load_state(network, path, card, name)
    return Encoder(network, card).eval(), known


def build_classifier(
    card: Card, name: str, weights_dir: Path, *, side: int, seed: int, lora: Card | None = None
) -> tuple[nn.Sequential, str]:
    """Build an encoder with one logit on its embedding (2048 to 1 for a ResNet50).

    What is new is drawn from `seed`; with random weights, so is the whole network:
    folds then differ in their start, as they do in their data. Patches of `side` px come
    as they are, whatever the card's transforms.

    Parameters
    ----------
    lora
        `lora` of the head's card: the encoder is frozen and gets adapters.

    Returns and raises as `build_encoder`.
    """
    if isinstance(card["weights"], dict) and "random" in card["weights"]:
        card = card | {"weights": {"random": card["weights"]["random"] + seed}}
    encoder, weights_sha256 = build_encoder(card, name, weights_dir, view="patches", side=side)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if lora:
            encoder.network = add_lora(encoder.network, lora, name=name)
        network = nn.Sequential(encoder, nn.Linear(card["dim"], 1))
    network.to(memory_format=torch.channels_last)
    return network, weights_sha256
