"""A published checkpoint becomes the parameters of a network, as its card's `checkpoint` says."""

import inspect
import re
import zipfile
from fnmatch import fnmatchcase
from math import isqrt
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryotome.core.cards import Card
from cryotome.core.errors import TRUNCATED, WeightsError, blame_place

State = dict[str, Tensor]
SHOWN = 8  # names of a kind that a message spells out


def convert(content: dict[str, Any], how: dict[str, Any], network: State) -> State:
    """Unwrap, rename and reshape the parameters of a file.

    Parameters
    ----------
    content
        What the file holds: parameters by name, or entries of which one holds them.
    how
        `checkpoint` of the model's card; its keys are explained in its schema.
    network
        The parameters of the network that is to take them; asked for the size of its grid.

    Raises
    ------
    WeightsError
        The file lacks something that `how` speaks of.
    """
    state = _unwrapped(content, how)
    state = {_renamed(name, how.get("rename", [])): value for name, value in state.items()}
    state = _joined(state, how.get("join", {}))
    for name, axis in how.get("sum", {}).items():
        state[name] = _of(state, name).sum(axis)
    if "class_position" in how:
        position = _of(state, "pos_embed")
        state["cls_token"] = _of(state, "cls_token") + position[:, :1]
        state["pos_embed"] = position[:, 1:]
    if "grid" in how:
        name = how["grid"]["parameter"]
        count = network[name].shape[1]
        state[name] = resize_grid(_of(state, name), count=count, offset=how["grid"]["offset"])
    return state


def _unwrapped(content: dict[str, Any], how: dict[str, Any]) -> State:
    if "inside" in how:
        content = _of(content, how["inside"])
    start, out = how.get("keep", ""), how.get("drop", [])
    named = {name.removeprefix(start): v for name, v in content.items() if name.startswith(start)}
    if not named:
        raise WeightsError(f"no name in it begins {start!r}; it has {_listed(list(content))}")
    return {
        name: value
        for name, value in named.items()
        if not any(fnmatchcase(name, pattern) for pattern in out)
    }


def _of(state: dict[str, Any], name: str) -> Any:
    if name not in state:
        raise WeightsError(f"it has no {name!r}, but {_listed(list(state))}")
    return state[name]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more if names else "nothing"


def _renamed(name: str, pairs: list[list[str]]) -> str:
    for pattern, replacement in pairs:
        name = re.sub(pattern, replacement, name)
    return name


def _joined(state: State, joins: dict[str, list[str]]) -> State:
    """Join parameters that the network keeps as one; `{}` stands for the same text in all names."""
    for whole, parts in joins.items():
        first = re.compile(re.escape(parts[0]).replace(r"\{\}", "(.+)"))
        for fill in [found[1] for name in state if (found := first.fullmatch(name))]:
            values = [_of(state, part.replace("{}", fill)) for part in parts]
            state[whole.replace("{}", fill)] = torch.cat(values)
            for part in parts:
                del state[part.replace("{}", fill)]
    return state


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


def _is_plain(value: Tensor) -> bool:
    """Whether a parameter is stored number by number: neither sparse, complex nor without any."""
    stored = value.layout == torch.strided and not (value.is_meta or value.is_quantized)
    return stored and not value.is_complex()


def check_fit(state: State, network: State, unused: list[str]) -> State:
    """Return the state, completed where the embedding does not need a parameter.

    Raises
    ------
    WeightsError
        Parameters are missing, unexpected, of another shape or no plain numbers; their names are
        given.
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
        "no plain numbers": [name for name, value in state.items() if not _is_plain(value)],
    }
    if any(odd.values()):
        said = "; ".join(f"{kind}: {_listed(names)}" for kind, names in odd.items() if names)
        raise WeightsError(said)
    return state


def load_state(network: nn.Module, path: Path, card: Card, name: str) -> None:
    """Load a checkpoint strictly, converted as its card says.

    Raises
    ------
    WeightsError
        The file is no checkpoint, or a parameter is missing, unexpected or of another
        shape; its name is given.
    """
    content, how = read_checkpoint(path, name), card.get("checkpoint", {})
    try:
        state = convert(content, how, network.state_dict())
        if card["loader"] == "transformers":
            state = _renamed_by_transformers(network, state)
        state = check_fit(state, network.state_dict(), how.get("unused", []))
    except WeightsError as error:
        raise WeightsError(
            f"{path} does not fit the card of {name}: {error}. It may be the file of another "
            f"model, or config/models/{name}.yaml is wrong."
        ) from error
    network.load_state_dict(state, strict=True)


def _renamed_by_transformers(network: Any, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Let transformers give the parameters of published checkpoints their present names."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # what does not fit is said by `check_fit`
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


def without_pooler(network: type[nn.Module]) -> dict[str, bool]:
    """Return what keeps a class of transformers from adding a layer that no embedding passes."""
    takes = "add_pooling_layer" in inspect.signature(network.__init__).parameters
    return {"add_pooling_layer": False} if takes else {}


MOST_HEADER = 100_000_000  # bytes of the header of safetensors, as its library bounds it


PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"


# first bytes of what lies where a checkpoint should
MAGIC = {
    b"version https://git-lfs": "a Git-LFS pointer; `git lfs pull` fetches the file it stands for",
    b"\x89HDF\r\n": "HDF5, perhaps a network of Keras",
    b"\x93NUMPY": "a NumPy array",
    b"GGUF": "a GGUF file",
    b"\x1f\x8b": "packed with gzip: unpack it",
    b"BZh": "packed with bzip2: unpack it",
    b"\xfd7zXZ": "packed with xz: unpack it",
    b"\x28\xb5\x2f\xfd": "packed with zstd: unpack it",
    b"7z\xbc\xaf": "packed with 7-Zip: unpack it",
}


def read_checkpoint(path: Path, name: str) -> dict[str, Any]:
    """Read a checkpoint: parameters by name, or entries that hold them. It runs no code.

    Its first bytes say whether it is safetensors or torch's, whatever its suffix.

    Raises
    ------
    WeightsError
        The file is broken, truncated, or no checkpoint.
    OSError, MemoryError
        The disk or the memory fails; the file may be whole.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    what = _kind(path)
    if what and what != SAFETENSORS:
        raise WeightsError(_unreadable_message(path, name, f"it is {what}"))
    try:
        if what:
            return load_file(path)
        with open(path, "rb") as file:  # given a path, torch goes by its suffix
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (*TRUNCATED, SafetensorError) as error:  # type: ignore[misc]
        blame_place(error, path)
        raise WeightsError(_unreadable_message(path, name, str(error))) from error
    if not isinstance(content, dict):
        raise WeightsError(_unreadable_message(path, name, f"it holds a {type(content).__name__}"))
    return content


def _kind(path: Path) -> str:
    """Name by its first bytes what a file is; nothing for torch's own, and for what is not known.

    Raises
    ------
    OSError
        The disk fails.
    """
    with open(path, "rb") as file:
        start = file.read(300)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    said = re.sub(r"\s+", " ", text[:60].decode(errors="replace"))
    if not start:
        return "an empty file"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < MOST_HEADER:
        return SAFETENSORS
    for magic, what in MAGIC.items():
        if start.startswith(magic):
            return what
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return f"a page of HTML or XML in place of the file, {said!r}: its server wants a login"
    if text.startswith((b"{", b"[")):
        return f"JSON in place of the file, an error of its server or an index of parts: {said!r}"
    if start.startswith(b"PK\x03\x04"):
        return _archive(path)
    if start[:1] == b"\x08" and start[2:3] == b"\x12":
        return "an ONNX network"
    return "" if set(start) - set(PRINTABLE) else f"text: {said!r}"


def _archive(path: Path) -> str:
    """Name what kind of zip archive a file is; nothing for torch's own, and for a truncated one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, EOFError, ValueError):
        return ""
    if "constants.pkl" in names:
        return "a TorchScript program, which is not loaded because it could run code"
    if "data.pkl" in names:
        grows = size > path.stat().st_size
        return "a packed archive, where torch packs nothing: save it with torch" * grows
    return "NumPy arrays" if any(name.endswith(".npy") for name in names) else "a zip archive"


def _unreadable_message(path: Path, name: str, why: str) -> str:
    if found := re.search(r"GLOBAL ([\w.]*\w)", why):
        return (
            f"{path} holds Python objects ({found[1]}) beside parameters, which are not loaded "
            "because they could run code. Save its parameters alone, under the same name."
        )
    said = (why.strip().splitlines() or ["it ends too early"])[0][:160].rstrip(".")
    return (
        f"{path} is broken, cut short or no checkpoint ({said}). Delete it and fetch it again: "
        f"`make weights MODELS={name}`."
    )


SAFETENSORS = "safetensors"
