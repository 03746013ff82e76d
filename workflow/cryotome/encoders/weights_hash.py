"""Which content a model's weights have: hashed once per file, remembered, part of its card.

A rule whose card says the sha256 reruns when the content changes, not when the file is
touched, moved, or deleted after its work was done.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryotome.core.cards import Card
from cryotome.core.errors import WeightsError
from cryotome.core.files import atomic_write, sha256
from cryotome.encoders.weights import find_weights, has_weights_file

LARGE_FILE = 200_000_000  # bytes whose hashing a user notices


def weights_hash(
    card: Card, name: str, weights_dir: Path, *, memory: Path, say: Callable[[str], None]
) -> Card:
    """Return a model's card with the sha256 of the weights at hand, so that no others are used.

    A card that says a sha256 itself, or needs no file, is returned as it is; one whose file
    is not at hand gets the content it had last, if it ever had one.

    Parameters
    ----------
    memory
        JSON file of what is known: model to path, size, time of change, sha256.
    say
        Told of large files before they are hashed.
    """
    if not has_weights_file(card) or "sha256" in card["weights"]:
        return card
    known = _remembered(memory)
    try:
        path = find_weights(card, name, weights_dir)
    except WeightsError:
        content = known.get(name, {}).get("sha256")
    else:
        content = _content(path, name, known, memory, say)
    return card | {"weights": card["weights"] | {"sha256": content}} if content else card


def _remembered(memory: Path) -> dict[str, Card]:
    with suppress(FileNotFoundError, ValueError):  # a torn file is made anew
        known = json.loads(memory.read_text(encoding="utf-8"))
        if isinstance(known, dict):
            return known
    return {}


def _content(
    path: Path, name: str, known: dict[str, Card], memory: Path, say: Callable[[str], None]
) -> str:
    """Return the sha256 of a file, which is read only where size or date are new."""
    about = path.stat()
    version = {"path": str(path.resolve()), "size": about.st_size, "changed": about.st_mtime_ns}
    same = (entry for entry in known.values() if version.items() <= entry.items())
    entry = next(same, None)  # several cards may be of one file
    if entry is None:
        if about.st_size > LARGE_FILE:
            say(f"Hashing {path} ({about.st_size / 1e9:.1f} GB), once.")
        entry = {**version, "sha256": sha256(path)}
    if known.get(name) != entry:
        with atomic_write(memory) as beside:
            beside.write_text(
                json.dumps(known | {name: entry}, indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )
    return str(entry["sha256"])
