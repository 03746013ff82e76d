"""Errors that a user can cause and fix, as a tree.

* CryotomeError
  + CardError      a card or a config is wrong
  + DataError      annotations or images are missing, broken or not the expected ones
    + UnfitError   an image is whole, but its format or metadata cannot be used
  + DownloadError  a file of a public record cannot be downloaded, or differs from the record
  + StoreError     a store is of another kind, out of date or incomplete
  + WeightsError   the weights of an encoder are missing
  + EncoderError   the code of an encoder fails, or its embeddings cannot be used
  + SplitError     a split cannot be drawn as asked
  + ProbeError     a head cannot be fitted on these embeddings and labels
  + TrainingError  the training of a network diverged
"""

import errno
import os
import pickle
import re
import struct
from pathlib import Path

CHUNK = 2**24  # bytes read at once

# what torch raises on files that are truncated or would run code; see `raise_system_error`
TRUNCATED: tuple[type[Exception], ...] = (RuntimeError, EOFError, pickle.UnpicklingError, OSError)
TRUNCATED += (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError)
TRUNCATED += (struct.error,)


# errno of wrong content, not of the disk: torch seeks to impossible places in truncated files
OF_CONTENT = {None, errno.EINVAL, errno.EOVERFLOW}
NUMBER = re.compile(r"errno = (\d+)|os error (\d+)|\[Errno (\d+)\]")  # of HDF5, Rust, Python
MEMORY = re.compile(r"(can't|cannot) allocate memory|out of memory", re.IGNORECASE)
# by the lowest byte of SQLite's error code
SQLITE = {3: errno.EACCES, 5: errno.EAGAIN, 6: errno.EAGAIN, 8: errno.EROFS, 10: errno.EIO}
SQLITE |= {13: errno.ENOSPC, 14: errno.EACCES, 15: errno.ENOLCK, 7: errno.ENOMEM}


def raise_system_error(error: BaseException, path: Path) -> None:
    """Raise the error of disk, locks, permissions or memory that caused an error of a file.

    Returns if the file can be read and its content is wrong: only then may it be replaced.

    Raises
    ------
    OSError, MemoryError
        The disk, the system or the memory failed; the file may be whole.
    """
    cause: BaseException | None = error
    while cause:
        number = errno.ENOMEM if isinstance(cause, MemoryError) else _number(cause)
        if number not in OF_CONTENT:
            assert number
            if cause is error and isinstance(error, OSError | MemoryError):
                raise _named(error, number, path)
            memory = MemoryError(str(cause)) if number == errno.ENOMEM else None
            raise (memory or OSError(number, os.strerror(number), str(path))) from error
        cause = cause.__cause__
    if failed := read_error(path):
        raise failed from error


def _named(error: OSError | MemoryError, number: int, path: Path) -> BaseException:
    """Return the error with its file and the system's message, which HDF5 omits."""
    if isinstance(error, OSError):
        error.filename = error.filename or str(path)
        error.strerror = os.strerror(number)
    return error


def _number(error: BaseException) -> int | None:
    """Return the errno of an error, None if it is not the operating system's."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    if code := getattr(error, "sqlite_errorcode", 0):
        return SQLITE.get(code & 0xFF)
    if found := NUMBER.search(str(error)):
        return int(next(filter(None, found.groups())))
    return errno.ENOMEM if MEMORY.search(str(error)) else None


def read_error(path: Path) -> OSError | None:
    """Return the error with which reading a file to its end fails, None if it succeeds."""
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(CHUNK):
                pass
    except OSError as error:
        return error
    return None


class CryotomeError(Exception):
    """Base of the errors below; the text names what is wrong, where, and what to do."""


class CardError(CryotomeError):
    """A card or a config file breaks its schema or names a card that does not exist."""


class DataError(CryotomeError):
    """Annotations or images are missing, unreadable, or differ from the card's `expect`."""


class UnfitError(DataError):
    """An image is whole, but its orientation, colours, µm/px or size cannot be used."""


class DownloadError(CryotomeError):
    """A file of a public record cannot be downloaded, or differs from the record."""


class StoreError(CryotomeError):
    """A store is damaged, or has another format, version or provenance than expected."""


class WeightsError(CryotomeError):
    """The weights of an encoder are missing and could not be downloaded."""


class EncoderError(CryotomeError):
    """The code of an encoder cannot be used, or it embeds a patch by what is beside it."""


class SplitError(CryotomeError):
    """A split cannot be drawn from these cells."""


class ProbeError(CryotomeError):
    """A head on frozen embeddings cannot be fitted: one class, no rows, or no numbers."""


class TrainingError(CryotomeError):
    """The loss of a training is not finite."""
