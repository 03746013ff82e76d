import unicodedata

import pytest
import yaml

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, DataError
from cryotome.data.cells import load_cells, read_cells

CARD = {
    "reader": "table",
    "classes": [{"name": "look-alike", "id": 0}, {"name": "mitotic figure", "id": 1}],
    "domains": {"lab": {"title": "lab", "where": {}}},
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


def text(folder, *lines):
    (folder / "cells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "cells.csv"


def table(folder, *lines, **changes):
    card = {
        "reader": "table",
        "classes": [{"name": "look-alike", "id": 0}, {"name": "mitotic figure", "id": 1}],
        "domains": {"lab": {"title": "lab", "where": {}}},
    } | changes
    return read_cells(text(folder, *lines), folder, card, "mine")


def test_a_table_of_points_becomes_cells(tmp_path):
    cells = table(tmp_path, "x,y,label,filename", "10.5,20,1,b.svs", "3,4,0,a.tif")
    assert cells.to_csv(index=False).splitlines() == [
        "id,image,slide,x,y,domain,label,source_row",
        "0,a.tif,a.tif,3.0,4.0,lab,0,1",
        "1,b.svs,b.svs,10.5,20.0,lab,1,0",
    ]


def test_a_table_may_name_slides_and_domains_and_others(tmp_path):
    lines = (
        "filename,label,y,x,slide,domain,lab",
        "a.png,yes,1,2,S1,lung,7",
        "b.png,no,1,2,S1,skin,8",
    )
    classes = [{"name": "look-alike", "id": "no"}, {"name": "mitotic figure", "id": "yes"}]
    where = {"a": {"domain": "lung"}, "b": {"lab": [8, 9]}}
    domains = {name: {"title": name, "where": condition} for name, condition in where.items()}
    cells = table(tmp_path, *lines, classes=classes, domains=domains)
    assert cells[["slide", "domain", "label", "x"]].to_numpy().tolist() == [
        ["S1", "a", 1, 2.0],
        ["S1", "b", 0, 2.0],
    ]


def test_a_table_saved_by_a_spreadsheet_keeps_its_first_column(tmp_path):
    cells = table(tmp_path, "\ufeffx,y,label,filename", "1,2,1,a.png", "1,2,0,b.png")
    assert cells["x"].tolist() == [1.0, 1.0]


GOOD = "x,y,label,filename"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["x;y;label;filename", "1;2;1;a"],
            r"missing \['filename', 'label', 'x', 'y'\].*with commas",
        ),
        (["x,y,label", "1,2,1"], r"cells.csv has the columns .* and is missing \['filename'\]"),
        ([GOOD, "1,2,1,a", "1,north,0,a"], r"cells.csv, line 3: x '1', y 'north'"),
        ([GOOD, "1,,1,a"], r"line 2: x '1', y ''"),
        ([GOOD, "1,inf,1,a"], r"line 2: x '1', y 'inf'"),
        ([GOOD, "1,2,1,"], r"line 2: .* filename ''"),
        ([GOOD, "1,2,1,a", "1,2,MF,a"], r"line 3 has label 'MF' \(1 such labels\)"),
        ([GOOD, "1,2,1,a", "1,2,1,a,b,c"], r"is no CSV .*Expected 4 fields in line 3"),
        ([GOOD, "1,2,1,a, copy.png"], r"is no CSV .*Length of header"),
        ([GOOD, "", "", "1,2,1,a", "1,west,1,a"], r"line 5: .* y 'west'"),
        ([""], r"is no CSV"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, lines, said):
    with pytest.raises(DataError, match=said):
        table(tmp_path, *lines)


def test_labels_to_leave_out_are_named_in_the_card(tmp_path):
    lines = "x,y,label,filename", "1,2,1,a", "1,2,9,a", "1,2,0,a"
    with pytest.raises(
        DataError, match=r"leave such cells out with `reading: \{ignore: \[\"9\"\]\}`"
    ):
        table(tmp_path, *lines)
    assert len(table(tmp_path, *lines, reading={"ignore": [9]})) == 2


def test_a_domain_may_ask_for_a_number_in_a_column_of_text(tmp_path):
    lines = GOOD + ",domain", "1,2,1,a,1", "1,2,0,a,1"
    domains = {"one": {"title": "one", "where": {"domain": 1}}}
    assert table(tmp_path, *lines, domains=domains)["domain"].tolist() == ["one", "one"]


def test_a_table_with_an_empty_slide_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'mine': 1 cells have no position, image or slide"):
        table(tmp_path, GOOD + ",slide", "1,2,1,a,S", "1,2,0,a,")


def test_names_that_look_like_numbers_stay_text(tmp_path):
    cells = table(tmp_path, GOOD + ",slide", "1,2,1,001,001", "1,2,0,002,1E5", "1,2,0,NA,NA")
    cells.to_csv(tmp_path / "out.csv", index=False)
    again = load_cells(tmp_path / "out.csv")
    assert again["image"].tolist() == ["001", "002", "NA"]
    assert again["slide"].tolist() == ["001", "1E5", "NA"]


def test_points_without_labels_are_read_where_the_card_says_so(tmp_path):
    text = "x,y,filename,slide\n1,2,a.png,S\n3,4,b.png,S\n"
    (tmp_path / "cells.csv").write_text(text, encoding="utf-8")
    card = {key: value for key, value in CARD.items() if key != "classes"} | {"unlabelled": True}
    cells = read_cells(tmp_path / "cells.csv", tmp_path / "images", card, "d")
    assert cells["label"].tolist() == [-1, -1]
    assert cells[["image", "x", "y"]].to_numpy().tolist() == [["a.png", 1, 2], ["b.png", 3, 4]]


def test_a_card_has_classes_or_says_that_it_has_none(tmp_path):
    (tmp_path / "datasets").mkdir()
    card = {"title": "t", "source": "s", "annotations": "a.csv", "images": "i"} | CARD
    card |= {"patch": {"side": 64, "resolution": 0.25, "border": "black"}}
    bare = {key: value for key, value in card.items() if key != "classes"}

    def load(content):
        (tmp_path / "datasets" / "mine.yaml").write_text(yaml.dump(content), encoding="utf-8")
        return load_card(tmp_path, "datasets", "mine")

    assert load(bare | {"unlabelled": True})["unlabelled"]
    for wrong in (bare, card | {"unlabelled": True}, bare | {"unlabelled": False}):
        with pytest.raises(CardError, match="mine.yaml"):
            load(wrong)
    with pytest.raises(CardError, match="mine.yaml, reader: 'table' was expected"):
        load(bare | {"unlabelled": True, "reader": "sliderunner_sqlite"})
