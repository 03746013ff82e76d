"""Checks of a table of cells: counts, positions, names, and sizes of images."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.annotations.formats import READERS, READERS_WITH_SIZES
from cryotome.data.image_files import find_image
from cryotome.data.images import image_size
from cryotome.data.names import filename_problem

MAX_NAMED = 20  # absent images that a message lists


def check_cell_counts(cells: pd.DataFrame, expect: Card, name: str) -> None:
    """Check the numbers of images and cells against the card.

    Raises
    ------
    DataError
        They differ.
    """
    images = cells["image"].nunique()
    found = {
        domain: np.bincount(part["label"], minlength=cells["label"].max() + 1).tolist()
        for domain, part in cells.groupby("domain")
    }
    wrong = [
        f"{domain} has {found.get(domain, [])} cells (by class, in label order), not {counts}"
        for domain, counts in expect["cells"].items()
        if found.get(domain, []) != counts
    ]
    if images != expect["images"]:
        wrong.insert(0, f"{images} images instead of {expect['images']}")
    if wrong:
        raise DataError(
            f"Dataset {name!r} is not what its card expects: {'; '.join(wrong)}. Check that the "
            f"annotation file is the right one, or correct `expect:` in the card."
        )


def check_positions(cells: pd.DataFrame, name: str) -> None:
    """Raise DataError if a cell has no position, image or slide."""
    named = cells[["image", "slide"]].replace("", np.nan).notna().all(axis=1)
    placed = np.isfinite(cells[["x", "y"]].to_numpy(dtype=float)).all(axis=1)
    wrong = ~(named.to_numpy() & placed)
    if wrong.any():
        first = cells[wrong].iloc[0]
        raise DataError(
            f"Dataset {name!r}: {wrong.sum()} cells have no position, image or slide, first "
            f"the one on image {first['image']!r}, slide {first['slide']!r} at ({first['x']}, "
            f"{first['y']}). Complete the annotation file."
        )


def check_image_sizes(cells: pd.DataFrame, folder: Path, name: str) -> None:
    """Check the image sizes in the annotations against the files that are present.

    Parameters
    ----------
    cells
        Columns `image`, and `width` and `height`, px; 0 or empty where the annotations give
        none.
    folder
        Folder of the images.

    Raises
    ------
    DataError
        An image has another size.
    """
    if not {"width", "height"} <= set(cells):
        return
    sizes = cells.set_index("image")[["width", "height"]]
    sizes = sizes[~sizes.index.duplicated()].astype(str).apply(pd.to_numeric, errors="coerce")
    sizes = sizes[(sizes > 0).all(axis=1) & (sizes < np.inf).all(axis=1)]
    paths = [find_image(folder, str(image)) for image in sizes.index]
    rows = zip(paths, map(image_size, paths), sizes.to_numpy().tolist(), strict=True)
    held = [(path, size, said) for path, size, said in rows if size]
    wrong = [(path, size, said) for path, size, said in held if list(size) != said]
    if wrong:
        path, size, said = wrong[0]
        raise DataError(
            f"Dataset {name!r}: {len(wrong)} images differ in size from the annotations, "
            f"first {path}: {size[0]} x {size[1]} px, and {said[0]:g} x {said[1]:g} px in the "
            "annotations. Their positions may be of another level, or of another image of that "
            "name. Put the right images there, or correct positions and sizes."
        )
    if len(sizes):
        print(f"{name}: sizes of {len(held)} of {len(sizes)} images compared", file=sys.stderr)


def check_late_images(annotations: list[Path], images: Path, card: Card, name: str) -> None:
    """Check image sizes again, for images that arrived after their cells were read.

    Parameters
    ----------
    annotations
        The annotation file, if there is one.

    Raises
    ------
    DataError
        An image differs in size from the annotations.
    """
    if card["reader"] in READERS_WITH_SIZES:
        check_image_sizes(READERS[card["reader"]](annotations[0], images, card), images, name)


def check_cell_names(cells: pd.DataFrame, path: Path | None, name: str) -> None:
    """Raise DataError if a name of an image or slide cannot be used."""
    for column in ("image", "slide"):
        for value in cells[column].unique():
            odd = filename_problem(value)
            if odd:
                raise DataError(
                    f"Dataset {name!r}, {path or 'file names'}: the {column} {value!r:.300} cannot "
                    f"be used: {odd}. Rename the file, and correct the annotations."
                )


def report_absent_images(names: Iterable[str], images: Path) -> None:
    """Print which images are missing in their folder, if it exists, before patches are cut."""
    if not images.is_dir():
        return
    names = list(names)
    absent = [name for name in names if not find_image(images, name).exists()]
    if absent:
        print(
            f"{images}: {len(absent)} of {len(names)} images with cells are not there, first "
            f"{', '.join(absent[:MAX_NAMED])}",
            file=sys.stderr,
        )
