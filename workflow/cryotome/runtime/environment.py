"""What a job finds around it: caches that nobody else can write to, no network, no token.

Libraries execute what lies in their caches, and some keep them below the shared temporary
folder, under names that another user can guess and take first.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from cryotome.core.errors import CryotomeError
from cryotome.core.redact import TOKENS

PLACE = "CRYOTOME_CACHE_DIR"  # another place than ~/.cache/cryotome
# a library's variable to the name of its folder there
CACHES = {
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
}
# weights are fetched ahead of a run; a job that asks a hub asks for something else
OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
OFFLINE |= {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
OTHERS_WRITE = 0o022
# an argument of scripts to its variable: never part of a rule, so that it reruns nothing
SITE = {
    "data_root": "CRYOTOME_DATA_ROOT",
    "weights_dir": "CRYOTOME_WEIGHTS_DIR",
    "device": "CRYOTOME_DEVICE",
}


def private_folder(path: Path) -> Path:
    """Return a folder that this user alone can write to; it is made where it is not there.

    Raises
    ------
    CryotomeError
        It belongs to another user, others may write to it, or it is no folder.
    OSError
        It cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(0o700)
    except FileExistsError:
        about, mine = path.stat(), (os.getuid(), 0)
        owned = about.st_uid in mine and path.lstat().st_uid in mine  # a link may be another's
        if not path.is_dir() or not owned or about.st_mode & OTHERS_WRITE or _exposed(path):
            raise CryotomeError(
                f"{path} is no folder that only you can write to: it belongs to user "
                f"{about.st_uid}, mode {about.st_mode & 0o7777:o}. What lies there is executed, so "
                f"nothing is taken from it. Remove it, or name another folder by {PLACE}."
            ) from None
    return path


def _exposed(path: Path) -> bool:
    """Whether anyone may rename a folder above: all may write to it, and it is not sticky."""
    everyone, sticky = 0o0002, 0o1000
    modes = (parent.stat().st_mode for parent in path.resolve().parents)
    return any(mode & (everyone | sticky) == everyone for mode in modes)


def _made_up() -> Path:
    """Return a new folder under a name that nobody can guess, for this process."""
    path = Path(tempfile.mkdtemp(prefix="cryotome-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _root(environ: MutableMapping[str, str]) -> Path:
    if environ.get(PLACE):
        return private_folder(Path(environ[PLACE]).expanduser().absolute())
    try:
        home = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = private_folder(home / "cryotome")
    except (OSError, RuntimeError):  # no home, or none to write to
        return _made_up()
    return folder if os.access(folder, os.W_OK) else _made_up()


def confine(environ: MutableMapping[str, str]) -> None:
    """Give a process and its children private caches, no hub and no token.

    A cache that the environment names already stays where it is, if it is private.

    Raises
    ------
    CryotomeError
        Others may write to a cache.
    """
    for name in CACHES.keys() & environ.keys():
        private_folder(Path(environ[name]))
    if unset := CACHES.keys() - environ.keys():
        root = _root(environ)
        environ.update({name: str(private_folder(root / CACHES[name])) for name in sorted(unset)})
    environ.update(OFFLINE)
    for name in TOKENS:
        environ.pop(name, None)


@contextmanager
def confined() -> Iterator[None]:
    """Confine this process for the block."""
    before = dict(os.environ)
    confine(os.environ)
    try:
        yield
    finally:
        for name in [*CACHES, *OFFLINE, *TOKENS]:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
