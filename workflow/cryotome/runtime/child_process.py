"""Child processes for code that may crash or hang, so that this process does not."""

import faulthandler
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, TypeVar

from cryotome.core.errors import CryotomeError
from cryotome.runtime.watchdog import LOG, patience, paused

Item = TypeVar("Item")
Run = Callable[..., Iterator[Any]]

# the ends that code and its data bring about; any other comes from outside
CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
LOST = (
    "A child process of this job {}: killed, perhaps for want of memory. Run the same command "
    "again, with more memory or fewer jobs at once: what is finished stays."
)


def run_in_process(function: Callable[..., Iterator[Item]], *arguments: Any) -> Iterator[Item]:
    """Yield what a generator yields, run in this process."""
    return function(*arguments)


def _serve(calls: Connection) -> None:
    """Run generator after generator and send what they yield, until the other end is closed."""
    with suppress(OSError):
        log = os.environ.get(LOG)
        faulthandler.enable(open(log, "a", encoding="utf-8") if log else sys.stderr)  # noqa: SIM115
    with suppress(EOFError, OSError):
        while True:
            function, arguments = calls.recv()  # and import what it needs
            calls.send(("begun", None))
            try:
                for item in function(*arguments):
                    calls.send(("item", item))
                calls.send(("end", None))
            except (CryotomeError, OSError, MemoryError) as error:
                calls.send(("error", error))


class _Child:
    """A process that runs one generator after another; a new one after a crash."""

    def __init__(self) -> None:
        self._process: Any = None
        self._calls: Any = None

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._calls, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=[theirs], daemon=True)
        self._process.start()
        theirs.close()

    def run(self, function: Callable[..., Iterator[Item]], *arguments: Any) -> Iterator[Item]:
        if self._process is None:
            self._start()
        kind = "item"
        try:
            self._calls.send((function, arguments))
            with paused():
                begun = self._calls.poll(patience())
            if not begun:
                raise CryotomeError(LOST.format(f"did not begin within {patience():,.0f} s"))
            self._calls.recv()
            while kind == "item":
                if not self._calls.poll(patience() / 2):  # before the watch gives this job up
                    raise ChildProcessError(f"no answer for {patience() / 2:,.0f} s")
                kind, value = self._calls.recv()
                if kind == "item":
                    yield value
        except (EOFError, ConnectionError) as error:
            raise self._death() from error
        finally:
            if kind == "item":  # crashed, hangs, or nobody wants the rest
                self.end()
        if kind == "error":
            raise value

    def _death(self) -> Exception:
        """Say how the process ended, and whether what it ran is to blame."""
        self._process.join()
        code = self._process.exitcode
        if -code in CRASHES:
            return ChildProcessError(_how(code))
        return CryotomeError(LOST.format(f"ended ({_how(code)})"))

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._calls.close()
            self._process = None


def _how(code: int) -> str:
    """Say how a process ended.

    >>> _how(-11), _how(1)
    ('SIGSEGV', 'exit code 1')
    """
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextmanager
def worker_processes(count: int) -> Iterator[Run]:
    """Give a function that runs generators in child processes, at most so many at once.

    What is handed over and back is pickled. The function may be called in any thread;
    CryotomeError, OSError and MemoryError come through as they are.

    Raises
    ------
    ChildProcessError
        (By the function given.) The child crashed, or did not answer; its text says how.
    CryotomeError
        (By the function given.) The child was killed from outside, or did not begin.
    """
    all_ = [_Child() for _ in range(count)]
    idle: SimpleQueue[_Child] = SimpleQueue()
    for child in all_:
        idle.put(child)

    def run(function: Callable[..., Iterator[Item]], *arguments: Any) -> Iterator[Item]:
        child = idle.get()
        try:
            yield from child.run(function, *arguments)
        finally:
            idle.put(child)

    try:
        yield run
    finally:
        for child in all_:
            child.end()
