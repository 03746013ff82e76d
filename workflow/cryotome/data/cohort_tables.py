"""Tables of patients and slides, CSV or XLSX, with bounds on what a file may hold."""

import re
import warnings
from functools import reduce
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import pandas as pd

from cryotome.core.errors import DataError
from cryotome.data.annotations.table import read_csv, spell_columns
from cryotome.data.file_kinds import begins
from cryotome.data.file_names import same_spelling, text_of, why_no_wildcard
from cryotome.data.images import filename_problem

# where a row or a cell of a sheet lies, as its XML says it
PLACE = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})(\d{1,9})["']""")


def _check_reach(path: Path) -> None:
    """Refuse an XLSX that fills a memory: one cell far out makes all before it.

    Raises
    ------
    DataError
        It unpacks to too much, or a sheet reaches too far.
    """
    with ZipFile(path) as book:
        size = sum(entry.file_size for entry in book.infolist())
        if size > UNPACKED:
            raise DataError(
                f"{path} unpacks to {size:,} bytes, and at most {UNPACKED:,} are read. Save the "
                "columns that the card names as CSV."
            )
        for entry in book.infolist():
            if not entry.filename.startswith("xl/worksheets/") or entry.is_dir():
                continue
            rows, named = 1, {b"A"}
            for place in PLACE.finditer(book.read(entry)):
                rows = max(rows, int(place[2]))
                named.add(place[1])
            columns = max(reduce(lambda n, c: 26 * n + c - 64, letters, 0) for letters in named)
            if rows * columns > MOST_CELLS:
                raise DataError(
                    f"{path}, {entry.filename}: its cells reach to row {rows:,} and column "
                    f"{columns:,}, and at most {MOST_CELLS:,} cells are read. Delete what stands "
                    "far from the table, or save it as CSV."
                )


def _read_xlsx(path: Path, sheet: str | None) -> pd.DataFrame:
    try:
        _check_reach(path)
        with warnings.catch_warnings(), pd.ExcelFile(path, engine="openpyxl") as book:
            warnings.simplefilter("ignore", UserWarning)  # styles that openpyxl does not read
            if sheet is not None and sheet not in book.sheet_names:
                raise DataError(
                    f"{path} has no sheet {sheet!r}; it has {book.sheet_names}. Correct `sheet:` "
                    "in the dataset's card."
                )
            table = pd.read_excel(
                book, sheet_name=sheet or 0, dtype=object, keep_default_na=False, na_values=[""]
            )
    except (BadZipFile, ValueError, KeyError, SyntaxError) as error:  # SyntaxError: of its XML
        raise DataError(
            f"{path} is no XLSX ({error}); it begins with {begins(path)}. Save it as XLSX or CSV."
        ) from error
    table.columns = spell_columns(table, path)
    table.index += 2  # the header is row 1
    return table


def read_table(path: Path, needed: list[str], *, sheet: str | None = None) -> pd.DataFrame:
    """Read these columns of a CSV or an XLSX as text, indexed by the line in the file.

    Names of columns are in NFC.

    Raises
    ------
    DataError
        The file is neither, or lacks the sheet or a column.
    """
    needed = list(dict.fromkeys(map(same_spelling, needed)))
    match path.suffix.lower():
        case ".csv":
            table = read_csv(path, needed, text=True)
        case ".xlsx":
            table = _read_xlsx(path, sheet)
        case suffix:
            raise DataError(f"{path} ends in {suffix!r}. Save the table as CSV or XLSX.")
    lacking = [name for name in needed if name not in table]
    if lacking:
        said = ", ".join(map(repr, list(table.columns)[:12]))
        raise DataError(
            f"{path} lacks the columns {lacking}; it begins with {said}. Correct `labels:` or "
            "`slide_table:` in the dataset's card."
        )
    table = table[needed].map(text_of)
    return table[(table != "").any(axis=1)]


def _check_names(table: pd.DataFrame, path: Path | None) -> None:
    for column in table:
        refuse = why_no_wildcard if column == "FILENAME" else filename_problem
        for line, name in table[column].items():
            odd = refuse(name) if name else ""
            if odd:
                where = f"{path}, line {line}" if path else "file names"
                raise DataError(
                    f"{where}: the {column} {name!r:.300} cannot be used: {odd}. Rename it."
                )


UNPACKED, MOST_CELLS = 100_000_000, 5_000_000  # bytes of an XLSX, cells of a sheet
