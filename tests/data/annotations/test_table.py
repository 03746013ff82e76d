import unicodedata

import pytest

from cryotome.core.errors import DataError
from cryotome.data.cells import read_cells

CARD = {
    "reader": "table",
    "classes": [{"name": "look-alike", "is": 0}, {"name": "mitotic figure", "is": 1}],
    "domains": {"all": {"title": "all", "where": {}}},
}


def read(folder, *lines, encoding="utf-8", **changes):
    (folder / "cells.csv").write_bytes(
        "\n".join(["x,y,label,filename", *lines, ""]).encode(encoding)
    )
    return read_cells(folder / "cells.csv", folder / "images", CARD | changes, "d")


def test_labels_that_are_left_out_are_counted(tmp_path, capsys):
    read(tmp_path, "1,2,1,a.png", "1,2,0,a.png", "1,2,9,a.png", reading={"ignore": [9]})
    said = "cells.csv: 3 annotations found, 2 read, 1 passed over: 1 of label 9 (`ignore`)\n"
    assert said in capsys.readouterr().err


def test_images_that_are_not_there_are_named_early_where_their_folder_is(tmp_path, capsys):
    lines = "1,2,1,a.png", "1,2,0,b.png", "3,4,0,b.png"
    read(tmp_path, *lines)
    assert "not there" not in capsys.readouterr().err
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").touch()
    read(tmp_path, *lines)
    said = "images: 1 of 2 images with cells are not there, first b.png\n"
    assert said in capsys.readouterr().err


def test_source_row_is_the_order_of_the_lines(tmp_path):
    cells = read(tmp_path, "1,2,1,b.png", "1,2,0,a.png", "3,4,0,b.png")
    assert cells[["image", "x", "source_row"]].to_numpy().tolist() == [
        ["a.png", 1.0, 1],
        ["b.png", 1.0, 0],
        ["b.png", 3.0, 2],
    ]


def test_a_line_that_says_the_slide_alone_is_no_empty_line(tmp_path):
    (tmp_path / "cells.csv").write_text(
        "x,y,label,filename,slide\n1,2,1,a,S\n,,,,\n,,,,S\n", encoding="utf-8"
    )
    with pytest.raises(DataError, match="line 4: x '', y ''"):
        read_cells(tmp_path / "cells.csv", tmp_path, CARD, "d")


def test_a_table_in_utf_16_is_named(tmp_path):
    with pytest.raises(DataError, match=r"is not in UTF-8 .*\(text in UTF-16; save it in UTF-8\)"):
        read(tmp_path, "1,2,1,a.png", encoding="utf-16")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git-LFS pointer"),
        (b"<html>404</html>", "an HTML page"),
        (b"PK\x03\x04\x14", "an XLSX table"),
        (b"\x1f\x8b\x08", "gzip"),
    ],
)
def test_what_stands_in_place_of_a_table_is_named(tmp_path, content, said):
    (tmp_path / "cells.csv").write_bytes(content)
    with pytest.raises(DataError, match=f"cells.csv .*{said}"):
        read_cells(tmp_path / "cells.csv", tmp_path, CARD, "d")


def test_columns_are_asked_for_in_either_form_of_unicode(tmp_path):
    header = unicodedata.normalize("NFD", "Gerät")
    (tmp_path / "cells.csv").write_text(
        f"x,y,label,filename,{header}\n1,2,1,a.png,01\n3,4,0,a.png,1\n", encoding="utf-8"
    )
    asked = {"one": "01", "two": "1"}
    domains = {name: {"title": name, "where": {"Gerät": value}} for name, value in asked.items()}
    cells = read_cells(
        tmp_path / "cells.csv", tmp_path / "images", CARD | {"domains": domains}, "d"
    )
    assert cells["domain"].tolist() == ["one", "two"]


def test_two_columns_that_differ_in_the_form_of_unicode_are_refused(tmp_path):
    header = f"{unicodedata.normalize('NFD', 'ü')},ü"
    (tmp_path / "cells.csv").write_text(f"x,y,label,filename,{header}\n", encoding="utf-8")
    with pytest.raises(DataError, match="'ü' twice, in two forms of Unicode"):
        read_cells(tmp_path / "cells.csv", tmp_path / "images", CARD, "d")


def test_labels_that_pandas_or_a_sheet_wrote_are_those_of_the_card(tmp_path):
    cells = read(tmp_path, "1,2,1.0,a.png", "1,2,0,a.png", "1,2,1,a.png")
    assert cells["label"].tolist() == [1, 0, 1]
