"""Read the keys that a path carries, as in `model=uni/head=probe/fraction=0.01/fold=3.csv`."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def key(path: Path | str, name: str) -> str:
    """Return the value of `name=value` in a path.

    >>> key("view=paper-fp32/model=uni/head=probe/fraction=0.01/fold=3.csv", "fraction")
    '0.01'
    >>> key("view=paper-fp32/model=uni/head=probe/fraction=0.01/fold=3.csv", "fold")
    '3'

    Raises
    ------
    KeyError
        The path carries no such key.
    """
    for part in Path(path).parts:
        if part.startswith(f"{name}="):
            value = part.removeprefix(f"{name}=")
            return value.removesuffix(Path(path).suffix) if part == Path(path).name else value
    raise KeyError(f"{path} carries no key {name!r}")


def sha256(path: Path | str) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """Give a place beside `path` to write to; rename it to `path` only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
