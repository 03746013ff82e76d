import zipfile

import openpyxl
import pytest

from cryotome.core.errors import DataError
from cryotome.data.cohort_tables import read_text_columns


def test_one_cell_far_out_is_refused_before_it_takes_all_memory(tmp_path):
    """5 kB took 2.6 to 8.5 GB while a run was planned."""
    book = openpyxl.Workbook()
    for row in (["PATIENT", "TARGET"], ["a", "MSIH"], ["b", "nonMSIH"]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    assert len(read_text_columns(tmp_path / "t.xlsx", ["PATIENT", "TARGET"])) == 2
    book.active["XFD1048576"] = "stray"
    book.save(tmp_path / "t.xlsx")
    with pytest.raises(
        DataError, match=r"reach to row 1,048,576 and column 16,384, .* save it as CSV"
    ):
        read_text_columns(tmp_path / "t.xlsx", ["PATIENT", "TARGET"])


def test_an_xlsx_that_unpacks_to_too_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.xlsx", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/sharedStrings.xml", b" " * 101_000_000)
    with pytest.raises(DataError, match=r"t.xlsx unpacks to 101,000,000 bytes"):
        read_text_columns(tmp_path / "t.xlsx", ["PATIENT"])
