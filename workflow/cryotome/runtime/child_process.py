"""Child processes for code that may crash or hang, to protect the job's own process."""

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

# signals caused by the code or its data; any other comes from outside
CRASHES = {signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL}
LOST = (
    "A child process of this job {}: killed, probably because memory ran out. Run the same command "
    "again, with more memory or fewer jobs at once: finished work is kept."
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
            function, arguments = calls.recv()  # unpickling imports its module
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
                raise CryotomeError(LOST.format(f"did not start within {patience():,.0f} s"))
            self._calls.recv()
            while kind == "item":
                if not self._calls.poll(patience() / 2):  # before the watchdog ends this job
                    raise ChildProcessError(f"no answer for {patience() / 2:,.0f} s")
                kind, value = self._calls.recv()
                if kind == "item":
                    yield value
        except (EOFError, ConnectionError) as error:
            raise self._death() from error
        finally:
            if kind == "item":  # crashed, hangs, or the caller stopped early
                self.end()
        if kind == "error":
            raise value

    def _death(self) -> Exception:
        """Return the error of an ended process: a crash of its code, or a kill from outside."""
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
    """Return the signal or the exit code of a process.

    >>> _how(-11), _how(1)
    ('SIGSEGV', 'exit code 1')
    """
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextmanager
def worker_processes(count: int) -> Iterator[Run]:
    """Yield a function that runs generators in child processes, at most `count` at once.

    Arguments and items are pickled. The function may be called in any thread; CryotomeError,
    OSError and MemoryError are raised as in this process.

    Raises
    ------
    ChildProcessError
        (By that function.) The child crashed or did not answer.
    CryotomeError
        (By that function.) The child was killed from outside, or did not start.
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
