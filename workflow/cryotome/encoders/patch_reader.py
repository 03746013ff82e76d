"""Patch reader: patches of a store, checked, in batches, ahead of the network."""

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from cryotome.core.errors import StoreError
from cryotome.core.store import SUMS, Rows, check_rows, open_hdf5, row_checksums

CHECKSUM_THREADS = 4  # threads that hold patches against their checksums


class PatchReader:
    """Read rows of a patch store, (n, side, side, 3) uint8, past HDF5 and its lock.

    The array lies contiguous in the file, so that neighbouring rows are one sequential read.
    """

    def __init__(self, path: Path, *, pinned: bool) -> None:
        with open_hdf5(path) as file:
            self._shape, self._offset = file["patch"].shape[1:], file["patch"].id.get_offset()
            self._sums, self._ids = file[SUMS][:], file["id"][:]
        self._threads = ThreadPoolExecutor(CHECKSUM_THREADS)
        self._path, self._file, self._pinned = path, os.open(path, os.O_RDONLY), pinned
        # one is read into, one computed on, and of one the last batch may still be on its way
        self._buffers = deque([torch.empty(0)] * 3)

    def __call__(self, rows: Rows) -> tuple[int, Tensor]:
        """Return the first row and the patches, in a buffer that the third read uses again."""
        first, count = rows
        if first + count > len(self._sums):
            raise StoreError(f"{self._path} ends before row {first + count}. Delete it and rerun.")
        self._buffers.rotate()
        if len(self._buffers[0]) < count:
            size = (count, *self._shape)
            self._buffers[0] = torch.empty(size, dtype=torch.uint8, pin_memory=self._pinned)
        patches = self._buffers[0][:count]
        stride = patches[0].numel()  # bytes a row
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
        self._threads.shutdown()
        os.close(self._file)
