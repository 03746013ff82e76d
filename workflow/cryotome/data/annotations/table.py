"""CSV of points with labels, one cell a line; and CSV files in general."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.annotations.class_names import match_classes, name_labels
from cryotome.data.file_signatures import describe_start
from cryotome.data.names import to_nfc
from cryotome.data.raters import add_votes
from cryotome.data.reading_report import report_by_reason


def read_cell_table(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read a CSV with the columns x, y, label, filename, and optionally slide and others.

    x, y is the centre in level-0 px. The card's `domains` may use any column, and its `raters` name
    columns with the same values as `label`. With `unlabelled` in the card the column label is not
    needed, and not read.

    Raises
    ------
    DataError
        A column is missing, a position is not a number, a filename is empty, or a label or a vote
        is not in the card.
    """
    unlabelled = card.get("unlabelled", False)
    needed = ["x", "y", *(["label"] * (not unlabelled)), "filename"]
    cells = read_csv(annotations, needed, text=True)
    places = cells[["x", "y"]].apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = ~np.isfinite(places).all(axis=1) | (cells["filename"] == "")
    if wrong.any():
        line = cells[wrong].iloc[0]
        raise DataError(
            f"{annotations}, line {line.name}: x {line['x']!r}, y {line['y']!r}, filename "
            f"{line['filename']!r} ({wrong.sum()} such lines). A cell needs two numbers, level-0 "
            "px, and the name of its image."
        )
    cells = cells.assign(x=places["x"], y=places["y"], image=cells["filename"])
    if unlabelled:
        return cells.assign(**{"class": ""}).reset_index(drop=True)
    classes = match_classes(card, [], annotations, "the column `label`")
    named = name_labels(cells["label"], classes, annotations, "line")
    cells = cells.assign(**{"class": named})
    read = cells["class"].notna()
    report_by_reason(annotations, ("of label " + cells["label"] + " (`ignore`)").where(~read, ""))
    return add_votes(cells[read], card, classes.names, annotations).reset_index(drop=True)


def read_csv(path: Path, needed: list[str], *, text: bool = False) -> pd.DataFrame:
    """Read a CSV that has these columns, indexed by the line in the file.

    Names stay text, and with `text` all columns do. Empty lines are left out. Column names may
    be in either Unicode form, and are returned in NFC.

    Raises
    ------
    DataError
        The file is not a CSV in UTF-8, a column is missing, or two columns have the same name.
    """
    kinds = str if text else dict.fromkeys([*needed, "slide", "domain"], str)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a line with too many fields
            table = pd.read_csv(
                path,
                dtype=kinds,  # type: ignore[arg-type]
                encoding="utf-8-sig",
                keep_default_na=False,
                index_col=False,
                skip_blank_lines=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise DataError(
            f"{path} is no CSV ({error}); it begins with {describe_start(path)}."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8 ({error}); it begins with {describe_start(path)}. Save "
            "it as CSV in UTF-8."
        ) from error
    table.columns = nfc_columns(table, path)
    absent = sorted({*map(to_nfc, needed)} - {*table})
    if absent:
        raise DataError(
            f"{path} has the columns {list(table.columns)} and is missing {absent}; it begins with "
            f"{describe_start(path)}. The first line must name {needed}, with commas between."
        )
    table.index += 2  # the header is line 1
    return table[(table != "").any(axis=1)]


def nfc_columns(table: pd.DataFrame, path: Path) -> list[str]:
    """Return the column names of a table in NFC, as names in cards are.

    Raises
    ------
    DataError
        Two differ only in Unicode form.
    """
    names = [to_nfc(str(name)) for name in table]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(
            f"{path} has the column {twice[0]!r} twice, in two forms of Unicode. Remove one."
        )
    return names
