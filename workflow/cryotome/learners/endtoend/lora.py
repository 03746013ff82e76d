"""Low-rank adaptation (Hu et al. 2022): small trained additions to a frozen network.

A layer W x becomes W x + (alpha / rank) B A x; only A (rank, in) and B (out, rank) are trained.
The adapters are peft's, which is imported where it is used: the import costs seconds.
"""

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, WeightsError

ADAPTER = "default"  # peft's name of an adapter
LOGIT = "logit."  # prefix of the names of the output layer among adapters
SHOWN = 5  # names of layers in an error message


def add_lora(network: nn.Module, settings: Card, *, name: str) -> nn.Module:
    """Add adapters to a network and freeze the rest, statistics of batch normalisation included.

    A is drawn from torch's CPU generator: seed it for equal adapters. B is zero, so that the
    output is unchanged before the first step.

    Parameters
    ----------
    network
        `network` of an `Encoder`, with its weights; changed in place.
    settings
        `lora` of a head card: `rank`, `alpha`, `dropout`, and `targets`, a regular expression
        that whole dotted names of linear layers and ungrouped convolutions match.
    name
        The model, for messages.

    Returns
    -------
    The network in peft's wrapper, called as before.

    Raises
    ------
    CardError
        `targets` matches no such layer, or is no regular expression.
    """
    from peft import LoraConfig, LoraModel

    config = LoraConfig(
        r=settings["rank"],
        lora_alpha=settings["alpha"],
        lora_dropout=settings["dropout"],
        target_modules="|".join(
            map(re.escape, _matching_layers(network, settings["targets"], name))
        ),
        bias="none",
    )
    for layer in network.modules():
        if hasattr(layer, "qkv_bias_separate"):  # timm's BEiT: else its adapters are passed by
            layer.qkv_bias_separate = True  # type: ignore[assignment]
    adapted = LoraModel(network, config, ADAPTER)
    adapted.register_forward_pre_hook(keep_statistics)
    return adapted


def keep_statistics(network: nn.Module, _: Any) -> None:
    """Keep batch normalisation in evaluation mode: its statistics are not kept with adapters."""
    for layer in network.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def _is_adaptable(layer: nn.Module) -> bool:
    """Whether a layer is W x and no more; a subclass may do more with its weight.

    peft copies neither groups nor dilation of a convolution.
    """
    if type(layer) is nn.Conv2d:
        return layer.groups == 1 and set(layer.dilation) == {1}
    return type(layer) is nn.Linear


def _matching_layers(network: nn.Module, targets: str, name: str) -> list[str]:
    adaptable = [path for path, layer in network.named_modules() if _is_adaptable(layer)]
    if not adaptable:
        raise CardError(
            f"{name} has no linear layer and no ungrouped convolution that LoRA could adapt. "
            "Choose another model, or a head without `lora`."
        )
    try:
        matched = [path for path in adaptable if re.fullmatch(targets, path)]
    except re.error as error:
        raise CardError(f"lora.targets {targets!r} is no regular expression: {error}.") from None
    if not matched:
        raise CardError(
            f"{name} has no layer whose whole name matches lora.targets {targets!r} of the head "
            f"card. Its {len(adaptable)} layers begin with {', '.join(adaptable[:SHOWN])}. Write a "
            "head card (`extends: lora`) with an expression that matches those to adapt."
        )
    return matched


def count_adapters(network: nn.Module, settings: Card, *, name: str) -> int:
    """Count the parameters that `add_lora` would train, without adding them."""
    paths = _matching_layers(network, settings["targets"], name)
    weights = [network.get_parameter(f"{path}.weight") for path in paths]
    return sum(settings["rank"] * (w.shape[0] + w[0].numel()) for w in weights)  # of B, of A


def trained_parameters(network: nn.Module) -> int:
    """Count the parameters that are not frozen."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def adapters_of(network: nn.Module, logit: nn.Module | None = None) -> dict[str, Tensor]:
    """Return copies of the adapters of a network, by peft's names, and of the output layer."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(network, save_embedding_layers=False)
    last = logit.state_dict() if logit else {}
    state |= {LOGIT + name: value for name, value in last.items()}
    return {key: value.detach().contiguous().clone() for key, value in state.items()}


def load_lora(
    state: dict[str, Tensor], settings: Card, network: nn.Module, *, name: str
) -> nn.Module:
    """Add adapters of `adapters_of` to a network without adapters.

    Parameters
    ----------
    settings
        `lora` of the head card that they were trained by.

    Raises
    ------
    WeightsError
        They are those of another network.
    """
    from peft import set_peft_model_state_dict

    saved = {key: value for key, value in state.items() if not key.startswith(LOGIT)}
    try:
        with torch.random.fork_rng(devices=[]):  # the drawn adapters are replaced
            adapted = add_lora(network, settings, name=name)
    except CardError:
        raise WeightsError(f"These adapters are of another network than {name}.") from None
    shapes, wanted = ({k: v.shape for k, v in d.items()} for d in (saved, adapters_of(adapted)))
    if shapes != wanted:
        first = min(k for k in shapes | wanted if shapes.get(k) != wanted.get(k))
        raise WeightsError(f"These adapters are of another network than {name}: see {first}.")
    set_peft_model_state_dict(adapted, saved)
    return adapted


def load_logit(state: dict[str, Tensor]) -> nn.Linear:
    """Return the output layer among adapters of `adapters_of`."""
    weight, bias = (state[LOGIT + name] for name in ("weight", "bias"))
    logit = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
    logit.load_state_dict({"weight": weight, "bias": bias})
    return logit


def merge_lora(network: nn.Module) -> nn.Module:
    """Add the adapters to the weights and return the network without peft's wrapper."""
    merge: Any = network.merge_and_unload
    return merge()
