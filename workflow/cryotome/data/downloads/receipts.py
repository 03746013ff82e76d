"""What lies below `data_root`, what it was held against, and what need not be asked twice."""

import csv
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from threading import Lock
from typing import Any

from cryotome.core.files import atomic_write
from cryotome.core.tables import escape_formula
from cryotome.data.downloads.http_client import redacted


@dataclass(frozen=True)
class VerifiedFile:
    """A file that is there: one line of a receipt.

    Attributes
    ----------
    file
        Below `data_root`.
    checked
        What it was held against: `md5`, `git`, `size`, or `nothing`.
    how
        `fetched` or `by hand`.
    source
        The record's address of it, as `shown`.
    """

    file: str
    bytes: int
    checksum: str
    checked: str
    how: str
    source: str


class Cache:
    """What earlier runs found out: lines of JSON, so that a killed run loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock, self.known = path, Lock(), dict[str, Any]()
        text = path.read_text(encoding="utf-8") if path.exists() else "\n"
        self.gap = "" if text.endswith("\n") else "\n"  # a kill tore the last line
        for line in text.splitlines():
            try:
                name, value = json.loads(line)
                self.known[name] = value
            except (ValueError, TypeError, RecursionError):  # no line of ours
                continue

    def put(self, name: str, value: Any) -> None:
        with self.lock:
            self.known[name] = value
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(f"{self.gap}{json.dumps([name, value])}\n")
            self.gap = ""

    def once(self, ask: Callable[[str], Any]) -> Callable[[str], Any]:
        """Return the same question, asked only where the answer is not known."""

        def remembered(url: str) -> Any:
            name = redacted(url)
            if name not in self.known:
                self.put(name, ask(url))
            return self.known[name]

        return remembered


def stat_fingerprint(path: Path) -> dict[str, int]:
    """Return what tells, without reading it, that a file is still the one that was checked."""
    about = path.stat()
    return {"bytes": about.st_size, "mtime": about.st_mtime_ns}


def write_receipt(held: list[VerifiedFile], path: Path) -> None:
    """Write what is there as a table, one line a file."""
    with atomic_write(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [field.name for field in fields(VerifiedFile)])
        table.writeheader()
        table.writerows({k: escape_formula(v) for k, v in asdict(one).items()} for one in held)
