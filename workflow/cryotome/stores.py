"""The passport that every store carries, and that every reader asks for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cryotome.errors import StoreError

PATCHES = "cryotome patches"
EMBEDDINGS = "cryotome embeddings"
VERSION = 1

Rows = tuple[int, int]  # first row of a store, number of rows
Keep = Callable[[int, np.ndarray], None]  # takes the first row and the values of some


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def passport(path: Path, format_: str) -> dict[str, Any]:
    """Return the attributes of a store of that format.

    Raises
    ------
    StoreError
        The file is no HDF5 file, or a store of another format or version.
    """
    try:
        with h5py.File(path) as file:
            attributes = {name: _plain(value) for name, value in file.attrs.items()}
    except OSError as error:
        raise StoreError(
            f"{path} is not a readable HDF5 file: {error}. Delete it and rerun."
        ) from error
    if attributes.get("format") != format_ or attributes.get("version") != VERSION:
        raise StoreError(
            f"{path} says it is {attributes.get('format')!r}, version {attributes.get('version')}, "
            f"not {format_!r}, version {VERSION}. Delete it and rerun."
        )
    return attributes
