"""Records of failed jobs, kept beside a job's log until the job succeeds."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryotome.core.errors import CryotomeError
from cryotome.core.files import atomic_write
from cryotome.core.redact import without_secrets

MAX_NAMES = 12  # of a list that are written out
ENDING = ".failed.json"
KEPT = ".attempts"  # second link to the log: Snakemake removes logs before a retry
RUN = "CRYOTOME_RUN"  # variable: id of the run of Snakemake that a job belongs to
WAYS_OUT = {
    errno.ENOSPC: "The disk is full. Make room and rerun: finished work is kept",
    errno.EDQUOT: "The quota is used up. Make room and rerun: finished work is kept",
    errno.EACCES: "You may not write or read there. Fix its permissions and rerun",
    errno.EPERM: "You may not write there. Fix its permissions and rerun",
    errno.EROFS: "That file system is read-only. Let `results` be a link to one that is not",
    errno.ENOENT: "It does not exist or was removed. Put input files back, and run again",
    errno.EIO: "The disk fails or does not answer. Fix it and rerun: finished work is kept",
    errno.ESTALE: "The network disk has lost the file. Run again: finished work is kept",
    errno.ETIMEDOUT: "The network disk does not answer. Run again: finished work is kept",
    errno.ENOLCK: "The file system has no locks now. Run again, or work on another file system",
    errno.EOPNOTSUPP: "The file system does not support this. Work on another file system",
    errno.EAGAIN: "Another program holds it. Close that and rerun: finished work is kept",
    errno.EBUSY: "Another program holds it. Close that and rerun: finished work is kept",
    errno.EMFILE: "Too many files are open. Raise `ulimit -n` and rerun: finished work is kept",
    errno.ENFILE: "Too many files are open on this machine. Rerun: finished work is kept",
    errno.EISDIR: "It is a folder, where a file is expected. Move it away and rerun",
    errno.ELOOP: "Its links form a loop. Fix them and rerun",
    errno.EFBIG: "A limit on file size is reached (`ulimit -f`). Raise it and rerun",
}
MEMORY = "Run again with more, or fewer jobs at once: finished work is kept"


@dataclass(frozen=True)
class Failure:
    """A failed job.

    Attributes
    ----------
    wildcards
        Which job of the rule: dataset, model, fold and so on.
    why
        The message of its error, or that it was killed.
    run
        Id of its run of Snakemake; times are not used, for clocks may go backwards.
    """

    rule: str
    wildcards: dict[str, str]
    why: str
    log: str
    run: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """The rule, and the reason with the wildcards of the job replaced by their names."""
        why = self.why
        for name, value in sorted(self.wildcards.items(), key=lambda one: -len(one[1])):
            why = re.sub(rf"(?<![\w.]){re.escape(value)}(?!\w)", f"{{{name}}}", why)
        return self.rule, why

    def matches(self, keys: dict[str, str]) -> bool:
        """Whether a file with these fields depends on this job."""
        return self.wildcards.items() <= keys.items()


def group_failures(failed: Iterable[Failure]) -> list[list[Failure]]:
    """Group failures of one rule whose reasons differ only in the wildcards of the jobs."""
    kinds: dict[tuple[str, str], list[Failure]] = {}
    for failure in failed:
        kinds.setdefault(failure.kind, []).append(failure)
    return list(kinds.values())


def describe_failures(alike: list[Failure]) -> str:
    """Describe a group of failures: number of jobs, their wildcards, the reason of the first."""
    first = alike[0]
    if len(alike) == 1:
        return f"{first.rule} {', '.join(first.wildcards.values())}: {first.why}  [{first.log}]"
    which = []
    for name, value in first.wildcards.items():
        values = list(dict.fromkeys(one.wildcards.get(name, "") for one in alike))
        more = f" and {len(values) - MAX_NAMES} more" if len(values) > MAX_NAMES else ""
        which.append(f"{name} {', '.join(values[:MAX_NAMES])}{more}" if values[1:] else value)
    jobs = f"{first.rule}, {len(alike)} jobs ({'; '.join(which)})"
    return f"{jobs}: {first.why}  [first: {first.log}]"


def is_user_error(error: BaseException) -> bool:
    """Whether a user can fix the error; its message tells how."""
    known = isinstance(error, CryotomeError | MemoryError)
    return known or getattr(error, "errno", None) in WAYS_OUT


def reason(error: BaseException) -> str:
    """Return the message of an error for the user, without secrets."""
    if isinstance(error, CryotomeError):
        return without_secrets(str(error))
    if isinstance(error, OSError) and error.errno in WAYS_OUT:
        assert error.errno
        where = error.filename2 or error.filename or "A file"  # of a copy, its target
        return f"{where}: {error.strerror}. {WAYS_OUT[error.errno]}."
    if isinstance(error, MemoryError):
        return f"There is not enough memory{f' ({error})' if str(error) else ''}. {MEMORY}."
    return without_secrets(f"{type(error).__name__}: {error}")


@contextmanager
def record_failure(
    log: Path, rule: str, wildcards: dict[str, str]
) -> Iterator[Callable[[str], None]]:
    """Write a record beside the log when a job starts, and remove it if the job succeeds.

    So a killed job leaves a record, too. Yields a function that writes a reason into the record,
    for ends without an exception.
    """
    path = log.with_suffix(ENDING)
    about = {"rule": rule, "wildcards": wildcards, "log": str(log)}
    about |= {"run": os.environ.get(RUN, "")}

    def write(why: str) -> None:
        with atomic_write(path) as beside:
            beside.write_text(json.dumps(about | {"why": why}, indent=1) + "\n", encoding="utf-8")

    with suppress(OSError):  # a full disk is reported by the step that needs the space
        write("It was killed, or still runs.")
    try:
        yield write
    except BaseException as error:
        with suppress(OSError):  # writing the record must not mask the original error
            write(reason(error))
        raise
    path.unlink(missing_ok=True)


def failures(logs: Path) -> list[Failure]:
    """Read all records below a folder of logs: jobs that failed and have not succeeded since."""
    found = []
    for path in sorted(logs.glob(f"*/*{ENDING}")):
        with suppress(OSError, ValueError, TypeError):  # removed meanwhile, or incomplete
            found.append(Failure(**json.loads(path.read_text(encoding="utf-8"))))
    return found
