import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, DataError
from cryotome.core.schemas import validate
from cryotome.data.annotations.class_folders import _filled
from cryotome.data.annotations.formats import READERS, read_midog_json
from cryotome.data.cells import load_cells, read_cells
from cryotome.data.demo.mitoses import make_slides


def read(name: str, root: Path, **changes: object) -> pd.DataFrame:
    card = load_card(CONFIG, "datasets", name) | changes
    return read_cells(root / card["annotations"], root / card["images"], card, name)


def counts(cells: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """Mitotic figures (or the positive class) and negatives per domain."""
    return {
        d: (int(p["label"].sum()), int((1 - p["label"]).sum())) for d, p in cells.groupby("domain")
    }


def test_midogpp_has_11937_mitotic_figures_on_503_images(shared):
    cells = read("midogpp", shared)
    assert (cells["label"].sum(), (1 - cells["label"]).sum()) == (11937, 14349)
    assert cells["image"].nunique() == 503


def test_midog2022_has_9501_mitotic_figures_and_11051_look_alikes(shared):
    cells = read("midog2022", shared)
    assert (cells["label"].sum(), (1 - cells["label"]).sum()) == (9501, 11051)
    assert cells["image"].nunique() == 354
    assert counts(cells) == {
        "human_breast": (1721, 2714), "canine_lung": (855, 952), "canine_lymphoma": (3959, 4257),
        "canine_mast_cell": (2327, 1366), "human_neuroendocrine": (639, 1762),
    }  # fmt: skip


def test_midog2022_counts_every_slide_as_the_reference_does(shared):
    cells = read("midog2022", shared)
    reference = pd.read_csv(shared / "midogpp" / "midog2022_per_slide.csv").set_index("filename")
    found = cells.groupby("image")["label"].agg(mf="sum", both="size")
    assert (found["mf"] == reference["mf"].reindex(found.index)).all()
    both = reference["mf"] + reference["lookalike"]
    assert (found["both"] == both.reindex(found.index)).all()


def test_the_two_extra_look_alikes_are_where_they_should_be(shared):
    cells = read("midog2022", shared)
    extra = cells[cells["image"].isin(["151.tiff", "353.tiff"]) & (cells["label"] == 0)]
    assert {(180.0, 40.0), (5149.0, 382.0)} <= set(zip(extra["x"], extra["y"], strict=True))


def test_the_real_sliderunner_database_gives_1721_and_2714(shared):
    cells = read("midog2021", shared)
    assert (cells["label"].sum(), (1 - cells["label"]).sum()) == (1721, 2714)


def test_database_and_json_of_midog2021_agree(shared):
    card = load_card(CONFIG, "datasets", "midog2021") | {
        "reading": {"box": 50},
        "reader": "midog_json",
    }
    root = shared / "midog2021"
    both = [read("midog2021", shared), read_cells(root / "MIDOG.json", root, card, "midog2021")]
    places = [set(zip(c["image"], c["x"] // 1, c["y"] // 1, c["label"], strict=True)) for c in both]
    assert places[0] == places[1]


def test_amibr_has_its_counts_and_its_slides(shared):
    cells = read("amibr", shared)
    assert counts(cells) == {
        "hamamatsu_xr": (105, 346), "hamamatsu_s360": (127, 455), "aperio_cs2": (172, 516), "tupac16": (428, 1571),
    }  # fmt: skip
    assert cells["slide"].nunique() == 202
    assert cells[cells["image"] == "Normal/MIDOG21_6.png"].iloc[0][["x", "y"]].tolist() == [
        4422,
        216,
    ]


def test_the_mini_set_reads_with_folders_only(shared, tmp_path):
    table = pd.read_csv(shared / "mini_amibr" / "manifest.csv")
    for label, folder in enumerate(("Normal", "Atypical")):
        (tmp_path / folder).mkdir()
        for file in table[table["label"] == label]["file"]:
            (tmp_path / folder / Path(file).name).symlink_to(shared / "mini_amibr" / file)
    card = load_card(CONFIG, "datasets", "amibr") | {
        "domains": {"all": {"title": "all", "where": {}}},
        "slides": "unknown",
    }
    cells = read_cells(None, tmp_path, {k: v for k, v in card.items() if k != "expect"}, "mini")
    assert counts(cells) == {"all": (120, 120)}
    assert (cells["slide"] == cells["image"]).all()


def test_the_old_generation_of_sliderunner_reads_too(tmp_path):
    """Built from the schema: no real database of the old generation is at hand."""
    (tmp_path / "demo" / "slides").mkdir(parents=True)
    make_slides(
        tmp_path / "demo/slides/annotations.sqlite", tmp_path / "demo/slides/images", side=256
    )
    cells = read("demo_slides", tmp_path)
    assert len(cells) == 8 * 64  # the tumour cells are left out
    assert cells["image"].nunique() == 8


def test_a_database_is_opened_read_only(tmp_path):
    (tmp_path / "demo" / "slides").mkdir(parents=True)
    path = tmp_path / "demo/slides/annotations.sqlite"
    make_slides(path, tmp_path / "demo/slides/images", side=256)
    before = path.read_bytes()
    path.chmod(0o444)
    read("demo_slides", tmp_path)
    assert path.read_bytes() == before
    with sqlite3.connect(path) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(Annotations)")}
    database.close()
    assert "deleted" not in columns


def test_deleted_annotations_of_the_new_generation_are_left_out(shared, tmp_path):
    path = tmp_path / "MIDOG.sqlite"
    path.write_bytes((shared / "midog2021" / "MIDOG.sqlite").read_bytes())
    database = sqlite3.connect(path)
    for (trigger,) in list(
        database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
    ):
        database.execute(f"DROP TRIGGER {trigger}")  # they call Python functions of SlideRunner
    database.execute(
        "UPDATE Annotations SET deleted = 1 WHERE uid IN (SELECT uid FROM Annotations LIMIT 10)"
    )
    database.commit()
    database.close()
    card = load_card(CONFIG, "datasets", "midog2021")
    assert len(read_cells(path, tmp_path, card, "midog2021")) == 4435 - 10


def test_boxes_as_corner_and_size_are_refused(cohort, demo_card, tmp_path):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    for entry in content["annotations"]:
        entry["bbox"][2:] = [50, 50]
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"a.json: annotation 1 has bbox .* not a 50 x 50 px pair of corners"
    ):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


def test_folder_and_metadata_must_agree(shared):
    reading = load_card(CONFIG, "datasets", "amibr")["reading"]
    reading = reading | {"agree": {"Normal": "True", "Atypical": "False"}}
    with pytest.raises(
        DataError, match="'majority_atypical' contradicts the folder of 3720 images"
    ):
        read("amibr", shared, reading=reading)


def test_an_empty_class_folder_is_named(tmp_path):
    card = load_card(CONFIG, "datasets", "amibr")
    with pytest.raises(DataError, match="Normal holds no images of class 'normal mitotic figure'"):
        read_cells(None, tmp_path, card, "amibr")


def test_metadata_may_have_columns_of_our_names(shared, tmp_path):
    table = pd.read_csv(shared / "amibr" / "AMI-BR.csv", dtype=str)
    table.assign(image="x", **{"class": "y"}, folder="z").to_csv(tmp_path / "m.csv", index=False)
    card = load_card(CONFIG, "datasets", "amibr")
    cells = read_cells(tmp_path / "m.csv", shared / "amibr", card, "amibr")
    assert cells["label"].sum() == 832


def text(folder, *lines):
    (folder / "cells.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "cells.csv"


def table(folder, *lines, **changes):
    card = {
        "reader": "table",
        "classes": [{"name": "look-alike", "is": 0}, {"name": "mitotic figure", "is": 1}],
        "domains": {"all": {"title": "all", "where": {}}},
    } | changes
    return read_cells(text(folder, *lines), folder, card, "mine")


def test_a_table_of_points_becomes_cells(tmp_path):
    cells = table(tmp_path, "x,y,label,filename", "10.5,20,1,b.svs", "3,4,0,a.tif")
    assert cells.to_csv(index=False).splitlines() == [
        "id,image,slide,x,y,domain,label,source_row",
        "0,a.tif,a.tif,3.0,4.0,all,0,1",
        "1,b.svs,b.svs,10.5,20.0,all,1,0",
    ]


def test_a_table_may_name_slides_and_domains_and_others(tmp_path):
    lines = (
        "filename,label,y,x,slide,domain,lab",
        "a.png,yes,1,2,S1,lung,7",
        "b.png,no,1,2,S1,skin,8",
    )
    classes = [{"name": "look-alike", "is": "no"}, {"name": "mitotic figure", "is": "yes"}]
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
            r"lacks \['filename', 'label', 'x', 'y'\].*with commas",
        ),
        (["x,y,label", "1,2,1"], r"cells.csv has the columns .* and lacks \['filename'\]"),
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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<!DOCTYPE html><html>", r"a.json is not MIDOG's JSON .* begins with '<!DOCTYPE html>"),
        ('{"images": []}', r"is not MIDOG's JSON \(KeyError: 'annotations'\)"),
        ('{"annotations": [', r"is not MIDOG's JSON \(JSONDecodeError"),
    ],
)
def test_what_is_no_json_of_midog_is_refused(demo_card, tmp_path, content, said):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_cells(tmp_path / "a.json", tmp_path, demo_card, "d")


def test_an_annotation_of_an_unlisted_image_or_class_is_refused(cohort, demo_card, tmp_path):
    for key, value, said in (
        ("image_id", 999, r"annotation 1 lies on image 999, which `images` does not list"),
        ("category_id", 3, r"annotation 1 has label '3' \(1 such labels\)"),
    ):
        content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
        content["annotations"][0][key] = value
        (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(DataError, match=said):
            read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


def test_what_is_no_sliderunner_database_is_refused(tmp_path):
    card = load_card(CONFIG, "datasets", "ccmct")
    (tmp_path / "a.sqlite").write_text("<html>404</html>" * 100, encoding="utf-8")
    with pytest.raises(DataError, match=r"a.sqlite is no SlideRunner database .* '<html>404"):
        read_cells(tmp_path / "a.sqlite", tmp_path, card, "ccmct")
    with sqlite3.connect(tmp_path / "b.sqlite") as database:
        database.execute("CREATE TABLE other (x)")
    database.close()
    with pytest.raises(DataError, match=r"(?s)b.sqlite is no SlideRunner database .*no such table"):
        read_cells(tmp_path / "b.sqlite", tmp_path, card, "ccmct")


def test_classes_that_the_card_does_not_name_are_counted_by_name(tmp_path, capsys):
    (tmp_path / "demo" / "slides").mkdir(parents=True)
    make_slides(
        tmp_path / "demo/slides/annotations.sqlite", tmp_path / "demo/slides/images", side=256
    )
    read("demo_slides", tmp_path)
    said = "520 annotations found, 512 read, 8 passed over: 8 of class 3 (tumor cell)"
    assert said in capsys.readouterr().err


def test_a_domain_may_ask_for_a_number_in_a_column_of_text(tmp_path):
    lines = GOOD + ",domain", "1,2,1,a,1", "1,2,0,a,1"
    domains = {"one": {"title": "one", "where": {"domain": 1}}}
    assert table(tmp_path, *lines, domains=domains)["domain"].tolist() == ["one", "one"]


def test_a_table_with_an_empty_slide_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"'mine': 1 cells lack a position, an image or a slide"):
        table(tmp_path, GOOD + ",slide", "1,2,1,a,S", "1,2,0,a,")


def test_names_that_look_like_numbers_stay_text(tmp_path):
    cells = table(tmp_path, GOOD + ",slide", "1,2,1,001,001", "1,2,0,002,1E5", "1,2,0,NA,NA")
    cells.to_csv(tmp_path / "out.csv", index=False)
    again = load_cells(tmp_path / "out.csv")
    assert again["image"].tolist() == ["001", "002", "NA"]
    assert again["slide"].tolist() == ["001", "1E5", "NA"]


@pytest.mark.parametrize(
    "box", [None, [1, 2, 3], "1 2 3 4", [1, 2, 3, float("nan")], [1, 2, 3, "4"]]
)
def test_a_box_that_is_not_four_numbers_is_named(cohort, demo_card, tmp_path, box):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    content["annotations"][4]["bbox"] = box
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"a.json: annotation 5 has bbox .* not four numbers"):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


@pytest.mark.parametrize(
    ("part", "place", "change", "said"),
    [
        ("images", 1, {"id": 1}, r"two images share an id, or one has none: 1"),
        ("images", 1, {"file_name": None}, r"two images share a file name, or one has none"),
        ("annotations", 4, {"category_id": None}, r"annotation 5 has no category_id"),
    ],
)
def test_json_that_contradicts_itself_is_named(
    cohort, demo_card, tmp_path, part, place, change, said
):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    content[part][place] |= change
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: "<html>404</html>", r"lacks \['dataset', 'majority_atypical', 'slide', 'uid'\]"),
        (lambda t: t.replace("slide", "folder", 1), r"lacks \['slide'\]"),
        (lambda t: t + t.splitlines()[5] + "\n", r"line 3722: a second row for the image"),
        (lambda t: "", r"is no CSV"),
    ],
)
def test_metadata_of_class_folders_that_is_wrong_is_named(shared, tmp_path, change, said):
    card = load_card(CONFIG, "datasets", "amibr")
    (tmp_path / "m.csv").write_text(
        change((shared / "amibr" / "AMI-BR.csv").read_text(encoding="utf-8")), encoding="utf-8"
    )
    with pytest.raises(DataError, match=said):
        read_cells(tmp_path / "m.csv", shared / "amibr", card, "amibr")


@pytest.mark.parametrize("many", [2, 80_000])  # which took the square of their number
def test_json_with_one_key_twice_among_many_is_refused(tmp_path, demo_card, many):
    keys = ", ".join(f'"k{n}": 0' for n in range(many))
    path = tmp_path / "a.json"
    path.write_text(f'{{{keys}, "k{many - 1}": 0}}', encoding="utf-8")
    with pytest.raises(DataError, match=f"the key 'k{many - 1}' twice"):
        read_midog_json(path, tmp_path, demo_card)


@pytest.mark.parametrize(
    "template",
    ["{uid:>1000000000}", "{uid.__class__}", "{uid[0]}", "{uid!r}", "{uid", "{}", "{{a}}"],
)
def test_a_cards_template_names_columns_and_nothing_else(template):
    card = load_card(CONFIG, "datasets", "amibr")
    for key in ("key", "slide"):
        changed = card | {"reading": card["reading"] | {key: template}}
        with pytest.raises(CardError, match=f"mine.yaml, reading.{key}: .* does not match"):
            validate(changed, "dataset", "mine.yaml")
    fine = card["reading"] | {"key": "{Slide ID}_{uid}-a"}
    assert validate(card | {"reading": fine}, "dataset", "mine.yaml")


def test_a_template_is_filled_without_obeying_it():
    row = {"uid": "{uid.__class__}", "Slide ID": "7"}
    assert _filled("{uid}_{Slide ID}", row) == "{uid.__class__}_7"


def test_a_database_whose_names_are_megabytes_takes_little_memory(tmp_path):
    """A view invents 400 names of 8 MB."""
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as file:
        file.executescript("""
            CREATE TABLE Annotations (uid INTEGER, agreedClass INTEGER, slide INTEGER, type INTEGER);
            CREATE TABLE Annotations_coordinates (annoId INTEGER, coordinateX REAL, coordinateY REAL);
            CREATE VIEW Slides AS SELECT 1 AS uid, printf('%.*c', 8000000, 'a') AS filename;
            WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 400)
            INSERT INTO Annotations SELECT k, 1, 1, 1 FROM n;
            INSERT INTO Annotations_coordinates SELECT uid, 5, 5 FROM Annotations;
        """)
    card = {"classes": [{"name": "a", "is": 1}]}
    cells = READERS["sliderunner_sqlite"](path, tmp_path, card)
    assert set(cells["image"].str.len()) == {300}  # refused later, for its length
