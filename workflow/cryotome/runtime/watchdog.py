"""Watch over a job: end it well on a signal, and hard where it hangs.

Partial work is safe at every instant (`cryotome.runtime.resume`), so nothing is unwound: the
reason is noted and the process ends, however deep in a library its threads are.
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

PATIENCE = 1800.0  # s without progress; CRYOTOME_PATIENCE sets another
ALARM = 6  # times the patience: when native code that keeps Python's lock is ended
TICKS = 60  # looks at the progress within that time
IDLE = 0.01  # share of a processor core that threads use that only wait
LAST_WORDS = 3.0  # s to note the reason on a disk that may not answer
LOG = "CRYOTOME_LOG"  # the log of this job, for its child processes
HUNG = 70  # exit code of a job that made no progress
STOPPED = (
    "It was stopped by a signal ({}): preempted, over its time limit, or by hand. Run the same "
    "command again: it goes on from what is finished."
)
STUCK = (
    "It made no progress for {:,.0f} s: no computing, no reading, no writing. A disk or a network "
    "that does not answer is the usual cause; the log holds what every thread was at. Run the same "
    "command again: it goes on from what is finished. CRYOTOME_PATIENCE sets the seconds."
)

_turn = Lock()
_waits = 0  # threads that wait for something on purpose


def patience() -> float:
    """Return after how many seconds without progress a job is given up."""
    return float(os.environ.get("CRYOTOME_PATIENCE", PATIENCE))


@contextmanager
def paused() -> Iterator[None]:
    """Wait in this block as long as it takes: the watch counts it as no hang."""
    global _waits
    with _turn:
        _waits += 1
    try:
        yield
    finally:
        with _turn:
            _waits -= 1


class Progress:
    """How long this process has neither computed nor read nor written, but for these looks.

    Made and called in the thread that looks. What a job prints is written to its log, so it
    counts, too.
    """

    def __init__(self) -> None:
        self.idle, self._read_here = 0.0, 0  # s, bytes
        self._computed, self._moved = self._seconds(), self._bytes()

    def _seconds(self) -> float:
        return time.process_time() - time.thread_time()

    def _bytes(self) -> int:
        """Return what has been read and written so far, but for the reading here."""
        text = Path("/proc/self/io").read_text(encoding="utf-8")
        moved = sum(int(line.split()[1]) for line in text.splitlines()[:2]) - self._read_here
        self._read_here += len(text)
        return moved

    def look(self, passed: float) -> float:
        """Return for how long there was no progress, after so many more seconds."""
        self.idle += passed
        computed, moved = self._seconds(), self._bytes()
        if _waits or moved != self._moved or computed - self._computed > IDLE * self.idle:
            self.idle, self._computed, self._moved = 0.0, computed, moved
        return self.idle


def _end(code: int, why: str, tell: Callable[[str], None], log: TextIO) -> NoReturn:
    """Note why, end the children, and end this process at once."""

    def last_words() -> None:
        tell(why)
        print(f"\n{why}\n", file=sys.stderr, flush=True)
        if code == HUNG:
            faulthandler.dump_traceback(log)

    words = Thread(target=last_words, daemon=True)  # for the disk may not answer
    words.start()
    words.join(LAST_WORDS)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def _set_alarm(log: TextIO) -> None:
    """End the process without Python's help, unless set anew: native code may keep its lock.

    It comes late, for a job that a scheduler suspends looks the same.
    """
    faulthandler.dump_traceback_later(ALARM * patience(), exit=True, file=log)


def _watch(heard: int, tell: Callable[[str], None], log: TextIO) -> None:
    """Look at the progress until a signal is heard, the end of the pipe, or a hang."""
    tick = patience() / TICKS
    progress = Progress() if os.access("/proc/self/io", os.R_OK) else None
    while True:
        before = time.monotonic()
        ready, _, _ = select.select([heard], [], [], tick)
        if ready:
            number = os.read(heard, 1)
            if not number:
                return
            name = signal.Signals(number[0]).name
            _end(128 + number[0], STOPPED.format(name), tell, log)
        # a laptop that slept, or a job that was stopped, has not hung
        passed = min(time.monotonic() - before, 2 * tick)
        if progress and progress.look(passed) >= patience():
            _end(HUNG, STUCK.format(patience()), tell, log)
        _set_alarm(log)


@contextmanager
def watchdog(tell: Callable[[str], None], log: TextIO) -> Iterator[None]:
    """Watch over a block: end the process where a signal or a hang says so, with its reason.

    On SIGTERM, SIGINT and SIGHUP the exit code is 128 and the signal's number, after a hang
    it is 70. Called in the main thread. Where there is no /proc only signals are heeded.

    Parameters
    ----------
    tell
        Keeps the reason, a sentence.
    log
        An open file that gets the stacks of all threads after a hang.
    """
    heard, said = os.pipe()
    os.set_blocking(said, False)
    before = {
        number: signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN  # as nohup wants it
    }
    other = signal.set_wakeup_fd(said)  # written to even while the main thread computes
    watch = Thread(target=_watch, args=(heard, tell, log), daemon=True)
    _set_alarm(log)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(other)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(said)
        watch.join()
        os.close(heard)
        faulthandler.cancel_dump_traceback_later()
