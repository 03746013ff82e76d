"""Checkpoint files: parameters read from safetensors or torch files, without running code."""

import re
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

from cryotome.core.errors import TRUNCATED, WeightsError, raise_system_error

MAX_HEADER = 100_000_000  # bytes of a safetensors header, the limit of its library
PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
SAFETENSORS = "safetensors"
# first bytes of files that are mistaken for checkpoints
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
MAGIC |= {
    bytes([128, protocol]): "a Python pickle, which is not loaded because it could run code"
    for protocol in (3, 4, 5)  # torch's own is 2
}


def read_checkpoint(path: Path, name: str) -> dict[str, Any]:
    """Read a checkpoint: parameters by name, or entries that hold them. It runs no code.

    The format is found from the first bytes, not from the suffix.

    Raises
    ------
    WeightsError
        The file is broken, truncated, or no checkpoint.
    OSError, MemoryError
        The disk or the memory fails; the file may be intact.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    kind = _kind(path)
    if kind and kind != SAFETENSORS:
        raise WeightsError(_unreadable_message(path, name, f"it is {kind}"))
    try:
        if kind:
            return load_file(path)
        with open(path, "rb") as file:  # given a path, torch decides by its suffix
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (*TRUNCATED, SafetensorError) as error:  # type: ignore[misc]
        raise_system_error(error, path)
        raise WeightsError(_unreadable_message(path, name, str(error))) from error
    if not isinstance(content, dict):
        raise WeightsError(_unreadable_message(path, name, f"it holds a {type(content).__name__}"))
    return content


def _kind(path: Path) -> str:
    """Name the kind of a file by its first bytes; empty for torch's own and for unknown ones.

    Raises
    ------
    OSError
        The disk fails.
    """
    with open(path, "rb") as file:
        start = file.read(300)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    shown = re.sub(r"\s+", " ", text[:60].decode(errors="replace"))
    if not start:
        return "an empty file"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < MAX_HEADER:
        return SAFETENSORS
    for magic, kind in MAGIC.items():
        if start.startswith(magic):
            return kind
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<error")):
        return f"a page of HTML or XML in place of the file, {shown!r}: its server wants a login"
    if text.startswith((b"{", b"[")):
        return f"JSON in place of the file, an error of its server or an index of parts: {shown!r}"
    if start.startswith(b"PK\x03\x04"):
        return _archive_kind(path)
    if start[:1] == b"\x08" and start[2:3] == b"\x12":
        return "an ONNX network"
    return "" if set(start) - set(PRINTABLE) else f"text: {shown!r}"


def _archive_kind(path: Path) -> str:
    """Name the kind of a zip archive; empty for torch's own and for a truncated one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {PurePosixPath(name).name for name in archive.namelist()}
            size = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, EOFError, ValueError):
        return ""
    if "constants.pkl" in names:
        return "a TorchScript program, which is not loaded because it could run code"
    if "data.pkl" in names:
        compressed = size > path.stat().st_size
        return "a packed archive, where torch packs nothing: save it with torch" * compressed
    return "NumPy arrays" if any(name.endswith(".npy") for name in names) else "a zip archive"


def _unreadable_message(path: Path, name: str, why: str) -> str:
    if found := re.search(r"GLOBAL ([\w.]*\w)", why):
        return (
            f"{path} holds Python objects ({found[1]}) beside parameters, which are not loaded "
            "because they could run code. Save its parameters alone, under the same name."
        )
    reason = (why.strip().splitlines() or ["it ends too early"])[0][:160].rstrip(".")
    return (
        f"{path} is broken, cut short or no checkpoint ({reason}). Delete it and fetch it again: "
        f"`make weights MODELS={name}`."
    )
