"""Own code: networks that a function of a Python file builds, as a model card names it.

A file of the config folder is the user's. Files of a hub run only where the card pins the revision
and the sha256 of each, and the site allows it. What is hashed is what is executed.
"""

import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import torch
from torch import nn

from cryotome.core.cards import Card, below
from cryotome.core.errors import CryotomeError, EncoderError
from cryotome.encoders.weights import HUB
from cryotome.encoders.weights_hash import code_file, no_such_file
from cryotome.runtime.environment import REMOTE_CODE

PACKAGE = "cryotome_code_"  # and a hash: the package in which files of one content are imported


def locate_code(card: Card, name: str, weights_dir: Path) -> Card:
    """Return a model's card whose `module` is a path that can be opened.

    Code of a hub lies in `weights_dir/{hub}@{revision}`, other code where the card says.

    Raises
    ------
    EncoderError
        It is code of a hub, and the site does not allow it.
    """
    if "code" not in card:
        return card
    code = card["code"]
    if not os.environ.get(REMOTE_CODE):
        raise EncoderError(
            f"{name} runs code of {code['hub']}, which this site does not allow. Read that code, "
            "then write `allow_remote_code: true` into config/site.yaml."
        )
    folder = weights_dir / f"{code['hub']}@{code['revision']}"
    module = str(below(folder, card["module"]))
    return card | {"module": module, "code": code | {"folder": str(folder)}}


def build_own(card: Card) -> nn.Module:
    """Build the network of a card by the function that it names, without weights.

    Parameters
    ----------
    card
        Of `locate_code`. `module` is `path/to/file.py:function`, and `arguments` are the
        function's. The files must have the `module_sha256`, or that of each file of `code`.

    Raises
    ------
    EncoderError
        A file is missing or has another sha256, it or the function raises, there is no such
        function, or it returns no torch module.
    """
    path, function = code_file(card), card["module"].rpartition(":")[2]
    sources = _read_sources(card, path)
    with _blamed(path, "its import"):
        module = import_module(_provide(sources, path))
    build = _function(module, function, path)
    with _blamed(path, f"{function}()"):
        network = build(**card["arguments"])
    if not isinstance(network, nn.Module):
        raise EncoderError(
            f"{path}: {function}() returns a {type(network).__name__}. It must return a "
            "torch.nn.Module that maps images (n, 3, side, side) to embeddings."
        )
    return network


def _function(module: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    build = getattr(module, name, None)
    if not callable(build):
        mine = [
            n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
        raise EncoderError(
            f"{path} has no function {name!r}, only {', '.join(mine) or 'none'}. Correct "
            "`module:` in the model card."
        )
    return build


def try_out(encoder: nn.Module, card: Card, name: str, side: int) -> None:
    """Run an encoder of own code once on two black patches, on the processor.

    Raises
    ------
    EncoderError
        It raises, or returns another shape than (2, dim).
    """
    path, expected = code_file(card), (2, card["dim"])
    with torch.no_grad(), _blamed(path, f"its network, given two images of {side} px,"):
        found = tuple(encoder(torch.zeros(2, 3, side, side)).shape)
    if found != expected:
        raise EncoderError(
            f"{path}: two images of {side} px become embeddings of shape {found}, where the card "
            f"of {name} says {expected}. Correct `dim` or `pooling` there, or the code."
        )


def _read_sources(card: Card, path: Path) -> dict[str, tuple[Path, bytes]]:
    """Return the files of a card's code, by their name in it, with the content that was hashed."""
    if "code" in card:
        code = card["code"]
        folder, known = Path(code["folder"]), code["files"]
        where = f"Copy it from {HUB}/{code['hub']}/tree/{code['revision']}."
    else:
        folder, known, where = path.parent, {path.name: card.get("module_sha256")}, ""
    found = {}
    for name, due in known.items():
        place = below(folder, name)
        try:
            content = place.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise no_such_file(place, where) from None
        mine = hashlib.sha256(content).hexdigest()
        if due and mine != due:
            raise EncoderError(
                f"{place} is not the file that the card knows: its sha256 is {mine}, the card's "
                f"{due}. If it was edited while the workflow ran, run it again; code of a hub runs "
                "as it is pinned, or not at all."
            )
        found[name] = place, content
    return found


def _provide(sources: dict[str, tuple[Path, bytes]], path: Path) -> str:
    """Let files be imported, and return the name of the module of one.

    They are modules of a package of their own, so that files may import each other by
    `from .other import …`. Equal files are imported once in a process.
    """
    content = repr([(str(place), text) for place, text in sources.values()]).encode()
    package = PACKAGE + hashlib.sha256(content).hexdigest()[:16]
    named = {_module_name(package, name): source for name, source in sources.items()}
    if not any(isinstance(one, _Sources) and one.package == package for one in sys.meta_path):
        sys.meta_path.append(_Sources(package, named))
    return next(name for name, (place, _) in named.items() if place == path)


def _module_name(package: str, name: str) -> str:
    parts = PurePosixPath(name).with_suffix("").parts
    return ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])


class _Sources(MetaPathFinder, Loader):
    """Imports modules from content that was read and hashed before, never from the disk."""

    def __init__(self, package: str, named: dict[str, tuple[Path, bytes]]) -> None:
        self.package, self.named = package, named
        split = [name.split(".") for name in named]
        self.packages = {".".join(parts[:n]) for parts in split for n in range(1, len(parts))}
        self.packages.add(package)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return how a module of this package is made."""
        if name not in self.named and name not in self.packages:
            return None
        return ModuleSpec(name, self, is_package=name in self.packages)

    def exec_module(self, module: ModuleType) -> None:
        """Run the content of a module."""
        if module.__name__ in self.named:
            path, content = self.named[module.__name__]
            module.__file__ = str(path)
            exec(compile(content, str(path), "exec"), module.__dict__)


@contextmanager
def _blamed(path: Path, what: str) -> Iterator[None]:
    """Report whatever own code raises, with its file and line: it may raise any error.

    Raises
    ------
    EncoderError
        The block raised.
    """
    try:
        yield
    except (CryotomeError, MemoryError, torch.OutOfMemoryError):
        raise
    except (Exception, SystemExit) as error:
        said = (str(error).strip().splitlines() or ["no reason given"])[0].rstrip(".")
        alone = " It may import installed packages and files that its card names, no others."
        raise EncoderError(
            f"{_place(error, path)}: {what} raises {type(error).__name__}: {said}. Correct the "
            f"code, or `arguments` of its card.{alone * isinstance(error, ImportError)}"
        ) from error


def _place(error: BaseException, path: Path) -> str:
    """Return file and line of the own code that raised an error."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    mine = [one for one in frames if Path(one.filename).is_relative_to(path.parent)]
    return f"{mine[-1].filename}, line {mine[-1].lineno}" if mine else str(path)
