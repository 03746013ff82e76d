"""Stores: HDF5 files with provenance attributes and a checksum of each row."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cryotome.core.errors import StoreError, raise_system_error, read_error

PATCHES = "cryotome patches"
EMBEDDINGS = "cryotome embeddings"
VERSION = 2
SUMS, SEAL = "crc32", "seal"  # checksum of each row; of ids, checksums and attributes together
LAYOUT = ("v108", "v108")  # HDF5's own checksums over names, shapes and attributes

MAX_ARRAYS = 10_000  # of a file from another program
MAX_RATIO = 100  # of an array's size in memory to its size in the file
SMALL = 2**20  # bytes that any array may have in memory

Rows = tuple[int, int]  # first row of a store, number of rows
Keep = Callable[[int, np.ndarray], None]  # stores values from a first row on

# what HDF5 and h5py raise on truncated, damaged or invalid files
UNREADABLE = (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError)


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.item()


def _attributes(file: h5py.File) -> dict[str, Any]:
    """Return the attributes, without those of variable length.

    HDF5 keeps these without a checksum, and a flipped bit can make it read for ever.
    """
    kinds = {name: file.attrs.get_id(name).get_type() for name in file.attrs}
    fixed = [name for name, kind in kinds.items() if not kind.detect_class(h5py.h5t.VLEN)]
    fixed = [name for name in fixed if not _is_variable_text(kinds[name])]
    return {name: _plain(file.attrs[name]) for name in fixed}


def _is_variable_text(kind: h5py.h5t.TypeID) -> bool:
    return isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()


def open_hdf5(path: Path, mode: str = "r", **options: Any) -> h5py.File:
    """Open an HDF5 file without HDF5's own lock, which many shared file systems refuse.

    No store is read while it is written: it is renamed when complete, and partial work has a
    lock of its own.
    """
    return h5py.File(path, mode, locking=False, **options)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    _check_regular(path)
    try:
        with open_hdf5(path) as file:
            yield file
    except UNREADABLE as error:
        raise_system_error(error, path)
        raise StoreError(
            f"{path} is not a readable HDF5 file: {error}. Delete it and rerun."
        ) from error


def _array(path: Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Return a contiguous numeric array, stored completely in its own file."""
    linked = isinstance(file.get(name, getlink=True), h5py.HardLink)
    found = file.get(name) if linked else None
    if not isinstance(found, h5py.Dataset):
        # h5py also finds no array if the disk fails
        raise read_error(path) or StoreError(f"{path} holds no {name}. Delete it and rerun.")
    start, end = found.id.get_offset(), path.stat().st_size
    inside = not found.size or (start is not None and start + found.nbytes <= end)
    if found.dtype.kind not in "iuf" or not found.shape or not inside:
        raise StoreError(
            f"{path} holds {name}, but not as a complete array of numbers. Delete it and rerun."
        )
    return found


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():  # HDF5 would wait for ever on a pipe
        raise StoreError(f"{path} is not a regular file. Put the file itself there.")


def check_self_contained(path: Path) -> None:
    """Refuse an HDF5 file of another program that refers to other files or is a decompression bomb.

    All links must be hard and all arrays stored in the file: no external link or storage, no
    virtual array. In memory an array may have 100 times its size in the file.

    Raises
    ------
    StoreError
        The file breaks these rules, or cannot be read.
    """
    with _opened(path) as file:
        groups, seen = [file], set()
        for group in groups:  # is extended below
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise StoreError(_elsewhere(path, f"{name!r} is a link"))
                found = group[name]
                place = h5py.h5o.get_info(found.id).addr
                if place in seen:
                    continue
                seen.add(place)
                if len(seen) > MAX_ARRAYS:
                    raise StoreError(f"{path} holds more than {MAX_ARRAYS:,} arrays and groups.")
                if isinstance(found, h5py.Group):
                    groups.append(found)
                elif isinstance(found, h5py.Dataset):
                    _check_array(path, found)


def _elsewhere(path: Path, why: str) -> str:
    return (
        f"{path}: {why}, which may refer to other files. Write the features again without "
        "links, external storage and virtual arrays."
    )


def _check_array(path: Path, found: h5py.Dataset) -> None:
    """Refuse an array stored in another file, or much larger than its bytes in this one."""
    plan = found.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise StoreError(_elsewhere(path, f"{found.name} is stored elsewhere"))
    taken, size = found.id.get_storage_size(), path.stat().st_size
    chunk = prod(found.chunks) * found.dtype.itemsize if found.chunks else 0
    if taken > size or max(found.nbytes, chunk) > MAX_RATIO * taken + SMALL:
        raise StoreError(
            f"{path}: {found.name} declares {found.shape}, {max(found.nbytes, chunk):,} bytes, and "
            f"takes {taken:,} in a file of {size:,}. It was not read; write the file again."
        )


def row_checksums(values: np.ndarray, each: Callable[..., Iterable[int]] = map) -> np.ndarray:
    """Return the crc32 of the bytes of each row, (n,) uint32; `each` may map in threads."""
    rows = np.ascontiguousarray(values)
    return np.fromiter(each(zlib.crc32, rows), np.uint32, len(rows))


def _seal_of(path: Path, file: h5py.File) -> int:
    attributes = {name: value for name, value in _attributes(file).items() if name != SEAL}
    text = json.dumps(attributes, sort_keys=True).encode()
    ids, sums = (_array(path, file, name)[:] for name in ("id", SUMS))
    return zlib.crc32(sums.tobytes(), zlib.crc32(ids.tobytes(), zlib.crc32(text)))


def finalise_store(
    path: Path, name: str, attributes: dict[str, Any], sums: np.ndarray | None = None
) -> None:
    """Write the attributes of a complete store, and checksums that detect later changes.

    Parameters
    ----------
    name
        The array whose rows are checked.
    attributes
        Provenance, with `format` and `version`.
    sums : (n,) uint32
        Checksums of its rows; computed from the file if not given.
    """
    with open_hdf5(path, "r+") as file:
        if SUMS not in file:
            file[SUMS] = np.zeros(len(file[name]), np.uint32)
        file[SUMS][:] = row_checksums(file[name][:]) if sums is None else sums
        # HDF5 takes texts above 64 kB only after the eighth attribute: the longest comes last
        for key, value in sorted(attributes.items(), key=lambda entry: len(str(entry[1]))):
            file.attrs[key] = np.bytes_(value.encode()) if isinstance(value, str) else value
        file.attrs[SEAL] = _seal_of(path, file)


def check_rows(path: Path, found: np.ndarray, due: np.ndarray, ids: np.ndarray) -> None:
    """Raise if rows differ from what was written.

    Parameters
    ----------
    found, due, ids : (n,) int
        Checksums of the rows read and of those written, and their ids.

    Raises
    ------
    StoreError
        Some differ; the text names the first cell.
    """
    wrong = found != due
    if wrong.any():
        raise StoreError(
            f"{path} is damaged: the bytes of {wrong.sum()} cells are not those that were written, "
            f"first of cell {ids[wrong][0]}. Delete it and rerun."
        )


def read_rows(path: Path, name: str, rows: slice | np.ndarray = slice(None)) -> np.ndarray:
    """Read rows of an array of a store, and verify their checksums.

    Raises
    ------
    StoreError
        The array is missing, or a row differs from what was written.
    """
    with _opened(path) as file:
        arrays = [_array(path, file, part) for part in (name, SUMS, "id")]
        if len({len(array) for array in arrays}) > 1:
            raise StoreError(
                f"{path} holds {len(arrays[0])} rows of {name}, {len(arrays[1])} checksums and "
                f"{len(arrays[2])} ids. Delete it and rerun."
            )
        values, due, ids = (array[rows] for array in arrays)
    check_rows(path, row_checksums(values), due, ids)
    return values


def read_ids(path: Path) -> np.ndarray:
    """Return the ids of a store's rows, (n,) int."""
    with _opened(path) as file:
        return _array(path, file, "id")[:]


def provenance(path: Path, format_: str) -> dict[str, Any]:
    """Return the attributes of a store of that format.

    Raises
    ------
    StoreError
        The file is not HDF5, has another format or version, or its attributes, ids or
        checksums were changed after it was finished. Rows are not read here.
    """
    with _opened(path) as file:
        attributes = _attributes(file)
        if attributes.get("format") != format_ or attributes.get("version") != VERSION:
            raise StoreError(
                f"{path} has format {attributes.get('format')!r}, version "
                f"{attributes.get('version')}, not {format_!r}, version {VERSION}. Delete it and "
                "rerun."
            )
        if attributes.pop(SEAL, None) != _seal_of(path, file):
            raise StoreError(
                f"{path} is damaged: its attributes, ids or checksums are not those that were "
                "written. Delete it and rerun."
            )
    return attributes


OURS = "cryotome"  # begins the `format` of our own stores


def is_own_store(path: Path) -> bool:
    """Whether a file is a store of this workflow; False also if it cannot be read."""
    try:
        with open_hdf5(path) as file:
            form = file.attrs.get("format")
            return (form.decode() if isinstance(form, bytes) else str(form)).startswith(OURS)
    except UNREADABLE:
        return False
