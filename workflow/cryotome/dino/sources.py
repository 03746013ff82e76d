"""The images that are learned from: a patch store, or the tiles of many slides."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from cryotome.cells import load_cells
from cryotome.dino.order import ahead
from cryotome.errors import DataError, SplitError, StoreError
from cryotome.paths import sha256
from cryotome.stores import PATCHES, UNREADABLE, passport, read_ids, read_rows
from cryotome.supply import Supply, sent

OPEN = 512  # tile stores held open at once
SLAB = 4096  # patches read at once
JPEG = "jpeg"  # the dataset of a tile store that holds images


@dataclass(frozen=True)
class Images:
    """What is learned from.

    Attributes
    ----------
    supply
        Gives batches of (n, side, side, 3) uint8 on the device.
    rows : (n,) int
        Which of its images may be used.
    label : (n,) int or None
        Of these, where they have labels: by them the finetuning is watched, never taught.
    side
        Of an image, px.
    about
        What the images are, for passports.
    """

    supply: "Supply | Tiles"
    rows: np.ndarray
    label: np.ndarray | None
    side: int
    about: dict[str, str]


def read_images(
    stores: list[Path], cells: list[Path], split: list[Path], device: torch.device, threads: int
) -> Images:
    """Read a patch store, or get ready to read tile stores, one a slide.

    Parameters
    ----------
    cells
        None or one: the table of cells of the patch store, or of the slides of a cohort with
        columns FILENAME and PATIENT.
    split
        None or one: images of the role `train` alone are used.

    Raises
    ------
    DataError
        No store has an image.
    SplitError
        The split leaves none.
    StoreError
        A store is damaged, or was made from other cells.
    """
    kinds = [_holds_tiles(path) for path in stores]
    if all(kinds) and kinds:
        return _read_tiles(stores, cells, split, device, threads)
    if len(stores) != 1:
        raise StoreError(
            f"{len(stores)} stores are given, of which {kinds.count(False)} hold no tiles, first "
            f"{stores[kinds.index(False)] if kinds else 'none'}. Give one patch store, or tile "
            "stores of the tiling that a dataset's card calls `finetune`."
        )
    return _read_patches(stores[0], cells, split, device)


def _holds_tiles(path: Path) -> bool:
    try:
        with h5py.File(path) as file:
            return JPEG in file
    except UNREADABLE as error:
        raise StoreError(
            f"{path} is not a readable HDF5 file: {error}. Delete it and rerun."
        ) from error


def _read_patches(path: Path, cells: list[Path], split: list[Path], device: torch.device) -> Images:
    stamps, ids = passport(path, PATCHES), read_ids(path)
    seen, label = stamps["seen"], None
    pixels = torch.empty(len(ids), seen, seen, 3, dtype=torch.uint8)
    for first in range(0, len(ids), SLAB):
        some = torch.from_numpy(read_rows(path, "patch", slice(first, first + SLAB)))
        edge = (some.shape[1] - seen) // 2
        pixels[first : first + SLAB] = some[:, edge : edge + seen, edge : edge + seen]
    if cells:
        if stamps["cells_sha256"] != sha256(cells[0]):
            raise StoreError(f"{path} was cut from another {cells[0]}. Delete it and rerun.")
        label = load_cells(cells[0]).set_index("id")["label"].loc[ids].to_numpy()
    rows = np.arange(len(ids))
    if split:
        rows = np.flatnonzero(np.isin(ids, _trained_cells(split[0], stamps["dataset"])))
        _check_left(rows, split[0])
    about = {"patches_sha256": stamps["patches_sha256"], "dataset": stamps["dataset"]}
    label = label[rows] if label is not None else None
    return Images(Supply(pixels, device), rows, label, seen, about)


def _trained_cells(split: Path, dataset: str) -> np.ndarray:
    """Return the ids of training cells; a split of several datasets says `dataset:id`."""
    ids = pd.read_csv(split, dtype=str).query("role == 'train'")["id"]
    of, _, number = (ids.str.rpartition(":")[part] for part in range(3))
    return number[of.isin(["", dataset])].astype(int).to_numpy()


def _check_left(rows: np.ndarray, split: Path) -> None:
    if not len(rows):
        raise SplitError(
            f"{split} has no image of these stores in the role 'train'. Give the split of this "
            "dataset, or write `split: all` in the finetune card."
        )


class Tiles:
    """JPEG tiles of many slides, decoded ahead of the step that learns from them."""

    def __init__(self, paths: list[Path], device: torch.device, threads: int) -> None:
        self.device = device
        self._pool, self._next = ThreadPoolExecutor(threads), ThreadPoolExecutor(1)
        digest, counts = hashlib.sha256(), []
        for path in paths:
            with h5py.File(path) as file:
                counts.append(len(file[JPEG]))
                digest.update(path.stem.encode() + file["coords"][:].tobytes())
        self.paths, self.ends, self.sha256 = paths, np.cumsum(counts), digest.hexdigest()
        self._open = lru_cache(OPEN)(h5py.File)
        if not sum(counts):
            raise DataError(
                f"None of the {len(paths)} tile stores has a tile, first {paths[0]}. Its attributes "
                "`status` and `reason` say why; mend the slides or the dataset's `tiles:`."
            )
        self.where = f"{self.ends[-1]:,} tiles of {len(paths):,} slides, decoded ahead"

    def _place(self, row: int) -> tuple[Path, int]:
        at = int(np.searchsorted(self.ends, row, side="right"))
        return self.paths[at], row - (int(self.ends[at - 1]) if at else 0)

    def _bytes(self, row: int) -> Tensor:
        path, at = self._place(row)
        return torch.from_numpy(self._open(path)[JPEG][at])

    def _decoded(self, row: int) -> Tensor:
        return decode_jpeg(self._bytes(row), ImageReadMode.RGB)

    def take(self, rows: Tensor) -> Tensor:
        """Return the tiles of these rows (n,), (n, side, side, 3) uint8 on the device.

        Raises
        ------
        StoreError
            A tile is no JPEG, or not all have one size.
        """
        which, on_gpu = rows.tolist(), self.device.type == "cuda"
        try:
            if on_gpu:
                coded = list(self._pool.map(self._bytes, which))
                tiles = decode_jpeg(coded, ImageReadMode.RGB, device=self.device)
            else:
                tiles = list(self._pool.map(self._decoded, which))
            stacked = torch.stack(tiles)
        except (RuntimeError, *UNREADABLE) as error:
            stores = sorted({self._place(row)[0].name for row in which})
            raise StoreError(
                f"A tile of {', '.join(stores[:5])} cannot be read ({error}). Delete these stores "
                "and rerun."
            ) from error
        return sent(stacked, self.device).permute(0, 2, 3, 1)

    def batches(self, rows: Tensor) -> Iterator[Tensor]:
        """Yield the tiles of each row of `rows` (steps, batch), two batches ahead."""
        yield from ahead(self.take, rows, self._next)


def _read_tiles(
    paths: list[Path], cells: list[Path], split: list[Path], device: torch.device, threads: int
) -> Images:
    if split:
        paths = _trained_slides(paths, cells, split[0])
        _check_left(np.array(paths), split[0])
    tiles = Tiles(paths, device, threads)
    side = tiles.take(torch.zeros(1, dtype=torch.int64)).shape[1]
    return Images(tiles, np.arange(tiles.ends[-1]), None, side, {"tiles_sha256": tiles.sha256})


def _trained_slides(paths: list[Path], slides: list[Path], split: Path) -> list[Path]:
    """Return the stores of slides whose patient is in the role `train`."""
    if not slides:
        raise SplitError(
            f"{split} names patients, and no table says which slides are theirs. Give the cohort's "
            "table of slides (FILENAME, PATIENT) as `cells`."
        )
    table = pd.read_csv(slides[0], dtype=str)
    roles = pd.read_csv(split, dtype=str)
    mine = table[table["PATIENT"].isin(roles.loc[roles["role"] == "train", "id"])]["FILENAME"]
    names = set(mine) | {Path(name).stem for name in mine}
    return [path for path in paths if path.stem in names]
