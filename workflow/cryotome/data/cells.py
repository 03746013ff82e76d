"""Labelled cells of one dataset: domains, counts, ids."""

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError, raise_system_error
from cryotome.data.annotations.formats import OF_IMAGES, READERS
from cryotome.data.file_names import label_of, number, same_spelling
from cryotome.data.images import filename_problem, find_image, size_of
from cryotome.study.statistical_unit import FEW, WAY_OUT, is_unknown

COLUMNS = ["id", "image", "slide", "x", "y", "domain", "label", "source_row"]
NAMED = 20  # absent images that are named


def load_cells(path: Path) -> pd.DataFrame:
    """Read a table of cells that `read_cells` made; names of images and slides stay text.

    Raises
    ------
    DataError
        The file is no such table.
    """
    text = dict.fromkeys(("image", "slide", "domain"), str)
    try:
        table = pd.read_csv(path, dtype=text, keep_default_na=False)
        if not pd.api.types.is_integer_dtype(table["id"]):
            raise ValueError("ids that are no whole numbers")
    except (ValueError, KeyError, OverflowError) as error:
        raise_system_error(error, path)
        raise DataError(f"{path} is no table of cells ({error}). Delete it and rerun.") from error
    return table


def _fits(cells: pd.DataFrame, name: str, where: Card, key: str = "domains") -> pd.Series:
    fits = pd.Series(True, index=cells.index)
    for said, wanted in where.items():
        column = same_spelling(said)
        if column not in cells:
            giver = "the reader gives" if key == "domains" else "the table of cells has"
            raise DataError(
                f"{key[:-1].capitalize()} {name!r} asks for column {column!r}; {giver} "
                f"{sorted(cells.columns)}. Correct `{key}:` in the dataset's card."
            )
        if isinstance(wanted, list):
            fits &= pd.to_numeric(cells[column], errors="coerce").between(*wanted)
        else:
            found = cells[column].astype(str)
            means = {value: label_of(value) for value in found.unique()}
            fits &= found.map(means) == label_of(wanted)
    return fits


def assign_domains(cells: pd.DataFrame, card: Card) -> pd.Series:
    """Return the domain of each cell, by the conditions in the card.

    Raises
    ------
    DataError
        A cell fits no domain, or more than one.
    """
    if "number" not in cells:
        cells = cells.assign(number=cells["image"].map(number))
    fits = pd.DataFrame(
        {domain: _fits(cells, domain, entry["where"]) for domain, entry in card["domains"].items()}
    )
    wrong = fits.sum(axis=1) != 1
    if wrong.any():
        first = cells[wrong].iloc[0]
        raise DataError(
            f"{wrong.sum()} cells fit no domain or several, first the one in {first['image']} at "
            f"({first['x']:g}, {first['y']:g}). Correct `domains:` in the dataset's card; put text "
            "such as 01 in quotes there."
        )
    return fits.idxmax(axis=1)


def assign_scanners(cells: pd.DataFrame, card: Card) -> pd.Series:
    """Return the scanner of each cell, by the card's `scanners`; empty where it names none.

    Parameters
    ----------
    cells
        A table of cells; `number` is the first number in an image's name.

    Raises
    ------
    DataError
        A cell fits several scanners, or a condition asks for a column that there is not.
    """
    cells = cells.assign(number=cells["image"].map(number))
    found = pd.Series("", index=cells.index)
    for scanner, entry in card.get("scanners", {}).items():
        said = entry["where"]
        ways = said if isinstance(said, list) else [said]
        fits = np.any([_fits(cells, scanner, where, "scanners") for where in ways], axis=0)
        if (fits & (found != "")).any():
            twice = cells[fits & (found != "")].iloc[0]
            raise DataError(
                f"Image {twice['image']} fits scanner {scanner!r} and another. Correct "
                "`scanners:` in the dataset's card."
            )
        found[fits] = scanner
    return found


def check_counts(cells: pd.DataFrame, expect: Card, name: str) -> None:
    """Stop a wrong reading.

    Raises
    ------
    DataError
        Images, or cells of a domain and class, are not as many as the card expects.
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


def _check_places(cells: pd.DataFrame, name: str) -> None:
    named = cells[["image", "slide"]].replace("", np.nan).notna().all(axis=1)
    placed = np.isfinite(cells[["x", "y"]].to_numpy(dtype=float)).all(axis=1)
    wrong = ~(named.to_numpy() & placed)
    if wrong.any():
        first = cells[wrong].iloc[0]
        raise DataError(
            f"Dataset {name!r}: {wrong.sum()} cells lack a position, an image or a slide, first "
            f"the one on image {first['image']!r}, slide {first['slide']!r} at ({first['x']}, "
            f"{first['y']}). Complete the annotation file."
        )


def check_sizes(cells: pd.DataFrame, folder: Path, name: str) -> None:
    """Hold the sizes of images that annotations say against the files that are at hand.

    Parameters
    ----------
    cells
        Columns `image`, and `width` and `height`, px; 0 or nothing where the
        annotations do not say.
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
    rows = zip(paths, map(size_of, paths), sizes.to_numpy().tolist(), strict=True)
    held = [(path, size, said) for path, size, said in rows if size]
    wrong = [(path, size, said) for path, size, said in held if list(size) != said]
    if wrong:
        path, size, said = wrong[0]
        raise DataError(
            f"Dataset {name!r}: {len(wrong)} images are not of the size that the annotations say, "
            f"first {path}: {size[0]} x {size[1]} px, and {said[0]:g} x {said[1]:g} px in the "
            "annotations. Their positions may be of another level, or of another image of that "
            "name. Put the right images there, or correct positions and sizes."
        )
    if len(sizes):
        print(f"{name}: sizes of {len(held)} of {len(sizes)} images compared", file=sys.stderr)


def check_images(annotations: list[Path], images: Path, card: Card, name: str) -> None:
    """Hold images that came after their cells were read against the annotations, once more.

    Parameters
    ----------
    annotations
        The annotation file, or none.

    Raises
    ------
    DataError
        An image is not of the size that the annotations say.
    """
    if card["reader"] in OF_IMAGES:
        check_sizes(READERS[card["reader"]](annotations[0], images, card), images, name)


def _check_names(cells: pd.DataFrame, path: Path | None, name: str) -> None:
    for column in ("image", "slide"):
        for value in cells[column].unique():
            odd = filename_problem(value)
            if odd:
                raise DataError(
                    f"Dataset {name!r}, {path or 'file names'}: the {column} {value!r:.300} cannot "
                    f"be used: {odd}. Rename the file, and correct the annotations."
                )


def _with_slides(cells: pd.DataFrame, card: Card, path: Path | None, name: str) -> pd.DataFrame:
    """Give every cell a slide, or its image in place of one where the card says so.

    An image whose slide has no other name stands for a slide where it holds several cells; an
    image of one cell may be one of many crops of a slide, and the card must say what it is.

    Raises
    ------
    DataError
        Crops have no slides and the card does not say so, or says so and they have.
    """
    image = cells["image"]
    given = cells["slide"] if "slide" in cells else pd.Series("", index=cells.index)
    paths = image.astype(str).map(Path)
    same = (given == image) | (given == paths.map(lambda p: p.name))
    named = not (given.isin(["", None]) | same | (given == paths.map(lambda p: p.stem))).all()
    if named and is_unknown(card):
        raise DataError(
            f"Dataset {name!r}: {path} names slides, first {given[given != ''].iloc[0]!r}, and the "
            "card says `slides: unknown`. Take one of the two out."
        )
    folders = card["reader"] == "class_folders"
    crops = folders or (len(cells) > FEW and not image.duplicated().any())
    if crops and not named and "slides" not in card:
        raise DataError(
            f"Dataset {name!r}: {image.nunique()} images of one cell each, and "
            f"their slides are not named in {path or 'any file'}. {WAY_OUT}"
        )
    unnamed = is_unknown(card) or (given == "").all()
    return cells.assign(slide=image) if unnamed else cells


def read_cells(annotations: Path | None, images: Path, card: Card, name: str) -> pd.DataFrame:
    """Read, label and check the cells of one dataset.

    Returns
    -------
    data frame with columns id, image, slide, x, y, domain, label, source_row
        Sorted by image; x, y is the centre in level-0 px; labels are the card's classes
        from 0 on; ids count from 0; source_row counts the cells from 0 in the order of
        the annotation file. Where the card says `slides: unknown`, the name of the image
        stands in `slide`.
    """
    try:
        found = READERS[card["reader"]](annotations, images, card)  # type: ignore[arg-type]
        cells = _checked(found, annotations, card, name)
        if card["reader"] in OF_IMAGES:
            check_sizes(found, images, name)
    except DataError as error:
        if annotations is None or annotations.name in str(error):
            raise
        raise DataError(f"{error} It was read from {annotations}.") from error
    _report_absent(cells["image"].unique(), images)
    return cells


def _report_absent(names: Iterable[str], images: Path) -> None:
    """Name images that are not in their folder, if that is at hand, before patches are cut."""
    if not images.is_dir():
        return
    names = list(names)
    absent = [name for name in names if not find_image(images, name).exists()]
    if absent:
        print(
            f"{images}: {len(absent)} of {len(names)} images with cells are not there, first "
            f"{', '.join(absent[:NAMED])}",
            file=sys.stderr,
        )


def _checked(cells: pd.DataFrame, annotations: Path | None, card: Card, name: str) -> pd.DataFrame:
    cells = _with_slides(cells, card, annotations, name)
    _check_places(cells, name)
    _check_names(cells, annotations, name)
    cells = cells.assign(**{key: cells[key].map(same_spelling) for key in ("image", "slide")})
    labels = [entry["name"] for entry in card["classes"]]
    label = cells["class"].map(labels.index).astype(int)
    cells = cells.assign(domain=assign_domains(cells, card), label=label)
    empty = [name for place, name in enumerate(labels) if not (cells["label"] == place).any()]
    if empty:
        raise DataError(
            f"Dataset {name!r} has {len(cells)} cells and none of class {empty[0]!r}. Correct "
            "`is:` of that class in the dataset's card, or the annotation file."
        )
    if "expect" in card:
        check_counts(cells, card["expect"], name)
    if card.get("permute_labels"):
        cells["label"] = np.random.default_rng(0).permutation(cells["label"].to_numpy())
    cells = cells.assign(source_row=np.arange(len(cells)))
    cells = cells.sort_values("image", kind="stable", ignore_index=True)
    return cells.assign(id=cells.index)[COLUMNS]
