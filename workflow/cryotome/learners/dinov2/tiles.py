"""JPEG tiles of many slides, read in random order and decoded ahead of the training step."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from cryotome.core.errors import DataError, SplitError, StoreError, raise_system_error
from cryotome.core.prefetch import prefetch
from cryotome.core.qualified_names import split_qualified
from cryotome.core.store import UNREADABLE, check_self_contained, open_hdf5
from cryotome.data.names import slide_name
from cryotome.learners.loop.batches import to_device

MAX_OPEN = 512  # tile stores held open at once
JPEG = "jpeg"  # HDF5 dataset of the images in a tile store


def holds_tiles(path: Path) -> bool:
    """Return whether a store has tiles as JPEG.

    Raises
    ------
    StoreError
        The store cannot be read.
    """
    check_self_contained(path)
    try:
        with open_hdf5(path) as file:
            return JPEG in file
    except UNREADABLE as error:
        raise_system_error(error, path)
        raise StoreError(
            f"{path} is not a readable HDF5 file: {error}. Delete it and rerun."
        ) from error


class TileLoader:
    """Loader of the JPEG tiles of many slides, numbered through in the order of the stores.

    Raises
    ------
    DataError
        No store has a tile.
    """

    def __init__(self, paths: list[Path], device: torch.device, threads: int) -> None:
        self.device = device
        self._pool, self._prefetcher = ThreadPoolExecutor(threads), ThreadPoolExecutor(1)
        digest, counts = hashlib.sha256(), []
        for path in paths:
            with open_hdf5(path) as file:
                counts.append(len(file[JPEG]))
                digest.update(path.stem.encode() + file["coords"][:].tobytes())
        self.paths, self.ends, self.sha256 = paths, np.cumsum(counts), digest.hexdigest()
        self._open = lru_cache(MAX_OPEN)(open_hdf5)
        if not sum(counts):
            raise DataError(
                f"None of the {len(paths)} tile stores has a tile, first {paths[0]}. Its "
                "attributes `status` and `reason` have the cause; fix the slides, or `tiles:` of "
                "the dataset's card."
            )
        self.where = f"{self.ends[-1]:,} tiles of {len(paths):,} slides, decoded ahead"

    def _place(self, row: int) -> tuple[Path, int]:
        at = int(np.searchsorted(self.ends, row, side="right"))
        return self.paths[at], row - (int(self.ends[at - 1]) if at else 0)

    def _decoded(self, row: int) -> Tensor:
        path, at = self._place(row)
        return decode_jpeg(torch.from_numpy(self._open(path)[JPEG][at]), ImageReadMode.RGB)

    def take(self, rows: Tensor) -> Tensor:
        """Return the tiles of these rows (n,), (n, side, side, 3) uint8 on the device.

        Raises
        ------
        StoreError
            A tile is not a JPEG, or tiles differ in size.
        """
        which = rows.tolist()
        try:
            # on the CPU: the decoder of a GPU writes on its own stream, which nothing waits for
            stacked = torch.stack(list(self._pool.map(self._decoded, which)))
        except (RuntimeError, *UNREADABLE) as error:
            stores = sorted({self._place(row)[0].name for row in which})
            for path in sorted({self._place(row)[0] for row in which}):
                raise_system_error(error, path)
            raise StoreError(
                f"A tile of {', '.join(stores[:5])} cannot be read ({error}). Delete these stores "
                "and rerun."
            ) from error
        return to_device(stacked, self.device).permute(0, 2, 3, 1)

    def batches(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the tiles of each row of `rows` (steps, batch), prefetching two batches."""
        yield from prefetch(self.take, rows, self._prefetcher, depth=2)


def training_slides(paths: list[Path], slides: list[Path], split: Path) -> list[Path]:
    """Return the stores of slides whose patient has the role `train`.

    Parameters
    ----------
    slides
        At most one: the table of the cohort with columns FILENAME and PATIENT.

    Raises
    ------
    SplitError
        The table is missing.
    """
    if not slides:
        raise SplitError(
            f"{split} has patients, and the table of their slides is missing. Give the cohort's "
            "table of slides (FILENAME, PATIENT) as `cells`."
        )
    table, roles = (
        pd.read_csv(path, dtype=str, keep_default_na=False) for path in (slides[0], split)
    )
    patients = {split_qualified(name)[1] for name in roles.loc[roles["role"] == "train", "id"]}
    names = set(table.loc[table["PATIENT"].isin(patients), "FILENAME"].map(slide_name))
    return [path for path in paths if path.stem in names]
