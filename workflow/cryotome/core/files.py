"""Files: atomic writing, hashes, and the fields that a path of results carries."""

import glob
import hashlib
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath


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

        >>> RunPath.of("scores/d/random/view=paper-fp32/model=uni/head=probe.csv").row
        'uni + probe'
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
