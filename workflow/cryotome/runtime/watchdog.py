"""Watchdog of a job: it ends the process on a signal or a hang, and records the reason.

Partial work is safe at any time (`cryotome.runtime.resume`), so the process exits at once, without
unwinding its threads.
"""

import faulthandler
import multiprocessing
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock, Thread
from typing import NoReturn, TextIO

PATIENCE = 1800.0  # s without progress, unless CRYOTOME_PATIENCE is set
ALARM = 6  # times the patience: limit for native code that holds Python's lock
TICKS = 60  # polls of the progress within the patience
IDLE = 0.01  # fraction of a processor core used by threads that only wait
RECORD_TIMEOUT = 3.0  # s to record the reason on a disk that may not answer
LOG = "CRYOTOME_LOG"  # variable: log of this job, for its child processes
HUNG = 70  # exit code after a hang
STOPPED = (
    "It was stopped by a signal ({}): preempted, over its time limit, or by hand. Run the same "
    "command again: it resumes from the finished work."
)
STUCK = (
    "It made no progress for {:,.0f} s: no computing, no reading, no writing. A disk or a network "
    "that does not answer is the usual cause; the log has the stack of every thread. Run the same "
    "command again: it resumes from the finished work. CRYOTOME_PATIENCE sets the seconds."
)

_lock = Lock()
_pauses = 0  # threads inside `paused`


def patience() -> float:
    """Return after how many seconds without progress a job is ended."""
    return float(os.environ.get("CRYOTOME_PATIENCE", PATIENCE))


@contextmanager
def paused() -> Iterator[None]:
    """Allow the block to wait: the watchdog does not count it as a hang."""
    global _pauses
    with _lock:
        _pauses += 1
    try:
        yield
    finally:
        with _lock:
            _pauses -= 1


class Progress:
    """Progress of this process: computing, reading and writing, except by these polls.

    Created and polled in the watchdog's thread. Printing counts as writing, to the log.
    """

    def __init__(self) -> None:
        self.idle, self._read_here = 0.0, 0  # s, bytes
        self._computed, self._moved = self._seconds(), self._bytes()

    def _seconds(self) -> float:
        return time.process_time() - time.thread_time()

    def _bytes(self) -> int:
        """Return the bytes read and written so far, except by this method."""
        text = Path("/proc/self/io").read_text(encoding="utf-8")
        moved = sum(int(line.split()[1]) for line in text.splitlines()[:2]) - self._read_here
        self._read_here += len(text)
        return moved

    def poll(self, passed: float) -> float:
        """Return the seconds without progress, `passed` seconds after the last poll."""
        self.idle += passed
        computed, moved = self._seconds(), self._bytes()
        if _pauses or moved != self._moved or computed - self._computed > IDLE * self.idle:
            self.idle, self._computed, self._moved = 0.0, computed, moved
        return self.idle


def _end(code: int, why: str, record: Callable[[str], None], log: TextIO) -> NoReturn:
    """Record the reason, kill the children, and exit at once."""

    def record_reason() -> None:
        record(why)
        print(f"\n{why}\n", file=sys.stderr, flush=True)
        if code == HUNG:
            faulthandler.dump_traceback(log)

    thread = Thread(target=record_reason, daemon=True)  # the disk may not answer
    thread.start()
    thread.join(RECORD_TIMEOUT)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def _set_alarm(log: TextIO) -> None:
    """Let native code end the process unless called again: other code may hold Python's lock.

    The limit is long, for a job suspended by a scheduler looks the same.
    """
    faulthandler.dump_traceback_later(ALARM * patience(), exit=True, file=log)


def _watch(signals: int, record: Callable[[str], None], log: TextIO) -> None:
    """Poll the progress until a signal arrives, the pipe is closed, or the process hangs."""
    tick = patience() / TICKS
    progress = Progress() if os.access("/proc/self/io", os.R_OK) else None
    while True:
        before = time.monotonic()
        ready, _, _ = select.select([signals], [], [], tick)
        if ready:
            number = os.read(signals, 1)
            if not number:
                return
            name = signal.Signals(number[0]).name
            _end(128 + number[0], STOPPED.format(name), record, log)
        # a sleeping laptop or a suspended job has not hung
        passed = min(time.monotonic() - before, 2 * tick)
        if progress and progress.poll(passed) >= patience():
            _end(HUNG, STUCK.format(patience()), record, log)
        _set_alarm(log)


@contextmanager
def watchdog(record: Callable[[str], None], log: TextIO) -> Iterator[None]:
    """Watch the block: end the process on a signal or a hang, and record the reason.

    On SIGTERM, SIGINT and SIGHUP the exit code is 128 plus the signal's number, after a hang 70.
    Called in the main thread. Without /proc only signals are detected.

    Parameters
    ----------
    record
        Stores the reason, a sentence.
    log
        An open file for the stacks of all threads after a hang.
    """
    signals, sender = os.pipe()
    os.set_blocking(sender, False)
    before = {
        number: signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # set by nohup
    }
    other = signal.set_wakeup_fd(sender)  # is written to even while the main thread computes
    watch = Thread(target=_watch, args=(signals, record, log), daemon=True)
    _set_alarm(log)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(other)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(sender)
        watch.join()
        os.close(signals)
        faulthandler.cancel_dump_traceback_later()
