"""Hashes of a model's weights and of its own code, added to its card.

A rule whose card has the sha256 reruns when the content changes, not when the file is touched; with
weights also not when it is moved, or deleted after the rule has run. A weights file is hashed once.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryotome.core.cards import Card
from cryotome.core.errors import EncoderError, WeightsError
from cryotome.core.files import atomic_write, sha256
from cryotome.encoders.weights import find_weights, has_weights_file

LARGE_FILE = 200_000_000  # bytes; hashing them takes seconds


def weights_hash(
    card: Card, name: str, weights_dir: Path, *, cache: Path, log: Callable[[str], None]
) -> Card:
    """Return a model's card with the sha256 of its local weights, so that no others are used.

    A card that has a sha256, or needs no file, keeps its weights. Where the file is missing, the
    sha256 is that of the last one, if there was one. Own code is hashed, too, as `module_sha256`.

    Parameters
    ----------
    cache
        JSON file: model to path, size, time of change, sha256.
    log
        Prints a line before a large file is hashed.

    Raises
    ------
    EncoderError
        The file of its own code does not exist.
    """
    card = with_code_hash(card)
    if not has_weights_file(card) or "sha256" in card["weights"]:
        return card
    known = _read_cache(cache)
    try:
        path = find_weights(card, name, weights_dir)
    except WeightsError:
        content = known.get(name, {}).get("sha256")
    else:
        content = _cached_sha256(path, name, known, cache, log)
    return card | {"weights": card["weights"] | {"sha256": content}} if content else card


def _read_cache(cache: Path) -> dict[str, Card]:
    with suppress(FileNotFoundError, ValueError):  # a truncated file is written again
        known = json.loads(cache.read_text(encoding="utf-8"))
        if isinstance(known, dict):
            return known
    return {}


def _cached_sha256(
    path: Path, name: str, known: dict[str, Card], cache: Path, log: Callable[[str], None]
) -> str:
    """Return the sha256 of a file, which is read only where its size or date changed."""
    about = path.stat()
    version = {"path": str(path.resolve()), "size": about.st_size, "changed": about.st_mtime_ns}
    same = (entry for entry in known.values() if version.items() <= entry.items())
    entry = next(same, None)  # several cards may share a file
    if entry is None:
        if about.st_size > LARGE_FILE:
            log(f"Hashing {path} ({about.st_size / 1e9:.1f} GB), once.")
        entry = {**version, "sha256": sha256(path)}
    if known.get(name) != entry:
        with atomic_write(cache) as beside:
            beside.write_text(
                json.dumps(known | {name: entry}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )
    return str(entry["sha256"])


def code_file(card: Card) -> Path:
    """Return the file of a card's own code.

    >>> code_file({"module": "config/encoders/mine.py:build"}).as_posix()
    'config/encoders/mine.py'
    """
    return Path(card["module"].rpartition(":")[0])


def with_code_hash(card: Card) -> Card:
    """Add the sha256 of own code; a card with code of a hub names its hashes itself.

    Raises
    ------
    EncoderError
        The file of its own code does not exist.
    """
    if "module" not in card or "code" in card:
        return card
    path = code_file(card)
    if not path.is_file():
        raise no_such_file(path)
    return card | {"module_sha256": sha256(path)}


def no_such_file(path: Path, where: str = "") -> EncoderError:
    """Return the error for a file of own code that is missing."""
    way = where or "Put it there, or correct `module:` in the model card."
    return EncoderError(
        f"{path} does not exist or is no file, so its network cannot be built. {way}"
    )


def with_code(weights: str, card: Card) -> str:
    """Return the hash of weights, and that of the own code that they belong to, if there is one.

    >>> with_code("00", {"module": "mine.py:build", "module_sha256": "11"}), with_code("00", {})
    ('00, code 11', '00')
    """
    code = card.get("module_sha256", "")
    if "code" in card:
        files = json.dumps(card["code"]["files"], sort_keys=True)
        code = hashlib.sha256(files.encode()).hexdigest()
    return f"{weights}, code {code}" if code else weights
