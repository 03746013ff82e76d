"""Resumable work: stores that are written row by row and survive a kill of the process.

Finished rows lie below `results/partial/`, never in a declared output, which Snakemake would delete
with the failed job.
"""

import errno
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import h5py
import numpy as np

from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.files import atomic_write
from cryotome.core.store import LAYOUT, SUMS, UNREADABLE, finalise_store, open_hdf5, row_checksums
from cryotome.runtime.log import log_line
from cryotome.runtime.worker_lock import (
    AT_WORK,
    JOURNAL,
    LINE,
    STORE,
    claim_partial_folder,
    clear_partial_work,
    lock_folder,
)


@contextmanager
def exclusive_attempt(folder: Path) -> Iterator[bool]:
    """Run non-resumable work under a lock; yield whether an earlier attempt was killed."""
    with lock_folder(folder):
        at_work = folder / AT_WORK
        crashed = at_work.exists()
        at_work.touch()
        try:
            yield crashed
        finally:
            clear_partial_work(folder)


class ResumableStore:
    """An unfinished HDF5 store whose finished rows survive a kill of the process.

    One array (n, ...) is contiguous in the file and written in place; a journal lists the finished
    rows with their checksum. A kill loses only the rows being written, and rows that do not match
    their checksum are written again.

    Attributes
    ----------
    crashed
        Whether the attempt before was killed, or crashed in native code.
    """

    def __init__(self, folder: Path, name: str, *, crashed: bool) -> None:
        self.folder, self.crashed = folder, crashed
        with open_hdf5(folder / STORE) as file:
            self._offset, self.shape = file[name].id.get_offset(), file[name].shape
            self._dtype = file[name].dtype
        self._name, self._sums = name, np.zeros(self.shape[0], np.uint32)
        self._stride = int(np.prod(self.shape[1:])) * self._dtype.itemsize  # bytes a row
        self._file = os.open(folder / STORE, os.O_RDWR)
        self._done = self._read_journal()  # finished row to its fingerprint
        self._journal = open(folder / JOURNAL, "a", encoding="utf-8")  # noqa: SIM115
        self._turn = Lock()
        if self.finished:
            log_line(f"{folder}: resuming after {self.finished:,} of {self.shape[0]:,} rows.")

    def _read_journal(self) -> dict[int, str]:
        done: dict[int, str] = {}
        path = self.folder / JOURNAL
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        for line in lines:
            found = LINE.fullmatch(line)
            if not found:  # incomplete because of the kill
                continue
            start, length, checksum = map(int, found.groups()[:3])
            stamp = found[4].decode()
            at, end = self._offset + start * self._stride, start + length
            if not 0 < length <= self.shape[0] or end > self.shape[0]:  # likewise
                continue
            content = os.pread(self._file, length * self._stride, at)
            if zlib.crc32(content) == checksum:
                self._sums[start:end] = row_checksums(
                    np.frombuffer(content, "u1").reshape(length, -1)
                )
                done.update(dict.fromkeys(range(start, end), stamp))
        return done

    @property
    def finished(self) -> int:
        """Number of finished rows."""
        return len(self._done)

    @property
    def stamps(self) -> set[str]:
        """The fingerprints of all finished rows, those of killed attempts too."""
        return set(self._done.values())

    def holds(self, first: int, count: int, stamp: str = "") -> bool:
        """Whether these rows are finished, with this fingerprint of their source."""
        return all(self._done.get(row) == stamp for row in range(first, first + count))

    def missing(self, most: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of unfinished rows, of at most `most`: first row and number of rows.

        Rows count as finished whatever their fingerprint.
        """
        first, count = 0, self.shape[0]
        while first < count:
            end = first
            while end < min(first + most, count) and end not in self._done:
                end += 1
            if end > first:
                yield first, end - first
            first = max(end, first + 1)

    def put(self, first: int, values: np.ndarray, stamp: str = "") -> None:
        """Write finished rows, from any thread, with a fingerprint, such as of their source."""
        rows = np.ascontiguousarray(values, dtype=self._dtype)
        self._sums[first : first + len(rows)] = row_checksums(rows)
        left = memoryview(rows.tobytes())
        checksum, at = zlib.crc32(left), self._offset + first * self._stride
        while left:
            try:
                written = os.pwrite(self._file, left, at)
            except OSError as error:  # it names no file
                raise OSError(error.errno, error.strerror, str(self.folder / STORE)) from error
            left, at = left[written:], at + written
        with self._turn:
            self._journal.write(f"\n{first} {len(values)} {checksum} {stamp}\n")
            self._journal.flush()
        self._done.update(dict.fromkeys(range(first, first + len(values)), stamp))

    def close(self) -> None:
        """Close the files; the partial work is kept."""
        os.close(self._file)
        self._journal.close()

    def finish(self, store: Path, attributes: dict[str, Any]) -> None:
        """Write the attributes, rename the store to its final path, remove the partial work."""
        finalise_store(self.folder / STORE, self._name, attributes, self._sums)
        os.fsync(self._file)  # or a power cut after the rename could leave an empty file
        store.parent.mkdir(parents=True, exist_ok=True)
        try:
            (self.folder / STORE).replace(store)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with atomic_write(store) as beside:  # `results` spans two disks
                shutil.copyfile(self.folder / STORE, beside)
        clear_partial_work(self.folder)


def _create(path: Path, name: str, shape: tuple[int, ...], dtype: str, ids: np.ndarray) -> None:
    needed = int(np.prod(shape)) * np.dtype(dtype).itemsize
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise StoreError(
            f"{path} will have {needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB are free there. "
            "Free some space, or let `results` be a link to a larger disk."
        )
    with atomic_write(path) as beside, open_hdf5(beside, "w", libver=LAYOUT) as file:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)  # space is reserved at once
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)  # and each byte written once
        kind = h5py.h5t.py_create(np.dtype(dtype))
        h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(shape), plan)
        file["id"], file[SUMS] = ids, np.zeros(len(ids), np.uint32)


def _is_begun(path: Path, name: str, shape: tuple[int, ...], dtype: str, ids: np.ndarray) -> bool:
    try:
        with open_hdf5(path) as file:
            same = file[name].shape == shape and file[name].dtype == dtype
            same = same and file[SUMS].shape == shape[:1] and not len(file.attrs)
            return same and np.array_equal(file["id"][:], ids)
    except FileNotFoundError:
        return False
    except UNREADABLE as error:  # damaged by a power cut, unless the disk itself fails now
        raise_system_error(error, path)
        return False


@contextmanager
def resumable_store(
    folder: Path,
    name: str,
    *,
    shape: tuple[int, ...],
    dtype: str,
    ids: np.ndarray,
    passport: dict[str, Any],
) -> Iterator[ResumableStore]:
    """Begin a store, or resume one that was begun with the same provenance.

    Parameters
    ----------
    folder
        Of this partial work only.
    name, shape, dtype
        The array of the store, (n, ...).
    ids : (n,) int
        Written beside it as `id`.
    passport
        All that the rows depend on.

    Raises
    ------
    StoreError
        The disk has no room for it.
    """
    with lock_folder(folder):
        path = folder / STORE
        if not (
            claim_partial_folder(folder, passport) and _is_begun(path, name, shape, dtype, ids)
        ):
            (folder / JOURNAL).unlink(missing_ok=True)
            _create(path, name, shape, dtype, ids)
        at_work = folder / AT_WORK
        store = ResumableStore(folder, name, crashed=at_work.exists())
        at_work.touch()
        try:
            yield store
        except BaseException:
            at_work.unlink(missing_ok=True)  # ended by an error, not by a crash
            raise
        finally:
            store.close()
