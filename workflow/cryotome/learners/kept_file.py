"""Files of kept models: arrays and their record in one safetensors file, sealed by a hash.

The record is JSON in the file's metadata. safetensors keeps no checksum and orders several texts
of metadata at random, so that one text holds both record and hash.
"""

import hashlib
import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.files import RunPath, atomic_write

Arrays = dict[str, np.ndarray]
FORMAT, VERSION = "cryotome model", 1
RECORD = "cryotome"  # the key of the metadata
CHANNELS = "RGB"  # order of the colours of every patch store
PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "timm", "peft")


def write_kept(path: Path, arrays: Arrays, kind: str, about: dict[str, Any]) -> None:
    """Write a model and its record.

    Parameters
    ----------
    path
        `…/{dataset}/{scheme}/view=…/model=…/head=…/fraction=…/fold=….safetensors`, whose fields
        become part of the record.
    kind
        `network`, `linear`, `training_cells` or `aggregator`: who reads it.
    about
        The rest of the record, as JSON can hold it: cards, hashes, classes, geometry.
    """
    from safetensors.numpy import save_file

    record = about | asdict(RunPath.of(path)) | {"kind": kind, "format": FORMAT, "version": VERSION}
    record["versions"] = {name: version(name) for name in PACKAGES}
    said = {"record": record, "sha256": _content_hash(record, arrays)}
    with atomic_write(path) as beside:
        whole = {name: np.asarray(value, order="C") for name, value in arrays.items()}
        save_file(whole, beside, metadata={RECORD: json.dumps(said, sort_keys=True)})


def read_kept(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Return the arrays of a kept model and its record.

    Raises
    ------
    StoreError
        The file is damaged or edited, or is none of `write_kept`.
    OSError
        It is missing, or the disk fails.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(2, "No such kept model", str(path))
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            said = json.loads((file.metadata() or {})[RECORD])
            record, due = said["record"], said["sha256"]
            form = record["format"], record["version"]
    except (SafetensorError, OSError, ValueError, LookupError, TypeError) as error:
        raise_system_error(error, path)
        raise StoreError(
            f"{path} holds no model of this workflow that could be read ({type(error).__name__}: "
            f"{error}). Delete it and rerun."
        ) from error
    if form != (FORMAT, VERSION):
        raise StoreError(
            f"{path} has format {form[0]!r}, version {form[1]}, not {FORMAT!r}, version {VERSION}. "
            "Delete it and rerun."
        )
    if _content_hash(record, arrays) != due:
        raise StoreError(
            f"{path} is damaged: its numbers or its record are not those that were written. "
            "Delete it and rerun."
        )
    return arrays, record


def _content_hash(record: dict[str, Any], arrays: Arrays) -> str:
    """Return the sha256 of a record and of names, types, shapes and bytes of arrays."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name, value in sorted(arrays.items()):
        digest.update(f"{name} {value.dtype.str} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def same_run(predictions: Path, kept: list[Path]) -> list[Path]:
    """Return those paths of kept models that belong to a file of predictions: one, or none."""
    return [path for path in kept if RunPath.of(path) == RunPath.of(predictions)]


def patch_geometry(patch: Card, mpp: Any, stamps: dict[str, Any]) -> Card:
    """Return what a model saw of its images.

    Parameters
    ----------
    patch, mpp
        `patch` and `mpp` of the dataset's card.
    stamps
        Provenance of the store of patches, or of embeddings.

    Returns
    -------
    side (px), resolution (`native` or µm/px), border, channels; `mpp`: smallest and largest µm/px
    of the patches, None where neither files nor card say it
    """
    said = json.loads(stamps["mpp"]) if "mpp" in stamps else None
    number = patch["resolution"] if patch["resolution"] != "native" else mpp
    known = said or ([float(number)] * 2 if isinstance(number, int | float) else None)
    return {**patch, "channels": CHANNELS, "mpp": known}
