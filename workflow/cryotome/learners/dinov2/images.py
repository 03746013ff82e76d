"""Training images of a finetuning: a patch store, or the tiles of many slides."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cryotome.core.errors import SplitError, StoreError
from cryotome.core.files import sha256
from cryotome.core.store import PATCHES, provenance, read_ids, read_rows
from cryotome.data.cells import load_cells
from cryotome.learners.dinov2.tiles import TileLoader, holds_tiles, training_slides
from cryotome.learners.loop.batches import BatchLoader

CHUNK_PATCHES = 4096  # patches read at once


@dataclass(frozen=True)
class TrainingImages:
    """Training images and how to load them.

    Attributes
    ----------
    loader
        Yields batches of (n, side, side, 3) uint8 on the device.
    rows : (n,) int
        Images of the loader that may be used.
    label : (n,) int or None
        Labels of these rows, if any: for evaluations only, never for training.
    side
        Side of an image, px.
    about
        Provenance of the images.
    """

    loader: BatchLoader | TileLoader
    rows: np.ndarray
    label: np.ndarray | None
    side: int
    about: dict[str, str]


def read_images(
    stores: list[Path], cells: list[Path], split: list[Path], device: torch.device, threads: int
) -> TrainingImages:
    """Read a patch store, or open tile stores, one per slide.

    Parameters
    ----------
    cells
        At most one: the table of cells of the patch store, or of the slides of a cohort with
        columns FILENAME and PATIENT.
    split
        At most one: only images of the role `train` are used.

    Raises
    ------
    DataError
        No store has an image.
    SplitError
        The split leaves no image.
    StoreError
        A store is damaged, or was made from other cells.
    """
    kinds = [holds_tiles(path) for path in stores]
    if all(kinds) and kinds:
        return _read_tiles(stores, cells, split, device, threads)
    if len(stores) != 1:
        raise StoreError(
            f"{len(stores)} stores are given, and {kinds.count(False)} of them have no tiles, "
            f"first {stores[kinds.index(False)] if kinds else 'none'}. Give one patch store, or "
            "the tile stores of the tiling `finetune` of a dataset's card."
        )
    return _read_patches(stores[0], cells, split, device)


def _read_patches(
    path: Path, cells: list[Path], split: list[Path], device: torch.device
) -> TrainingImages:
    source, ids = provenance(path, PATCHES), read_ids(path)
    seen, label = source["seen"], None
    pixels = torch.empty(len(ids), seen, seen, 3, dtype=torch.uint8)
    for first in range(0, len(ids), CHUNK_PATCHES):
        some = torch.from_numpy(read_rows(path, "patch", slice(first, first + CHUNK_PATCHES)))
        edge = (some.shape[1] - seen) // 2
        pixels[first : first + CHUNK_PATCHES] = some[:, edge : edge + seen, edge : edge + seen]
    if cells:
        if source["cells_sha256"] != sha256(cells[0]):
            raise StoreError(f"{path} was cut from another {cells[0]}. Delete it and rerun.")
        label = load_cells(cells[0]).set_index("id")["label"].loc[ids].to_numpy()
    rows = np.arange(len(ids))
    if split:
        rows = np.flatnonzero(np.isin(ids, _trained_cells(split[0], source["dataset"])))
        _check_left(rows, split[0])
    about = {"patches_sha256": source["patches_sha256"], "dataset": source["dataset"]}
    label = label[rows] if label is not None else None
    return TrainingImages(BatchLoader(pixels, device), rows, label, seen, about)


def _trained_cells(split: Path, dataset: str) -> np.ndarray:
    """Return the ids of training cells; a split of several datasets has ids `dataset:id`."""
    ids = pd.read_csv(split, dtype=str, keep_default_na=False).query("role == 'train'")["id"]
    owner, _, number = (ids.str.rpartition(":")[column] for column in range(3))
    return number[owner.isin(["", dataset])].astype(int).to_numpy()


def _check_left(rows: np.ndarray, split: Path) -> None:
    if not len(rows):
        raise SplitError(
            f"{split} has no image of these stores in the role 'train'. Give the split of this "
            "dataset, or write `split: all` in the finetuning card."
        )


def _read_tiles(
    paths: list[Path], cells: list[Path], split: list[Path], device: torch.device, threads: int
) -> TrainingImages:
    if split:
        paths = training_slides(paths, cells, split[0])
        _check_left(np.array(paths), split[0])
    tiles = TileLoader(paths, device, threads)
    side = tiles.take(torch.zeros(1, dtype=torch.int64)).shape[1]
    return TrainingImages(
        tiles, np.arange(tiles.ends[-1]), None, side, {"tiles_sha256": tiles.sha256}
    )
