"""Patch store with one patch per cell: write, resume and read it."""

import hashlib
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from cryotome.core import step_versions
from cryotome.core.cards import Card
from cryotome.core.errors import DataError, StoreError
from cryotome.core.files import sha256
from cryotome.core.store import PATCHES, VERSION, open_hdf5, provenance, read_ids, read_rows
from cryotome.data.cells import load_cells
from cryotome.data.image_files import find_image
from cryotome.data.images import OpenImage, crash_error, microns_per_pixel, open_image
from cryotome.data.pixel_size import check_resolution
from cryotome.data.windows import cut_patch
from cryotome.runtime import ledger
from cryotome.runtime.child_process import Run, run_in_process, worker_processes
from cryotome.runtime.resume import ResumableStore, resumable_store
from cryotome.runtime.worker_lock import STORE
from cryotome.study.geometry import stored_side

CELLS_PER_WRITE = 64  # patches held before they are written
MEASURED = 64  # images whose µm/px are read for the provenance


def patch_scale(image: OpenImage, path: Path, card: Card) -> float:
    """Return level-0 px per patch px for an image and a dataset's card.

    Raises
    ------
    CardError
        µm/px are needed, and neither the image nor the card gives them.
    UnfitError
        The image's pixels are not square, or its µm/px contradict the card's.
    """
    resolution, rule = card["patch"]["resolution"], card.get("mpp")
    overrides = card.get("mpp_overrides_file")
    if resolution == "native":
        check_resolution((image.mpp, image.aspect), path, rule, overrides)
        return 1.0
    return float(resolution / microns_per_pixel(image, path, rule, overrides=overrides))


def cell_centres(cells: pd.DataFrame, image: OpenImage, card: Card) -> list[tuple[float, float]]:
    """Return the centres of the cells of one image, level-0 px of that image."""
    if card["reader"] == "class_folders":  # the image is a crop around its one cell
        return [(image.size[0] / 2, image.size[1] / 2)] * len(cells)
    return list(zip(cells["x"], cells["y"], strict=True))


def cut_image(cells: pd.DataFrame, path: Path, card: Card) -> Iterator[np.ndarray]:
    """Open the image of these cells once and yield their patches in order."""
    image = open_image(path)
    scale = patch_scale(image, path, card)
    for x, y in cell_centres(cells, image, card):
        yield cut_patch(
            image, x, y, side=card["patch"]["side"], scale=scale, border=card["patch"]["border"]
        )


def _stamp(path: Path) -> str:
    """Identify the version of an image file: size and time of change."""
    about = path.stat()
    return f"{about.st_size}-{about.st_mtime_ns}"


def _cut_into(
    store: ResumableStore, cells: pd.DataFrame, folder: Path, card: Card, bar: tqdm, run: Run
) -> None:
    """Cut the cells of one image that the store does not hold yet."""
    path = find_image(folder, cells["image"].iloc[0])
    stamp = _stamp(path) if path.exists() else ""
    parts = [
        cells[first : first + CELLS_PER_WRITE] for first in range(0, len(cells), CELLS_PER_WRITE)
    ]
    waiting = [part for part in parts if not store.holds(part.index[0], len(part), stamp)]
    with bar.get_lock():
        bar.update(len(cells) - sum(map(len, waiting)))
    if not waiting:
        return
    patches = run(cut_image, pd.concat(waiting), path, card)
    try:
        for part in waiting:
            store.put(part.index[0], np.stack(list(islice(patches, len(part)))), stamp)
            with bar.get_lock():
                bar.update(len(part))
        next(patches, None)  # release the worker process
    except ChildProcessError as error:
        raise crash_error(path, error) from error


def write_patches(
    store: Path,
    cells_csv: Path,
    folder: Path,
    card: Card,
    *,
    dataset: str,
    broken: str,
    partial: Path,
    threads: int,
) -> None:
    """Cut every cell of a dataset into one HDF5 file, in parallel over images.

    The file holds `patch` (n, stored, stored, 3) uint8, contiguous, and `id` (n,), and
    carries its provenance as attributes. It appears under its name only when complete; an
    interrupted attempt is resumed from `partial`.

    Parameters
    ----------
    broken
        What to do with images that cannot be cut: `refuse`, or `drop`, which leaves their
        patches black and lists them in the provenance, for the audit to exclude the cells.

    Raises
    ------
    DataError
        Images are missing or broken, or their resolution is needed and unknown; each is
        named, after all others have been cut.
    """
    cells = load_cells(cells_csv).sort_values("image", kind="stable", ignore_index=True)
    side = stored_side(card["patch"]["side"])
    about = _provenance(card, dataset, cells_csv)
    begun = resumable_store(
        partial,
        "patch",
        shape=(len(cells), side, side, 3),
        dtype="u1",
        ids=cells["id"].to_numpy(),
        passport=about | {"mpp": card.get("mpp")},
    )
    with begun as grown:
        start, due = perf_counter(), len(cells) - grown.finished
        lost = _cut_all(grown, cells, folder, card, dataset=dataset, threads=threads)
        ledger.report_throughput(patches=due, seconds=perf_counter() - start)
        if len(lost) == cells["image"].nunique() or (lost and broken != "drop"):
            raise DataError(_broken_images(lost, dataset))
        if lost:
            print(_broken_images(lost, dataset), file=sys.stderr)
        for first in cells.index[cells["image"].isin(lost)]:
            grown.put(first, np.zeros((1, side, side, 3)))
        content = {"broken": json.dumps(lost), "patches_sha256": _content_hash(partial / STORE)}
        whole = cells["image"][~cells["image"].isin(lost)]
        content["mpp"] = json.dumps(mpp_range(whole.unique(), folder, card))
        grown.finish(store, about | content)


def mpp_range(images: np.ndarray, folder: Path, card: Card) -> list[float] | None:
    """Return the smallest and largest µm/px of the patches of some images, None if unknown.

    Of more than 64 images a regular sample is opened.
    """
    resolution = card["patch"]["resolution"]
    if resolution != "native":
        return [float(resolution)] * 2
    found, rule = [], card.get("mpp")
    overrides = card.get("mpp_overrides_file")
    for name in images[:: -(-len(images) // MEASURED)]:
        path = find_image(folder, str(name))
        image = open_image(path)
        if rule is None and not image.mpp:
            return None
        found.append(round(microns_per_pixel(image, path, rule, overrides=overrides), 4))
    return [min(found), max(found)]


def _provenance(card: Card, dataset: str, cells_csv: Path) -> dict[str, Any]:
    return {
        "format": PATCHES,
        "version": VERSION,
        "recipe": step_versions.PATCHES,
        "dataset": dataset,
        "seen": card["patch"]["side"],
        "patch": json.dumps(card["patch"], sort_keys=True),
        "cells_sha256": sha256(cells_csv),
        "versions": json.dumps({name: version(name) for name in ("openslide-bin", "pillow")}),
    }


def _cut_all(
    store: ResumableStore,
    cells: pd.DataFrame,
    folder: Path,
    card: Card,
    *,
    dataset: str,
    threads: int,
) -> dict[str, str]:
    """Cut image after image; return those that failed, with the reason.

    If an earlier attempt was killed, an image may have crashed it: images are then read in child
    processes, which costs a few seconds and names the image. Half as many run at once, because
    memory may have run out.
    """
    groups = {str(name): part for name, part in cells.groupby("image", sort=False)}
    bar = tqdm(total=len(cells), desc=f"cut {dataset}", unit="patch", mininterval=5)

    def cut(part: pd.DataFrame) -> str:
        try:
            _cut_into(store, part, folder, card, bar, run)
        except DataError as error:
            return str(error)
        return ""

    with ExitStack() as stack:
        stack.enter_context(bar)
        run = (
            stack.enter_context(worker_processes(max(1, threads // 2)))
            if store.crashed
            else run_in_process
        )
        pool = stack.enter_context(ThreadPoolExecutor(threads))
        reasons = dict(zip(groups, pool.map(cut, groups.values()), strict=True))
    return {name: why for name, why in reasons.items() if why}


def _broken_images(lost: dict[str, str], dataset: str) -> str:
    reasons = "\n".join(f"  {why}" for why in list(lost.values())[:20])
    more = f"\n  ... and {len(lost) - 20} more" if len(lost) > 20 else ""
    return (
        f"{len(lost)} images of {dataset!r} gave no patches; all others are cut and kept:\n"
        f"{reasons}{more}\nFix them and rerun, or leave their cells out with "
        "`audit: {broken: drop}` in the dataset's card."
    )


def _content_hash(store: Path) -> str:
    digest = hashlib.sha256()
    with open_hdf5(store) as file:
        for first in range(0, len(file["patch"]), 1024):
            digest.update(file["patch"][first : first + 1024].tobytes())
    return digest.hexdigest()


def read_patches(path: Path, *, cells: Path) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read a patch store whole, margins included.

    Returns
    -------
    patches : (n, stored, stored, 3) uint8
    ids : (n,) int
    provenance
        `seen` is the side of the network's window, px.

    Raises
    ------
    StoreError
        The store was cut from another table of cells, or is damaged.
    """
    stamps = provenance(path, PATCHES)
    if stamps["cells_sha256"] != sha256(cells):
        raise StoreError(f"{path} was cut from another {cells}. Delete it and rerun.")
    return read_rows(path, "patch"), read_ids(path), stamps


def patch_view(path: Path, rows: dict[str, list[int]]) -> dict[str, np.ndarray]:
    """Read the patches of some cells without margin, given by id.

    Returns
    -------
    name to (n, side, side, 3) uint8
    """
    seen = provenance(path, PATCHES)["seen"]
    place = {int(id_): row for row, id_ in enumerate(read_ids(path))}

    def one(id_: int) -> np.ndarray:
        whole = read_rows(path, "patch", slice(place[id_], place[id_] + 1))[0]
        edge = (len(whole) - seen) // 2
        return whole[edge : edge + seen, edge : edge + seen]

    return {name: np.stack([one(id_) for id_ in ids]) for name, ids in rows.items()}
