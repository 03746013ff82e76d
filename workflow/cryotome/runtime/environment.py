"""Environment of a job: private caches, no network, no token, and where the site's files lie.

Libraries execute the content of their caches, and some keep them in the shared temporary folder
under names that another user can guess and create first.
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

PLACE = "CRYOTOME_CACHE_DIR"  # instead of ~/.cache/cryotome
# variable of a library to the name of its cache folder
CACHES = {
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_EXTENSIONS_DIR": "torch_extensions",
    "NUMBA_CACHE_DIR": "numba",
    "MPLCONFIGDIR": "matplotlib",
}
# weights are downloaded before a run; a request of a job to a hub would be a mistake
OFFLINE = dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
OFFLINE |= {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
OTHERS_WRITE = 0o022
# argument of a script to its variable; no parameters of rules, so that a change reruns nothing
SITE = {
    "data_root": "CRYOTOME_DATA_ROOT",
    "weights_dir": "CRYOTOME_WEIGHTS_DIR",
    "device": "CRYOTOME_DEVICE",
}
REMOTE_CODE = "CRYOTOME_ALLOW_REMOTE_CODE"  # not empty where config/site.yaml allows it


def private_folder(path: Path) -> Path:
    """Return a folder that only this user can write to; create it if needed.

    Raises
    ------
    CryotomeError
        It belongs to another user, others may write to it, or it is not a folder.
    OSError
        It cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(0o700)
    except FileExistsError:
        about, mine = path.stat(), (os.getuid(), 0)
        owned = about.st_uid in mine and path.lstat().st_uid in mine  # of a link and its target
        if not path.is_dir() or not owned or about.st_mode & OTHERS_WRITE or _exposed(path):
            raise CryotomeError(
                f"{path} is not a folder that only you can write to: it belongs to user "
                f"{about.st_uid}, mode {about.st_mode & 0o7777:o}. Its content would be "
                f"executed, so it is not used. Remove it, or set {PLACE} to another folder."
            ) from None
    return path


def _exposed(path: Path) -> bool:
    """Whether anyone may rename a parent folder: it is writable for all and not sticky."""
    everyone, sticky = 0o0002, 0o1000
    modes = (parent.stat().st_mode for parent in path.resolve().parents)
    return any(mode & (everyone | sticky) == everyone for mode in modes)


def _temporary_folder() -> Path:
    """Return a new folder with a random name, removed when this process ends."""
    path = Path(tempfile.mkdtemp(prefix="cryotome-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _root(environ: MutableMapping[str, str]) -> Path:
    if environ.get(PLACE):
        return private_folder(Path(environ[PLACE]).expanduser().absolute())
    try:
        home = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = private_folder(home / "cryotome")
    except (OSError, RuntimeError):  # no home, or not writable
        return _temporary_folder()
    return folder if os.access(folder, os.W_OK) else _temporary_folder()


def confine(environ: MutableMapping[str, str]) -> None:
    """Set private caches in an environment, switch hubs off, remove tokens.

    A cache that the environment already names is kept, if it is private.

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
    """Confine the environment of this process for the block, and restore it."""
    before = dict(os.environ)
    confine(os.environ)
    try:
        yield
    finally:
        for name in [*CACHES, *OFFLINE, *TOKENS]:
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]
