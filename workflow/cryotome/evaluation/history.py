"""History of rows: a line for each new state of a row's AUROC, in `results/history.jsonl`.

The predictions and cells behind a state stay in `results/history`, named by their sha256, so that
later states are compared with them slide by slide. They are second links to the files: they take
room only once a rerun has replaced those.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryotome.core.files import append_lines, atomic_write, read_lines
from cryotome.core.tables import read_csv
from cryotome.runtime.source import commit
from cryotome.study.facts import PageFacts
from cryotome.study.row import Row
from cryotome.study.schemes import Scheme

FILE, KEPT = "history.jsonl", "history"
KEY = ["study", "dataset", "scheme", "fraction", "tested", "row"]
HASHES = {"weights": "weights_sha256", "split": "split_sha256", "cells": "cells_sha256"}
HASHES |= {"patches": "patches_sha256"}
RECIPE = ["head", "recipe", "mil_recipe", "checkpoint", "precision"]  # notes that say how
NO_CHANGE = {"commit", "time"}  # fields that alone make no new state
Line = dict[str, Any]
Key = tuple[str, ...]


def key_of(line: Line) -> Key:
    """Return what a line of the history is of: study, block, fraction, test cells and row."""
    return tuple(str(line[name]) for name in KEY)


def kept_file(results: Path, digest: str) -> Path:
    """Return where a table of this sha256 is kept, beside the history."""
    return results / KEPT / f"{digest}.csv"


def runs_of(results: Path, facts: PageFacts, line: Line, row: Row) -> dict[str, Path]:
    """Return `scheme/fold` to the predictions of a line; of `from_*` those of all domains."""
    blocks = (scheme for dataset, scheme in facts.blocks if dataset == line["dataset"])
    pooled = [one for one in blocks if line["scheme"] in (one, str(Scheme.parse(one).every))]
    below = results / "predictions" / line["dataset"]
    way = Path(f"view={row.view}", f"model={row.model}", f"head={row.head}")
    return {
        f"{scheme}/{fold}": below / scheme / way / f"fraction={line['fraction']}/fold={fold}.csv"
        for scheme in pooled
        for fold in facts.folds
    }


def present_state(results: Path, facts: PageFacts) -> list[Line]:
    """Return a line for each row of a study's intervals.csv, with what its numbers came from.

    None where the study has no such table, or a file of predictions is missing or newer than it:
    then it is not finished.
    """
    table = results / "studies" / facts.study / "intervals.csv"
    if not table.exists():
        return []
    made, rows, read = table.stat().st_mtime_ns, {row.key: row for row in facts.rows}, {}
    said = {"commit": commit(), "time": datetime.now(UTC).isoformat(timespec="seconds")}
    lines: list[Line] = []
    for found in read_csv(table).to_dict("records"):
        one = {str(name): value for name, value in found.items()}
        if one["row"] not in rows:  # of a row that the study had before
            continue
        one["fraction"] = f"{Decimal(str(float(one['fraction']))):f}"  # as paths have it
        runs = runs_of(results, facts, one, rows[one["row"]])
        for path in runs.values():
            if not path.exists() or path.stat().st_mtime_ns > made:
                return []
            if path not in read:
                read[path] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        numbers = {name: _number(one[name]) for name in ("auroc", "low", "high")}
        key = {name: str(one[name]) for name in KEY}
        notes = {place: read[path] for place, path in runs.items()}
        lines.append(key | {"view": rows[one["row"]].view} | numbers | _origin(notes) | said)
    return lines


def _number(value: float) -> float | None:
    return float(value) if value == value else None  # NaN is no JSON


def _origin(notes: dict[str, dict[str, Any]]) -> Line:
    """Return what the numbers of several files of predictions came from, as hashes and versions."""
    every = list(notes.values())
    origin = {name: _joined(one.get(key, "") for one in every) for name, key in HASHES.items()}
    ways = ({key: one[key] for key in RECIPE if key in one} for one in every)
    origin["recipe"] = _joined(_digest(json.dumps(way, sort_keys=True)) for way in ways)
    versions = {f"{k} {v}" for one in every for k, v in one.get("versions", {}).items()}
    predictions = {place: one["csv_sha256"] for place, one in notes.items()}
    return origin | {"versions": sorted(versions), "predictions": predictions}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _joined(values: Iterable[object]) -> str:
    """Return the only value, or one hash of several."""
    found = sorted({str(value) for value in values})
    return found[0] if len(found) == 1 else _digest("\n".join(found))


def read_history(results: Path) -> list[Line]:
    """Read the lines of a history in order; lines that a kill cut off are skipped."""
    lines = read_lines(results / FILE)
    return [line for line in lines if all(name in line for name in (*KEY, "predictions", "time"))]


def latest(lines: Iterable[Line]) -> dict[Key, Line]:
    """Return the last line of each key."""
    return {key_of(line): line for line in lines}


def is_same(one: Line, other: Line | None) -> bool:
    """Whether two lines are of one state: numbers and origin are equal, whatever the time."""
    kept = ({k: v for k, v in line.items() if k not in NO_CHANGE} for line in (one, other or {}))
    return next(kept) == next(kept)


def record(results: Path, facts: PageFacts) -> int:
    """Append the lines of a finished study that are new, and keep what they came from.

    Writers wait for each other; a line is either whole or skipped by readers.

    Returns
    -------
    number of lines appended; none after a rerun without change
    """
    lines = present_state(results, facts)
    if not lines:
        return 0
    path = results / FILE
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel releases it however this process ends
        known = latest(read_history(results))
        new = [line for line in lines if not is_same(line, known.get(key_of(line)))]
        for digest, source in _sources(results, facts, new):
            _keep(source, kept_file(results, digest))
        if new:
            append_lines(file, new)
            os.fsync(file)
        return len(new)
    finally:
        os.close(file)


def _sources(results: Path, facts: PageFacts, lines: list[Line]) -> Iterator[tuple[str, Path]]:
    rows = {row.key: row for row in facts.rows}
    for line in lines:
        runs = runs_of(results, facts, line, rows[line["row"]])
        yield from ((line["predictions"][place], path) for place, path in runs.items())
        yield line["cells"], results / "cells" / f"{line['dataset']}.csv"


def _keep(source: Path, target: Path) -> None:
    """Link a file, or copy it where the file system has no links."""
    if target.exists():
        return
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError:
        with atomic_write(target, sweep=False) as beside:
            beside.write_bytes(source.read_bytes())
