"""What went wrong in which job, kept beside the job's log until the job succeeds."""

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

MOST = 12  # names of a list that are written out
ENDING = ".failed.json"
KEPT = ".attempts"  # the log once more, for Snakemake removes logs before a retry
RUN = "CRYOTOME_RUN"  # names the run of Snakemake that a job belongs to
WAYS_OUT = {
    errno.ENOSPC: "The disk is full. Make room and rerun: what is finished stays",
    errno.EDQUOT: "The quota is used up. Make room and rerun: what is finished stays",
    errno.EACCES: "You may not write or read there. Mend its permissions and rerun",
    errno.EPERM: "You may not write there. Mend its permissions and rerun",
    errno.EROFS: "That file system is read-only. Let `results` be a link to one that is not",
    errno.ENOENT: "It vanished, or never was there. Run again; what was given, put back first",
    errno.EIO: "The disk fails or does not answer. See to it and rerun: what is finished stays",
    errno.ESTALE: "The network disk has lost it. Run again: what is finished stays",
    errno.ETIMEDOUT: "The network disk does not answer. Run again: what is finished stays",
    errno.ENOLCK: "The file system has no locks now. Run again, or work on another file system",
    errno.EOPNOTSUPP: "The file system cannot do that. Work on another file system",
    errno.EAGAIN: "Another program holds it. Close that and rerun: what is finished stays",
    errno.EBUSY: "Another program holds it. Close that and rerun: what is finished stays",
    errno.EMFILE: "Too many files are open. Raise `ulimit -n` and rerun: what is finished stays",
    errno.ENFILE: "Too many files are open on this machine. Rerun: what is finished stays",
    errno.EISDIR: "It is a folder where a file should be. Move it away and rerun",
    errno.ELOOP: "Links lead in a circle. Correct them and rerun",
    errno.EFBIG: "A limit on file size is reached (`ulimit -f`). Lift it and rerun",
}
MEMORY = "Run again with more, or fewer jobs at once: what is finished stays"


@dataclass(frozen=True)
class Failure:
    """A job that did not end well.

    Attributes
    ----------
    wildcards
        Which job of the rule: dataset, model, fold and so on.
    why
        What its error says, or that it was killed.
    run
        The run of Snakemake that it belongs to. Clocks may go backwards.
    """

    rule: str
    wildcards: dict[str, str]
    why: str
    log: str
    run: str = ""

    @property
    def kind(self) -> tuple[str, str]:
        """The rule, and the reason with the names of this one job taken out of it."""
        why = self.why
        for name, value in sorted(self.wildcards.items(), key=lambda one: -len(one[1])):
            why = re.sub(rf"(?<![\w.]){re.escape(value)}(?!\w)", f"{{{name}}}", why)
        return self.rule, why

    def explains(self, keys: dict[str, str]) -> bool:
        """Whether this job is on the way to a file with these keys."""
        return self.wildcards.items() <= keys.items()


def group_failures(failed: Iterable[Failure]) -> list[list[Failure]]:
    """Group failures of one rule that have one reason but for the names of their jobs."""
    kinds: dict[tuple[str, str], list[Failure]] = {}
    for failure in failed:
        kinds.setdefault(failure.kind, []).append(failure)
    return list(kinds.values())


def describe_failures(alike: list[Failure]) -> str:
    """Describe failures of one kind: how many jobs, which, and the reason of the first."""
    first = alike[0]
    if len(alike) == 1:
        return f"{first.rule} {', '.join(first.wildcards.values())}: {first.why}  [{first.log}]"
    which = []
    for name, value in first.wildcards.items():
        values = list(dict.fromkeys(one.wildcards.get(name, "") for one in alike))
        more = f" and {len(values) - MOST} more" if len(values) > MOST else ""
        which.append(f"{name} {', '.join(values[:MOST])}{more}" if values[1:] else value)
    jobs = f"{first.rule}, {len(alike)} jobs ({'; '.join(which)})"
    return f"{jobs}: {first.why}  [first: {first.log}]"


def is_user_error(error: BaseException) -> bool:
    """Whether a user can mend what went wrong: its sentence says how."""
    known = isinstance(error, CryotomeError | MemoryError)
    return known or getattr(error, "errno", None) in WAYS_OUT


def reason(error: BaseException) -> str:
    """Return what an error says to people."""
    if isinstance(error, CryotomeError):
        return without_secrets(str(error))
    if isinstance(error, OSError) and error.errno in WAYS_OUT:
        assert error.errno
        where = error.filename2 or error.filename or "A file"  # of a copy, where it goes
        return f"{where}: {error.strerror}. {WAYS_OUT[error.errno]}."
    if isinstance(error, MemoryError):
        return f"There is not enough memory{f' ({error})' if str(error) else ''}. {MEMORY}."
    return without_secrets(f"{type(error).__name__}: {error}")


@contextmanager
def record_failure(
    log: Path, rule: str, wildcards: dict[str, str]
) -> Iterator[Callable[[str], None]]:
    """Keep a record beside the log from the start of a job, and take it away if it succeeds.

    So a job that was killed leaves one, too. The block gets a function that writes a reason
    into the record, for an end that no exception tells.
    """
    path = log.with_suffix(ENDING)
    about = {"rule": rule, "wildcards": wildcards, "log": str(log)}
    about |= {"run": os.environ.get(RUN, "")}

    def write(why: str) -> None:
        with atomic_write(path) as beside:
            beside.write_text(json.dumps(about | {"why": why}, indent=1) + "\n", encoding="utf-8")

    with suppress(OSError):  # a full disk is said where it keeps results away
        write("It was killed, or still runs.")
    try:
        yield write
    except BaseException as error:
        with suppress(OSError):  # nor may it hide what went wrong
            write(reason(error))
        raise
    path.unlink(missing_ok=True)


def failures(logs: Path) -> list[Failure]:
    """Read all records below a folder of logs: the jobs that have not succeeded since."""
    found = []
    for path in sorted(logs.glob(f"*/*{ENDING}")):
        with suppress(OSError, ValueError, TypeError):  # removed meanwhile, or torn
            found.append(Failure(**json.loads(path.read_text(encoding="utf-8"))))
    return found
