"""The ledger: resources used by every attempt of a job, in `results/ledger/{rule}/….jsonl`.

An attempt writes a line when it starts and another when it ends. Of a killed attempt there is only
the first line: what it used is unknown.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryotome.core.files import append_lines, read_lines
from cryotome.runtime.failures import RUN
from cryotome.runtime.gpu_lease import SHARED_BY
from cryotome.runtime.usage import (
    cpu_seconds,
    energy_counters,
    gpu_usage,
    machine_kind,
    peak_mb,
    process_age,
    processor,
)

FOLDER, ENDING = "ledger", ".jsonl"
OK, FAILED, KILLED = "ok", "failed", "killed"
BOOT = Path("/proc/sys/kernel/random/boot_id")  # distinguishes machines without their names
MILLIJOULES = 1e6  # per kilojoule

_throughput: dict[str, list[float]] = {}  # unit to number of items and seconds


def report_throughput(*, seconds: float, **items: int) -> None:
    """Report how many patches, tiles or folds this job has processed, and in how many seconds.

    Repeated calls add up. Has no effect outside of a job.
    """
    for unit, count in items.items():
        before = _throughput.setdefault(unit, [0, 0.0])
        _throughput[unit] = [before[0] + count, before[1] + seconds]


def counted_rule(rule: str) -> str:
    """Return the rule that a job is counted under: a training is one, its network kept or not.

    >>> counted_rule("train_endtoend_smaller"), counted_rule("probe_whole")
    ('train_endtoend', 'probe_whole')
    """
    return rule.removesuffix("_smaller")


def ledger_path(log: Path) -> Path:
    """Return the ledger file of the job with this log.

    >>> ledger_path(Path("x/logs/embed/d.uni.log")).as_posix()
    'x/ledger/embed/d.uni.jsonl'
    """
    return log.parent.parent.parent / FOLDER / log.parent.name / f"{log.stem}{ENDING}"


def attempts(path: Path) -> list[dict[str, Any]]:
    """Read the attempts of a job in order; `ended` is `ok`, `failed` or `killed`.

    A running attempt also reads as `killed`: see `is_alive`. Incomplete lines are skipped.
    """
    found: dict[tuple, dict[str, Any]] = {}
    for content in read_lines(path):
        with suppress(KeyError, TypeError):
            attempt = (content["started"], content["run"])
            found.setdefault(attempt, {"ended": KILLED}).update(content)
    return list(found.values())


def attempts_since_success(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the attempts after the last successful one."""
    ends = [n for n, one in enumerate(made) if one["ended"] == OK]
    return made[ends[-1] + 1 :] if ends else made


def attempts_for_result(made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the attempts behind the present result: the last successful one and its retries."""
    ends = [n for n, one in enumerate(made) if one["ended"] == OK]
    return made[ends[-2] + 1 if len(ends) > 1 else 0 : ends[-1] + 1] if ends else []


def _boot() -> str:
    with suppress(OSError):
        return BOOT.read_text(encoding="utf-8").strip()
    return ""


def is_alive(path: Path, attempt: dict[str, Any]) -> bool | None:
    """Whether an attempt without an end still runs; None if that is unknown on this machine.

    A job locks its file while it runs, and the kernel releases the lock however it ends. If the
    lock is free, an attempt of this machine has ended; of one of another machine the locks may not
    be visible here.
    """
    with suppress(OSError), open(path, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False if attempt.get("boot") == _boot() != "" else None
    return None


def _stamp(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds")


class Attempt:
    """One attempt of a job, from the start of its process.

    Errors of writing are ignored: the ledger must not stop a job.
    """

    def __init__(self, log: Path, rule: str, wildcards: dict[str, str], threads: int) -> None:
        _throughput.clear()
        self._age, self._clock = process_age(), time.monotonic()
        self._gpus, self._gpus_since, self._energy = 0, self._clock, dict[str, int]()
        path, self._file = ledger_path(log), -1
        self._about: dict[str, Any] = {"rule": rule, "wildcards": wildcards}
        self._about |= {"run": os.environ.get(RUN, ""), "attempt": 1}
        with suppress(OSError):
            self._about["attempt"] += len(attempts_since_success(attempts(path)))
        started = datetime.now(UTC) - timedelta(seconds=self._age)
        self._about |= {"started": _stamp(started), "threads": threads}
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(path, flags, 0o666)
            self._write(self._about | self._lock())

    def _lock(self) -> dict[str, str]:
        with suppress(OSError):
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return {"boot": _boot()}
        return {}

    def _write(self, line: dict[str, Any]) -> None:
        """Append a line at once."""
        with suppress(OSError):
            append_lines(self._file, [line])

    def start_gpus(self, gpus: int) -> None:
        """Note that this job holds so many GPUs from now on."""
        self._gpus, self._gpus_since = gpus, time.monotonic()
        self._energy = energy_counters() if gpus else {}

    def end(self, ended: str) -> None:
        """Write what the attempt used; only the first call has an effect."""
        if self._file < 0:
            return
        now, used = time.monotonic(), gpu_usage()
        line = self._about | {"ended": ended, "stopped": _stamp(datetime.now(UTC))}
        line["wall_s"] = round(self._age + now - self._clock, 3)
        line["cpu_s"] = round(cpu_seconds(), 3)
        line["gpu_s"] = round(max(self._gpus, bool(used)) * (now - self._gpus_since), 3)
        line["peak_mb"] = round(peak_mb(), 1)
        line |= {"device": processor(), "host_kind": machine_kind()}
        line |= self._energy_since(used.pop("uuid", "")) | used
        for unit, (count, seconds) in list(_throughput.items())[:1]:
            line |= {"items": count, "unit": unit}
            line |= {"per_s": round(count / seconds, 2)} if seconds else {}
        self._write(line)
        with suppress(OSError):
            os.close(self._file)
        self._file = -1

    def _energy_since(self, uuid: str) -> dict[str, float]:
        """Return the energy of a GPU since `start_gpus`, and how many jobs may share it."""
        now = energy_counters() if uuid in self._energy else {}
        if uuid not in now:
            return {}
        jobs = int(os.environ.get(SHARED_BY, "1"))
        spent = round((now[uuid] - self._energy[uuid]) / MILLIJOULES, 3)
        return {"energy_kj": spent} | ({"gpu_shared_by": jobs} if jobs > 1 else {})


@contextmanager
def record_attempt(
    log: Path, rule: str, wildcards: dict[str, str], threads: int
) -> Iterator[Attempt]:
    """Write to the ledger what the block uses, however it ends.

    Parameters
    ----------
    log
        Log of the job; the folder `ledger` lies beside that of the logs.
    threads
        Threads granted by the scheduler.
    """
    attempt = Attempt(log, rule, wildcards, threads)
    try:
        yield attempt
    except BaseException:
        attempt.end(FAILED)
        raise
    attempt.end(OK)
