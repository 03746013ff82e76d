"""Table of a dataset's labelled cells: read it from annotations, check it, load it."""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError, raise_system_error
from cryotome.data.annotations.formats import READERS, READERS_WITH_SIZES
from cryotome.data.cell_checks import (
    check_cell_counts,
    check_cell_names,
    check_image_sizes,
    check_positions,
    report_absent_images,
)
from cryotome.data.domains import assign_domains
from cryotome.data.names import to_nfc
from cryotome.data.raters import check_majority, vote_columns
from cryotome.study.statistical_unit import FEW, WAY_OUT, is_unknown

UNLABELLED = -1  # the label of every cell of a dataset without labels
COLUMNS = ["id", "image", "slide", "x", "y", "domain", "label", "source_row"]


def load_cells(path: Path) -> pd.DataFrame:
    """Load a table that `read_cells` made; names of images and slides stay text.

    Raises
    ------
    DataError
        The file is not such a table.
    """
    text = dict.fromkeys(("image", "slide", "domain"), str)
    try:
        table = pd.read_csv(path, dtype=text, keep_default_na=False)
        if not pd.api.types.is_integer_dtype(table["id"]):
            raise ValueError("its ids are not integers")
    except (ValueError, KeyError, OverflowError) as error:
        raise_system_error(error, path)
        raise DataError(f"{path} is no table of cells ({error}). Delete it and rerun.") from error
    return table


def _with_slides(cells: pd.DataFrame, card: Card, path: Path | None, name: str) -> pd.DataFrame:
    """Give every cell a slide, or its image as slide if the card has `slides: unknown`.

    An image without a named slide counts as a slide if it holds several cells. An image of one
    cell may be one of many crops of a slide, so the card must state what it is.

    Raises
    ------
    DataError
        Crops have no named slides and the card has no `slides:`, or they have slides and the card
        has `slides: unknown`.
    """
    image = cells["image"]
    given = cells["slide"] if "slide" in cells else pd.Series("", index=cells.index)
    paths = image.astype(str).map(Path)
    same = (given == image) | (given == paths.map(lambda p: p.name))
    named = not (given.isin(["", None]) | same | (given == paths.map(lambda p: p.stem))).all()
    if named and is_unknown(card):
        raise DataError(
            f"Dataset {name!r}: {path} names slides, first {given[given != ''].iloc[0]!r}, and the "
            "card has `slides: unknown`. Remove one of the two."
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
    data frame with columns id, image, slide, x, y, domain, label, source_row, and those of votes
        Sorted by image; x, y is the centre in level-0 px; labels are the card's classes
        from 0 on; ids count from 0; source_row counts the cells from 0 in the order of
        the annotation file. With `slides: unknown` in the card, `slide` is the name of the
        image. With `raters` in the card, each has a column of votes, which are labels, too.
    """
    try:
        found = READERS[card["reader"]](annotations, images, card)  # type: ignore[arg-type]
        cells = _checked(found, annotations, card, name)
        if card["reader"] in READERS_WITH_SIZES:
            check_image_sizes(found, images, name)
    except DataError as error:
        if annotations is None or annotations.name in str(error):
            raise
        raise DataError(f"{error} It was read from {annotations}.") from error
    report_absent_images(cells["image"].unique(), images)
    return cells


def _checked(cells: pd.DataFrame, annotations: Path | None, card: Card, name: str) -> pd.DataFrame:
    cells = _with_slides(cells, card, annotations, name)
    check_positions(cells, name)
    check_cell_names(cells, annotations, name)
    cells = cells.assign(**{key: cells[key].map(to_nfc) for key in ("image", "slide")})
    labels = [entry["name"] for entry in card.get("classes", [])]
    label = cells["class"].map(labels.index).astype(int) if labels else UNLABELLED
    cells = cells.assign(domain=assign_domains(cells, card), label=label)
    empty = [name for place, name in enumerate(labels) if not (cells["label"] == place).any()]
    if empty:
        raise DataError(
            f"Dataset {name!r} has {len(cells)} cells and none of class {empty[0]!r}. Correct "
            "`id:` of that class in the dataset's card, or the annotation file."
        )
    if "expect" in card:
        check_cell_counts(cells, card["expect"], name)
    votes = vote_columns(cells)
    cells = cells.assign(**{column: cells[column].map(labels.index) for column in votes})
    check_majority(cells, name)
    if card.get("permute_labels"):  # a cell's votes move with its label
        order = np.random.default_rng(0).permutation(len(cells))
        cells[["label", *votes]] = cells[["label", *votes]].to_numpy()[order]
    cells = cells.assign(source_row=np.arange(len(cells)))
    cells = cells.sort_values("image", kind="stable", ignore_index=True)
    return cells.assign(id=cells.index)[[*COLUMNS, *votes]]
