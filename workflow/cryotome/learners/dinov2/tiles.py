"""JPEG tiles of many slides, read at random and decoded ahead of the step."""

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
from cryotome.data.file_names import slide_of
from cryotome.learners.loop.batches import to_device

OPEN = 512  # tile stores held open at once
JPEG = "jpeg"  # the dataset of a tile store that holds images


def holds_tiles(path: Path) -> bool:
    """Whether a store holds tiles as JPEG.

    Raises
    ------
    StoreError
        It cannot be read.
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


class Tiles:
    """JPEG tiles of many slides, decoded ahead of the step that learns from them."""

    def __init__(self, paths: list[Path], device: torch.device, threads: int) -> None:
        self.device = device
        self._pool, self._next = ThreadPoolExecutor(threads), ThreadPoolExecutor(1)
        digest, counts = hashlib.sha256(), []
        for path in paths:
            with open_hdf5(path) as file:
                counts.append(len(file[JPEG]))
                digest.update(path.stem.encode() + file["coords"][:].tobytes())
        self.paths, self.ends, self.sha256 = paths, np.cumsum(counts), digest.hexdigest()
        self._open = lru_cache(OPEN)(open_hdf5)
        if not sum(counts):
            raise DataError(
                f"None of the {len(paths)} tile stores has a tile, first {paths[0]}. Its "
                "attributes `status` and `reason` say why; mend the slides, or `tiles:` of the "
                "dataset's card."
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
            A tile is no JPEG, or not all have one size.
        """
        which = rows.tolist()
        try:
            # on the processor: a GPU's decoder writes on a stream of its own that nothing awaits
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
        """Yield the tiles of each row of `rows` (steps, batch), two batches ahead."""
        yield from prefetch(self.take, rows, self._next, depth=2)


def trained_slides(paths: list[Path], slides: list[Path], split: Path) -> list[Path]:
    """Return the stores of slides whose patient is in the role `train`.

    Parameters
    ----------
    slides
        The cohort's table with columns FILENAME and PATIENT, or none.

    Raises
    ------
    SplitError
        There is none.
    """
    if not slides:
        raise SplitError(
            f"{split} names patients, and no table says which slides are theirs. Give the cohort's "
            "table of slides (FILENAME, PATIENT) as `cells`."
        )
    table, roles = (
        pd.read_csv(path, dtype=str, keep_default_na=False) for path in (slides[0], split)
    )
    trained = {split_qualified(name)[1] for name in roles.loc[roles["role"] == "train", "id"]}
    names = set(table.loc[table["PATIENT"].isin(trained), "FILENAME"].map(slide_of))
    return [path for path in paths if path.stem in names]
