"""Patch reader: ranges of rows of a patch store, checked, in reused buffers."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from cryotome.core.errors import StoreError
from cryotome.core.store import SUMS, Rows, check_rows, open_hdf5, row_checksums

CHECKSUM_THREADS = 4  # threads


class PatchReader:
    """Read rows of a patch store, (n, side, side, 3) uint8, without the global lock of HDF5.

    The array is contiguous in the file, so that a range of rows is one sequential read.
    """

    def __init__(self, path: Path, *, pinned: bool) -> None:
        with open_hdf5(path) as file:
            self._shape, self._offset = file["patch"].shape[1:], file["patch"].id.get_offset()
            self._sums, self._ids = file[SUMS][:], file["id"][:]
        self._threads = ThreadPoolExecutor(CHECKSUM_THREADS)
        self._path, self._file, self._pinned = path, os.open(path, os.O_RDONLY), pinned
        # one is filled, one is computed on, and a copy of the third may be in progress
        self._buffers = deque([torch.empty(0)] * 3)

    def __call__(self, rows: Rows) -> tuple[int, Tensor]:
        """Return the first row and the patches, in a buffer that the third next read overwrites."""
        first, count = rows
        if first + count > len(self._sums):
            raise StoreError(f"{self._path} ends before row {first + count}. Delete it and rerun.")
        self._buffers.rotate()
        if len(self._buffers[0]) < count:
            size = (count, *self._shape)
            self._buffers[0] = torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned)
        patches = self._buffers[0][:count]
        stride = patches[0].numel()  # bytes per row
        left, at = memoryview(patches.numpy().data).cast("B"), self._offset + first * stride
        while left:
            got = os.preadv(self._file, [left], at)
            if not got:
                raise StoreError(f"{self._path} ends early. Delete it and rerun.")
            left, at = left[got:], at + got
        found = row_checksums(patches.numpy(), self._threads.map)
        check_rows(self._path, found, *(a[first : first + count] for a in (self._sums, self._ids)))
        return first, patches

    def close(self) -> None:
        """Stop the threads and close the file."""
        self._threads.shutdown()
        os.close(self._file)
