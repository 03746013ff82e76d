"""The log of a job: standard error, kept in a file without secrets, over all its attempts."""

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from cryotome.core.redact import without_secrets
from cryotome.runtime.failures import ENDING, KEPT, reason
from cryotome.runtime.watchdog import LOG

NEXT = "-- another attempt --"
LOG_ONLY = "CRYOTOME_LOG_ONLY"  # set where a view of the run draws on the terminal


def log_line(text: str) -> None:
    """Write a line to standard error at once."""
    print(text, file=sys.stderr, flush=True)


class _Tee:
    """A stream to the log and the terminal, or to the log alone if a view draws on the terminal.

    Progress bars redraw their line on a terminal; elsewhere each state is a line of its own.
    """

    def __init__(self, log: TextIO, terminal: TextIO) -> None:
        self.log, self.terminal = log, terminal

    def write(self, text: str) -> int:
        text = without_secrets(text)
        lines = text.replace("\r", "\n")
        with suppress(OSError):  # a full disk must not stop the work
            self.log.write(lines)
        if LOG_ONLY in os.environ:
            return len(text)
        return self.terminal.write(text if self.isatty() else lines)

    def flush(self) -> None:
        with suppress(OSError):
            self.log.flush()
        self.terminal.flush()

    def isatty(self) -> bool:
        return self.terminal.isatty()


def _open(path: Path) -> TextIO:
    """Open a log, appending to the log of failed attempts since the last success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept, failed = path.with_suffix(KEPT), path.with_suffix(ENDING).exists()
    if not failed:
        path.unlink(missing_ok=True)
        kept.unlink(missing_ok=True)
    with suppress(OSError):  # nothing kept, or no hard links here
        os.link(kept, path)
    log = open(path, "a", encoding="utf-8")  # noqa: SIM115
    with suppress(OSError):  # kept already, or no hard links here
        os.link(path, kept)
    if failed:
        log.write(f"{NEXT}\n")
    return log


@contextmanager
def logged(path: Path) -> Iterator[TextIO]:
    """Copy standard error to a log for the block, and the stack traces of a native crash."""
    try:
        log = _open(path)
    except OSError as error:
        sys.exit(reason(error))
    crashes = not faulthandler.is_enabled()
    if crashes:
        faulthandler.enable(log)
    os.environ[LOG] = str(path.absolute())
    sys.stderr = _Tee(log, sys.__stderr__)  # type: ignore[assignment,arg-type]
    try:
        yield log
    finally:
        sys.stderr = sys.__stderr__
        del os.environ[LOG]
        if not path.with_suffix(ENDING).exists():
            with suppress(OSError):
                path.with_suffix(KEPT).unlink(missing_ok=True)
        if crashes:
            faulthandler.disable()
        with suppress(OSError):  # a full disk
            log.close()
