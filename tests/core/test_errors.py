import errno
import os
import re
import sqlite3

import pytest

from cryotome.core import errors


def test_the_drawn_tree_names_every_error():
    names = {
        n
        for n, v in vars(errors).items()
        if isinstance(v, type) and v.__module__ == errors.__name__
    }
    assert all(issubclass(getattr(errors, name), errors.CryotomeError) for name in names)
    assert all(name in errors.__doc__ for name in names)


@pytest.fixture
def whole(tmp_path):
    (tmp_path / "whole").write_bytes(b"content")
    return tmp_path / "whole"


@pytest.mark.parametrize(
    "number",
    [
        errno.EIO,
        errno.EACCES,
        errno.ESTALE,
        errno.ENOSPC,
        errno.EMFILE,
        errno.ENOLCK,
        errno.EAGAIN,
        errno.EOPNOTSUPP,
    ],
)
@pytest.mark.parametrize("kind", ["raised", "cause", "hdf5", "rust"])
def test_a_place_that_fails_is_named_and_its_file_is_not_blamed(whole, number, kind):
    error = {
        "raised": OSError(number, "said"),
        "cause": ValueError("wrapped"),
        "hdf5": OSError(number, f"cannot open (errno = {number}, error message = 'x')"),
        "rust": RuntimeError(f"I/O error (os error {number})"),
    }[kind]
    error.__cause__ = OSError(number, "said") if kind == "cause" else None
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as raised:
        errors.raise_system_error(error, whole)
    assert (raised.value.errno, raised.value.filename) == (number, str(whole))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("x"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        ValueError("C error: out of memory"),
    ],
)
def test_memory_that_runs_out_is_named(whole, error):
    with pytest.raises(MemoryError):
        errors.raise_system_error(error, whole)


def test_a_database_that_another_program_holds_is_not_blamed(tmp_path):
    with sqlite3.connect(tmp_path / "d") as one:
        one.execute("CREATE TABLE t (a)")
    one.execute("BEGIN EXCLUSIVE")
    two = sqlite3.connect(tmp_path / "d", timeout=0)
    with pytest.raises(sqlite3.OperationalError) as raised:
        two.execute("SELECT * FROM t")
    with pytest.raises(BlockingIOError):
        errors.raise_system_error(raised.value, tmp_path / "d")
    one.close()
    two.close()


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError("truncated file: eof = 3"), OSError(errno.EINVAL, "seek")]
)
def test_content_that_is_wrong_is_the_files(whole, error):
    errors.raise_system_error(error, whole)


def test_a_file_that_cannot_be_read_to_its_end_is_not_blamed(tmp_path):
    """The memory of this process gives EIO at its first byte."""
    (tmp_path / "w").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error"):
        errors.raise_system_error(ValueError("x"), tmp_path / "w")
