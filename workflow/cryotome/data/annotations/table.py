"""Cells as a CSV of points, and CSV in general."""

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.annotations.class_names import match_classes, name_labels
from cryotome.data.file_kinds import begins
from cryotome.data.file_names import same_spelling
from cryotome.data.reading_report import report_reasons


def read_table(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read a CSV with the columns x, y, label, filename, and perhaps slide, domain and others.

    x, y is the centre in level-0 px. The card's `domains` may ask for any column.

    Raises
    ------
    DataError
        A column is missing, a position is no number, a filename is empty, or a label is
        not one of the card's.
    """
    cells = read_csv(annotations, ["x", "y", "label", "filename"], text=True)
    places = cells[["x", "y"]].apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = ~np.isfinite(places).all(axis=1) | (cells["filename"] == "")
    if wrong.any():
        line = cells[wrong].iloc[0]
        raise DataError(
            f"{annotations}, line {line.name}: x {line['x']!r}, y {line['y']!r}, filename "
            f"{line['filename']!r} ({wrong.sum()} such lines). A cell needs two numbers, level-0 "
            "px, and the name of its image."
        )
    classes = match_classes(card, [], annotations, "the column `label`")
    named = name_labels(cells["label"], classes, annotations, "line")
    cells = cells.assign(x=places["x"], y=places["y"], image=cells["filename"], **{"class": named})
    read = cells["class"].notna()
    report_reasons(annotations, ("of label " + cells["label"] + " (`ignore`)").where(~read, ""))
    return cells[read].reset_index(drop=True)


def read_csv(path: Path, needed: list[str], *, text: bool = False) -> pd.DataFrame:
    """Read a CSV that has these columns, indexed by the line in the file.

    What names cells and images stays text, and with `text` everything. Empty lines are
    left out. Names of columns are returned in NFC, and may be spelt in either form.

    Raises
    ------
    DataError
        The file is no CSV in UTF-8, a column is missing, or two columns have one name.
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
        raise DataError(f"{path} is no CSV ({error}); it begins with {begins(path)}.") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not in UTF-8 ({error}); it begins with {begins(path)}. Save it as CSV in "
            "UTF-8."
        ) from error
    table.columns = spell_columns(table, path)
    lacking = sorted({*map(same_spelling, needed)} - {*table})
    if lacking:
        raise DataError(
            f"{path} has the columns {list(table.columns)} and lacks {lacking}; it begins with "
            f"{begins(path)}. The first line must name {needed}, with commas between."
        )
    table.index += 2  # the header is line 1
    return table[(table != "").any(axis=1)]


def spell_columns(table: pd.DataFrame, path: Path) -> list[str]:
    """Return the names of a table's columns in NFC, in which cards are asked, too.

    Raises
    ------
    DataError
        Two differ only in Unicode's form.
    """
    names = [same_spelling(str(name)) for name in table]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(
            f"{path} has the column {twice[0]!r} twice, in two forms of Unicode. Remove one."
        )
    return names
