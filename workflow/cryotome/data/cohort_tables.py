"""Tables of patients and slides in CSV or XLSX, with limits on the size of a file."""

import re
import warnings
from functools import reduce
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import pandas as pd

from cryotome.core.errors import DataError
from cryotome.data.annotations.table import nfc_columns, read_csv
from cryotome.data.file_signatures import describe_start
from cryotome.data.names import as_text, filename_problem, to_nfc, wildcard_problem

MAX_UNPACKED, MAX_CELLS = 100_000_000, 5_000_000  # bytes of an XLSX, cells of a sheet
# row or cell reference in the XML of a sheet
CELL_REFERENCE = re.compile(rb"""\br\s*=\s*["']([A-Z]{0,3})(\d{1,9})["']""")


def _check_reach(path: Path) -> None:
    """Refuse an XLSX that needs too much memory: one distant cell allocates all before it.

    Raises
    ------
    DataError
        It unpacks to too many bytes, or a sheet has too many rows and columns.
    """
    with ZipFile(path) as book:
        size = sum(entry.file_size for entry in book.infolist())
        if size > MAX_UNPACKED:
            raise DataError(
                f"{path} unpacks to {size:,} bytes, and at most {MAX_UNPACKED:,} are read. Save "
                "the columns that the card names as CSV."
            )
        for entry in book.infolist():
            if not entry.filename.startswith("xl/worksheets/") or entry.is_dir():
                continue
            rows, named = 1, {b"A"}
            for place in CELL_REFERENCE.finditer(book.read(entry)):
                rows = max(rows, int(place[2]))
                named.add(place[1])
            columns = max(reduce(lambda n, c: 26 * n + c - 64, letters, 0) for letters in named)
            if rows * columns > MAX_CELLS:
                raise DataError(
                    f"{path}, {entry.filename}: its cells reach to row {rows:,} and column "
                    f"{columns:,}, and at most {MAX_CELLS:,} cells are read. Delete cells "
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
            f"{path} is no XLSX ({error}); it begins with {describe_start(path)}. Save it "
            "as XLSX or CSV."
        ) from error
    table.columns = nfc_columns(table, path)
    table.index += 2  # the header is row 1
    return table


def read_text_columns(path: Path, needed: list[str], *, sheet: str | None = None) -> pd.DataFrame:
    """Read columns of a CSV or XLSX as text, indexed by the line in the file.

    Column names are in NFC.

    Raises
    ------
    DataError
        The file is neither, or has no such sheet or column.
    """
    needed = list(dict.fromkeys(map(to_nfc, needed)))
    match path.suffix.lower():
        case ".csv":
            table = read_csv(path, needed, text=True)
        case ".xlsx":
            table = _read_xlsx(path, sheet)
        case suffix:
            raise DataError(f"{path} ends in {suffix!r}. Save the table as CSV or XLSX.")
    absent = [name for name in needed if name not in table]
    if absent:
        said = ", ".join(map(repr, list(table.columns)[:12]))
        raise DataError(
            f"{path} is missing the columns {absent}; it begins with {said}. Correct `labels:` or "
            "`slide_table:` in the dataset's card."
        )
    table = table[needed].map(as_text)
    return table[(table != "").any(axis=1)]


def check_names(table: pd.DataFrame, path: Path | None) -> None:
    """Check that names of patients and slides can be used in paths.

    Raises
    ------
    DataError
        A name cannot.
    """
    for column in table:
        find_problem = wildcard_problem if column == "FILENAME" else filename_problem
        for line, name in table[column].items():
            problem = find_problem(name) if name else ""
            if problem:
                where = f"{path}, line {line}" if path else "file names"
                raise DataError(
                    f"{where}: the {column} {name!r:.300} cannot be used: {problem}. Rename it."
                )
