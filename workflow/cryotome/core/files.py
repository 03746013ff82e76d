"""Read the keys that a path carries, as in `model=uni/head=probe/fraction=0.01/fold=3.csv`."""

import glob
import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any


def path_field(path: Path | str, name: str) -> str:
    """Return the value of `name=value` in a path.

    >>> path_field("view=paper-fp32/model=uni/head=probe/fraction=0.01/fold=3.csv", "fraction")
    '0.01'
    >>> path_field("view=paper-fp32/model=uni/head=probe/fraction=0.01/fold=3.csv", "fold")
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


def leads_out(said: str) -> bool:
    """Whether a path that somebody wrote leads out of the folder that it is to lie in.

    On no system may it: neither an absolute path, nor a drive, nor `..` anywhere, nor a `\\`.

    >>> [leads_out(said) for said in ("a/b.csv", "a/../b", "/etc/passwd", "C:/x", "a\\\\b")]
    [False, True, True, True, True]
    """
    path = PurePosixPath(said.replace("\\", "/"))
    return "\\" in said or path.is_absolute() or ".." in path.parts or said[1:2] == ":"


def sha256(path: Path | str) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


@contextmanager
def atomic_write(path: Path | str, *, sweep: bool = True) -> Iterator[Path]:
    """Give a place beside `path` to write to; rename it to `path` only if the block succeeds.

    It is made here, under a name that nobody can guess and that was not there: who may write to
    the folder, too, cannot lead it elsewhere by a link. What a process of this machine left there
    when it was killed is cleared away, unless `sweep` is False: that reads the whole folder, so
    that to write n files into one would take time that grows as n².
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f".{path.name}.{socket.gethostname()}"
    for left in path.parent.glob(f"{glob.escape(start)}.*.part") if sweep else ():
        if not _runs(int(left.name.split(".")[-2])):
            left.unlink(missing_ok=True)
    beside = path.with_name(f"{start}.{secrets.token_hex(4)}.{os.getpid()}.part")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
        yield beside
        beside.replace(path)
    except OSError as error:
        if error.errno and not error.filename:  # a write does not say where
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def save_json(value: object, path: Path, **how: Any) -> None:
    """Write a value as JSON, one key a line, under its name only once it is complete."""
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(value, indent=1, **how) + "\n", encoding="utf-8")
