"""Conversion of published checkpoints into the parameters of a network, as model cards state it."""

import re
from fnmatch import fnmatchcase
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryotome.core.cards import Card
from cryotome.core.errors import WeightsError
from cryotome.encoders.checkpoint_file import read_checkpoint
from cryotome.encoders.network import without_pooler

State = dict[str, Tensor]
SHOWN = 8  # names of each kind in an error message


def convert(content: dict[str, Any], how: dict[str, Any], network: State) -> State:
    """Unwrap, rename and reshape the parameters of a file.

    Parameters
    ----------
    content
        Content of the file: parameters by name, or entries of which one holds them.
    how
        `checkpoint` of the model's card; the schema explains its keys.
    network
        Parameters of the network to load; they give the size of its position grid.

    Raises
    ------
    WeightsError
        Something that `how` names is missing from the file.
    """
    state = _unwrap(content, how)
    state = {_rename(name, how.get("rename", [])): value for name, value in state.items()}
    state = _join(state, how.get("join", {}))
    state = _reshape(state, how, network)
    for name, axis in how.get("sum", {}).items():
        state[name] = _entry(state, name).sum(axis)
    if "class_position" in how:
        position = _entry(state, "pos_embed")
        state["cls_token"] = _entry(state, "cls_token") + position[:, :1]
        state["pos_embed"] = position[:, 1:]
    if "grid" in how:
        name = how["grid"]["parameter"]
        count = network[name].shape[1]
        state[name] = resize_grid(_entry(state, name), count=count, offset=how["grid"]["offset"])
    return state


def _unwrap(content: dict[str, Any], how: dict[str, Any]) -> State:
    if "inside" in how:
        content = _entry(content, how["inside"])
    start, out = how.get("keep", ""), how.get("drop", [])
    named = {name.removeprefix(start): v for name, v in content.items() if name.startswith(start)}
    if not named:
        raise WeightsError(f"no name in it begins {start!r}; it has {_list_names(list(content))}")
    return {
        name: value
        for name, value in named.items()
        if not any(fnmatchcase(name, pattern) for pattern in out)
    }


def _entry(state: dict[str, Any], name: str) -> Any:
    if name not in state:
        raise WeightsError(f"it has no {name!r}, but {_list_names(list(state))}")
    return state[name]


def _list_names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more if names else "nothing"


def _rename(name: str, pairs: list[list[str]]) -> str:
    for pattern, replacement in pairs:
        name = re.sub(pattern, replacement, name)
    return name


def _join(state: State, joins: dict[str, list[str]]) -> State:
    """Concatenate parameters that the network keeps as one; `{}` is the same text in all names."""
    for whole, parts in joins.items():
        first = re.compile(re.escape(parts[0]).replace(r"\{\}", "(.+)"))
        for fill in [found[1] for name in state if (found := first.fullmatch(name))]:
            values = [_entry(state, part.replace("{}", fill)) for part in parts]
            state[whole.replace("{}", fill)] = torch.cat(values)
            for part in parts:
                del state[part.replace("{}", fill)]
    return state


def _reshape(state: State, how: dict[str, Any], network: State) -> State:
    """Leave out first rows, transpose, and add axes of length one in front, in this order."""
    changed = {name: _entry(state, name)[n:] for name, n in how.get("skip_rows", {}).items()}
    for name in how.get("transpose", []):
        changed[name] = _entry(state | changed, name).mT
    for name in how.get("leading_axes", []):
        value = _entry(state | changed, name)
        missing = network[name].ndim - value.ndim if name in network else 0
        changed[name] = value[(None,) * missing]
    return state | changed


def resize_grid(position: Tensor, *, count: int, offset: float) -> Tensor:
    """Resize position embeddings, bicubic without antialias, prefix tokens kept.

    Parameters
    ----------
    position : (1, prefix + old * old, dim)
    count
        prefix + new * new, the tokens of the network.
    offset
        The factor is (new + offset) / old: 0.1 in the code of DINOv2 (Oquab et al. 2023).

    Returns
    -------
    (1, count, dim)
    """
    old, new = isqrt(position.shape[1]), isqrt(count)
    prefix = position.shape[1] - old * old
    if old == new:
        return position
    grid = position[:, prefix:].unflatten(1, (old, old)).permute(0, 3, 1, 2).float()
    factor = (new + offset) / old
    how: dict[str, Any] = {"scale_factor": (factor, factor)} if offset else {"size": (new, new)}
    grid = functional.interpolate(grid, mode="bicubic", **how)
    resized = grid.flatten(2).transpose(1, 2).to(position.dtype)  # (1, new * new, dim)
    return torch.cat([position[:, :prefix], resized], dim=1)


def _is_dense(value: Tensor) -> bool:
    """Whether a parameter is a dense array of real numbers."""
    dense = value.layout == torch.strided and not (value.is_meta or value.is_quantized)
    return dense and not value.is_complex()


def check_fit(state: State, network: State, unused: list[str]) -> State:
    """Check that parameters fit a network; fill in those that the embedding does not need.

    Raises
    ------
    WeightsError
        Parameters are missing, unexpected, of another shape or no dense real numbers.
    """
    spare = {name for name in network if any(fnmatchcase(name, p) for p in unused)}
    state = {name: network[name] for name in spare} | state
    odd = {
        "missing": [name for name in network if name not in state],
        "unexpected": [name for name in state if name not in network],
        "misshapen": [
            f"{name} {tuple(value.shape)} for {tuple(network[name].shape)}"
            for name, value in state.items()
            if name in network and value.shape != network[name].shape
        ],
        "no plain numbers": [name for name, value in state.items() if not _is_dense(value)],
    }
    if any(odd.values()):
        raise WeightsError(
            "; ".join(f"{kind}: {_list_names(names)}" for kind, names in odd.items() if names)
        )
    return state


def load_state(network: nn.Module, path: Path, card: Card, name: str) -> None:
    """Load a checkpoint strictly, converted as its card says.

    Raises
    ------
    WeightsError
        The file is no checkpoint, or a parameter is missing, unexpected or of another shape.
    """
    content, how = read_checkpoint(path, name), card.get("checkpoint", {})
    try:
        state = convert(content, how, network.state_dict())
        if card["loader"] == "transformers":
            state = rename_by_transformers(network, state)
        state = check_fit(state, network.state_dict(), how.get("unused", []))
    except WeightsError as error:
        raise WeightsError(
            f"{path} does not fit the card of {name}: {error}. It may be the file of another "
            f"model, or config/models/{name}.yaml is wrong."
        ) from error
    network.load_state_dict(state, strict=True)


def rename_by_transformers(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Let transformers translate parameter names of older versions."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # `check_fit` reports what does not fit
    logging.disable_progress_bar()
    loaded, report = type(network).from_pretrained(
        None, config=network.config, state_dict=state, output_loading_info=True,
        ignore_mismatched_sizes=True, **without_pooler(type(network)),
    )  # fmt: skip
    result = dict(loaded.state_dict())
    for name in report["missing_keys"]:
        result.pop(name)
    result |= {name: state[name] for name in sorted(report["unexpected_keys"])}
    for name, found, _ in report["mismatched_keys"]:
        result[name] = torch.empty(found)
    return result
