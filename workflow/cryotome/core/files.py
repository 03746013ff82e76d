"""Files: atomic writing, hashes, and the fields that a path of results carries."""

import glob
import hashlib
import json
import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any


@dataclass(frozen=True)
class RunPath:
    """The fields of `…/{dataset}/{scheme}/view=…/model=…/head=…/fraction=…/fold=….csv`.

    Splits have no model, and scores of all folds no fraction and fold: such a field is empty, and
    `fold` is -1.
    """

    dataset: str
    scheme: str
    view: str = ""
    model: str = ""
    head: str = ""
    fraction: str = ""
    fold: int = -1

    @classmethod
    def of(cls, path: Path | str) -> "RunPath":
        """Return the fields of a path.

        >>> RunPath.of("scores/d/random/view=paper-fp32/model=uni/head=linear_probe.csv").row
        'uni + linear_probe'
        >>> RunPath.of("splits/d/random/fraction=0.01/fold=3.csv")
        RunPath(dataset='d', scheme='random', view='', model='', head='', fraction='0.01', fold=3)

        Raises
        ------
        ValueError
            The path has no such field, an unknown one, a model without head, or a fraction
            without fold.
        """
        *folders, name = Path(path).parts
        fields = takewhile(lambda part: "=" in part, [name.split(".")[0], *folders[::-1]])
        named = dict(field.split("=", 1) for field in fields)
        groups = ("view",), ("model", "head"), ("fraction", "fold")
        whole = [group for group in groups if named.keys() & set(group) == set(group)]
        if not named or sum(map(len, whole)) < len(named):
            raise ValueError(
                f"{path} is no path of results. They end in view=…/model=…/head=…, in "
                "fraction=…/fold=…, or in both, below {dataset}/{scheme}."
            )
        dataset, scheme = ("", "", *folders, name)[: -len(named)][-2:]
        fold = int(named.pop("fold", -1))
        view, model, head, fraction = (
            named.get(key, "") for key in ("view", "model", "head", "fraction")
        )
        return cls(dataset, scheme, view, model, head, fraction, fold)

    @property
    def row(self) -> str:
        """The row of tables: model and head."""
        return f"{self.model} + {self.head}"


def leads_out(text: str) -> bool:
    """Whether a path of a card or an archive leads out of its folder, on any system.

    An absolute path, a drive, a `..` or a `\\` does.

    >>> [leads_out(path) for path in ("a/b.csv", "a/../b", "/etc/passwd", "C:/x", "a\\\\b")]
    [False, True, True, True, True]
    """
    path = PurePosixPath(text.replace("\\", "/"))
    return "\\" in text or path.is_absolute() or ".." in path.parts or text[1:2] == ":"


def sha256(path: Path | str) -> str:
    """Return the sha256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def ids_beside(path: Path) -> Path:
    """Return the file of the ids of an array that NumPy saved.

    >>> ids_beside(Path("mine/cells.npy")).as_posix()
    'mine/cells.ids.npy'
    """
    return path.with_suffix(".ids.npy")


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
    """Yield a temporary path beside `path`, renamed to `path` only if the block succeeds.

    Its name is random and new, so that others with access to the folder cannot redirect it by a
    link. Temporary files of killed processes of this machine are removed, unless `sweep` is
    False: this lists the folder, which for n files written to it takes time of order n².
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    start = f".{path.name}.{socket.gethostname()}"
    for stale in path.parent.glob(f"{glob.escape(start)}.*.part") if sweep else ():
        if not _runs(int(stale.name.split(".")[-2])):
            stale.unlink(missing_ok=True)
    beside = path.with_name(f"{start}.{secrets.token_hex(4)}.{os.getpid()}.part")
    try:
        os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666))
        yield beside
        beside.replace(path)
    except OSError as error:
        if error.errno and not error.filename:  # errors of a write name no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def save_json(value: object, path: Path, **how: Any) -> None:
    """Write a value as JSON, one key a line, under its name only once it is complete."""
    with atomic_write(path) as beside:
        beside.write_text(json.dumps(value, indent=1, **how) + "\n", encoding="utf-8")


def append_lines(file: int, values: Iterable[object]) -> None:
    """Append values as JSON, a line each, to a file opened with O_APPEND.

    A line that a killed writer left incomplete is ended first.
    """
    size = os.fstat(file).st_size
    incomplete = size and os.pread(file, 1, size - 1) != b"\n"
    text = b"\n" * bool(incomplete) + b"".join(json.dumps(v).encode() + b"\n" for v in values)
    while text:
        text = text[os.write(file, text) :]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the mappings of a file of JSON lines; incomplete lines are skipped."""
    with suppress(FileNotFoundError):
        for line in path.read_bytes().splitlines():
            with suppress(ValueError, RecursionError):
                if isinstance(content := json.loads(line), dict):
                    yield content
