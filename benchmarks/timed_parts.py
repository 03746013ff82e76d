"""Parts of a measurement: each is a process with a time limit, and a failed one stops no other.

What an earlier part leaves of its time, a later one may use. `benchmarks/gpu.py` has the parts.
"""

import json
import multiprocessing
import os
import signal
import sys
import textwrap
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

REHEARSED = 60  # seconds of a rehearsed part at most
DONE, FAILED, LATE = "done", "failed", "out of time"
WIDTH = 100  # characters of a line


@dataclass(frozen=True)
class Row:
    """One line of the table, and the numbers in it."""

    what: str
    result: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One measurement and the seconds it may take; `work(rehearse)` returns its rows."""

    name: str
    seconds: int
    work: Callable[[bool], list[Row]]


@dataclass
class Outcome:
    """How a part ended: `done`, `failed` or `out of time`, and why."""

    part: str
    state: str
    seconds: float
    why: str = ""
    rows: list[Row] = field(default_factory=list)


def _work(part: Part, rehearse: bool, log: Path, answer: Path) -> None:
    """Do the work in the process of a part, whose children end with it."""
    os.setsid()
    with log.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
        said: dict[str, Any] = {"why": "", "rows": []}
        try:
            said["rows"] = [asdict(row) for row in part.work(rehearse)]
        except BaseException as error:  # SystemExit too: the next part runs, whatever this one did
            traceback.print_exc(file=file)
            lines = str(error).strip().splitlines()
            said["why"] = f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
        answer.write_text(json.dumps(said), encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()


def run(part: Part, seconds: float, folder: Path, *, rehearse: bool) -> Outcome:
    """Run one part for so many seconds at most.

    It is forked from this process, which has imported the packages and touched no GPU.
    """
    place = folder / part.name.replace(" ", "_")
    log, answer = place.with_suffix(".log"), place.with_suffix(".json")
    start = time.monotonic()
    process = multiprocessing.get_context("fork").Process(
        target=_work, args=(part, rehearse, log, answer)
    )
    process.start()
    assert process.pid
    process.join(max(0.1, seconds))
    late = process.is_alive()
    with suppress(ProcessLookupError):  # it had no child that outlives it
        os.killpg(process.pid, signal.SIGKILL)
    if late:
        process.kill()
    process.join()
    took = round(time.monotonic() - start, 1)
    if late:
        return Outcome(part.name, LATE, took, f"not done after {seconds:.0f} s; see {log}")
    if not answer.exists():
        return Outcome(part.name, FAILED, took, f"ended with {process.exitcode}; see {log}")
    said = json.loads(answer.read_text(encoding="utf-8"))
    answer.unlink()
    state, why = (FAILED, f"{said['why']}; see {log}") if said["why"] else (DONE, "")
    return Outcome(part.name, state, took, why, [Row(**row) for row in said["rows"]])


def run_all(
    parts: list[Part], folder: Path, *, rehearse: bool, began: float | None = None
) -> list[Outcome]:
    """Run part after part, each until its time and that of those before it are over.

    Parameters
    ----------
    folder
        Of a log of each part.
    began
        When the time of the first part began, by `time.monotonic`; default: now.
    """
    outcomes, until = [], began or time.monotonic()
    for part in parts:
        until += part.seconds
        seconds = REHEARSED if rehearse else until - time.monotonic()
        outcomes.append(run(part, seconds, folder, rehearse=rehearse))
        last = outcomes[-1]
        print(f"{last.part}: {last.state} in {last.seconds} s {last.why}".rstrip(), flush=True)
        for row in last.rows:
            print(f"  {row.what}: {row.result}", flush=True)
    return outcomes


def table(outcomes: list[Outcome], head: str) -> str:
    """Return the Markdown of all rows, below a sentence; parts that failed are lines of it."""
    lines = [*textwrap.wrap(head, WIDTH), "", "| what | result |", "| --- | --- |"]
    for outcome in outcomes:
        lines += [f"| {row.what} | {row.result} |" for row in outcome.rows]
        if outcome.state != DONE:
            why = outcome.why.replace("|", "/")
            lines.append(f"| **{outcome.part}** | {outcome.state}: {why} |")
    return "\n".join([*lines, ""])
