"""Locks of partial work: one process at a time, and only for unchanged inputs."""

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from cryotome.core.files import atomic_write
from cryotome.runtime.log import log_line
from cryotome.runtime.watchdog import paused

STORE, JOURNAL, PASSPORT, LOCK = "store.h5", "journal", "passport.json", "lock"
AT_WORK = "at_work"  # exists while a process works, and after a kill
LINE = re.compile(rb"(\d+) (\d+) (\d+) ([ -~]*)")  # first row, rows, checksum, fingerprint


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Create and lock a folder of partial work; wait while another process holds it.

    The kernel releases the lock however a process ends. A job survives a killed Snakemake, and the
    next run starts the same job again: it waits here for the first one.
    """
    lock = _locked(folder)
    while not _is(lock, folder / LOCK):  # the first process has removed the folder
        lock.close()
        lock = _locked(folder)
    with lock:
        yield


def _locked(folder: Path) -> IO[str]:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = open(folder / LOCK, "w", encoding="utf-8")  # noqa: SIM115
    except FileNotFoundError:  # the folder was removed in between
        return _locked(folder)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log_line(f"{folder}: another process works on this; waiting for its end.")
            with paused():
                fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:  # some shared file systems have no locks
        log_line(f"{folder} cannot be locked ({error}); make sure that no second run works on it.")
    return lock


def _is(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def claim_partial_folder(folder: Path, passport: dict[str, Any]) -> bool:
    """Whether partial work was begun with this provenance; remove it if begun with another.

    Parameters
    ----------
    passport
        All that the result depends on, as JSON values.
    """
    path, mine = folder / PASSPORT, json.dumps(passport, sort_keys=True, indent=1)
    if path.exists() and path.read_bytes() == mine.encode():
        return True
    for old in folder.iterdir():
        if old.name != LOCK:
            old.unlink()
            if old == path:
                log_line(f"{folder} was begun from other inputs or settings; starting again.")
    with atomic_write(path) as beside:
        beside.write_text(mine, encoding="utf-8")
    return False


def clear_partial_work(folder: Path) -> None:
    """Remove partial work, the lock last."""
    for path in folder.iterdir():
        if path.name != LOCK:
            path.unlink()
    (folder / LOCK).unlink()
    with suppress(OSError):  # another process has locked it meanwhile
        folder.rmdir()
