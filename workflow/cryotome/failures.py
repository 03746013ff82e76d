"""What went wrong in which job, kept beside the job's log until the job succeeds."""

import errno
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryotome.errors import CryotomeError
from cryotome.paths import written_whole

SHORTEST = 6  # characters of a token; less would star out words
ENDING = ".failed.json"
WAYS_OUT = {
    errno.ENOSPC: "The disk is full. Make room and rerun: what is finished stays",
    errno.EDQUOT: "The quota is used up. Make room and rerun: what is finished stays",
    errno.EACCES: "You may not write or read there. Mend its permissions and rerun",
    errno.EPERM: "You may not write there. Mend its permissions and rerun",
    errno.EROFS: "That file system is read-only. Let `results` be a link to one that is not",
}


@dataclass(frozen=True)
class Failure:
    """A job that did not end well.

    Attributes
    ----------
    wildcards
        Which job of the rule: dataset, model, fold and so on.
    why
        What its error says, or that it was killed.
    when
        Seconds since 1970.
    """

    rule: str
    wildcards: dict[str, str]
    why: str
    log: str
    when: float

    def explains(self, keys: dict[str, str]) -> bool:
        """Whether this job is on the way to a file with these keys."""
        return self.wildcards.items() <= keys.items()


# what a server or a library may echo: tokens of the hub, headers, addresses with a password
SECRET = re.compile(
    r"\bhf_\w{6,}|(?<=earer )[\w.~+/=-]{6,}|(?<=://)[^/\s@]+(?=@)"
    r"|(?<=[?&]token=)[^&\s\"']+|(?<=[?&]access_token=)[^&\s\"']+|(?<=[?&]key=)[^&\s\"']+"
    r"|(?<=ignature=)[^&\s\"']+"
)
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_API_TOKEN", "HUGGINGFACE_TOKEN")


def without_secrets(text: str) -> str:
    """Return a text with tokens and passwords starred out.

    >>> without_secrets("Authorization: Bearer hf_abcdefgh, https://me:word@host/x?token=a1b2")
    'Authorization: Bearer ***, https://***@host/x?token=***'
    """
    for name in TOKENS:
        if len(os.environ.get(name, "")) >= SHORTEST:
            text = text.replace(os.environ[name], "***")
    return SECRET.sub("***", text)


def is_mendable(error: BaseException) -> bool:
    """Whether a user can mend what went wrong: its sentence says how."""
    return isinstance(error, CryotomeError) or getattr(error, "errno", None) in WAYS_OUT


def reason(error: BaseException) -> str:
    """Return what an error says to people."""
    if isinstance(error, CryotomeError):
        return without_secrets(str(error))
    if isinstance(error, OSError) and error.errno in WAYS_OUT:
        assert error.errno
        return f"{error.filename or 'A file'}: {error.strerror}. {WAYS_OUT[error.errno]}."
    return without_secrets(f"{type(error).__name__}: {error}")


@contextmanager
def recorded(log: Path, rule: str, wildcards: dict[str, str]) -> Iterator[None]:
    """Keep a record beside the log from the start of a job, and take it away if it succeeds.

    So a job that was killed leaves one, too.
    """
    path = log.with_suffix(ENDING)
    about = {"rule": rule, "wildcards": wildcards, "log": str(log)}

    def write(why: str) -> None:
        with written_whole(path) as beside:
            beside.write_text(json.dumps(about | {"why": why}, indent=1) + "\n")

    write("It was killed, or still runs.")
    try:
        yield
    except BaseException as error:
        with suppress(OSError):  # a full disk must not hide what went wrong
            write(reason(error))
        raise
    path.unlink(missing_ok=True)


def failures(logs: Path) -> list[Failure]:
    """Read all records below a folder of logs, the oldest first."""
    found = []
    for path in logs.glob(f"*/*{ENDING}"):
        with suppress(OSError, ValueError, TypeError):  # removed meanwhile, or torn
            found.append(Failure(**json.loads(path.read_text()), when=path.stat().st_mtime))
    return sorted(found, key=lambda failure: failure.when)
