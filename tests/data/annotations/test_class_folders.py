import unicodedata
from pathlib import Path

import pandas as pd
import pytest
from conftest import CONFIG
from dataset_cells import class_counts, read_dataset

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, DataError
from cryotome.core.schemas import validate
from cryotome.data.annotations.class_folders import _fill_template
from cryotome.data.cells import read_cells

CARD = {
    "slides": "images",
    "reader": "class_folders",
    "classes": [{"name": "normal", "id": "N"}, {"name": "atypical", "id": "A"}],
    "domains": {"lab": {"title": "lab", "where": {}}},
    "reading": {"image_pattern": "{uid}", "slide": "{slide}"},
}


def put(folder, *files):
    for name in files:
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def read(folder, *rows):
    """Read with metadata `uid,slide` where rows are given."""
    if rows:
        pd.DataFrame([row.split(",") for row in rows], columns=["uid", "slide"]).to_csv(
            folder / "m.csv", index=False
        )
    return read_cells(folder / "m.csv" if rows else None, folder / "images", CARD, "d")


def test_images_in_folders_below_a_class_are_read_and_their_names_hold_the_folder(tmp_path):
    put(tmp_path, "N/1.png", "N/case/deep/2.PNG", "A/3.bmp", "A/4.webp", "A/5.Jpg", "A/6.TIFF")
    put(tmp_path / "elsewhere", "deep/2.PNG")
    (tmp_path / "images/A/case").symlink_to(tmp_path / "elsewhere/images")
    (tmp_path / "images/A/again").symlink_to(tmp_path / "images/A")
    cells = read(tmp_path)
    assert cells["image"].tolist() == [
        "A/3.bmp", "A/4.webp", "A/5.Jpg", "A/6.TIFF", "A/case/deep/2.PNG", "N/1.png", "N/case/deep/2.PNG",
    ]  # fmt: skip
    assert cells["label"].tolist() == [1, 1, 1, 1, 1, 0, 0]


def test_other_files_are_counted_by_suffix_and_hidden_ones_are_none(tmp_path, capsys):
    put(tmp_path, "N/1.png", "A/2.png", "A/Thumbs.db", "A/notes.txt", "N/notes.txt", "A/._2.png")
    put(tmp_path, "A/.hidden/9.png", "odd/7.png", "odd/8.png", "top.png", "README")
    read(tmp_path)
    line = capsys.readouterr().err.splitlines()[-1]
    assert "images: 9 files found, 2 read, 7 passed over: " in line
    for said in ("2 .txt (no image)", "1 .db (no image)"):
        assert said in line
    assert "2 images in odd, which `classes` does not name" in line
    assert "1 images in no folder, which `classes` does not name" in line


def test_a_class_folder_inside_another_keeps_its_images(tmp_path):
    put(tmp_path, "N/1.png", "N/A/2.png")
    card = CARD | {"classes": [{"name": "normal", "id": "N"}, {"name": "atypical", "id": "N/A"}]}
    cells = read_cells(None, tmp_path / "images", card, "d")
    assert cells[["image", "label"]].to_numpy().tolist() == [["N/1.png", 0], ["N/A/2.png", 1]]


def test_a_class_folder_without_images_is_refused(tmp_path):
    put(tmp_path, "N/1.png", "A/2.txt")
    with pytest.raises(DataError, match=r"images/A holds no images of class 'atypical'"):
        read(tmp_path)


def test_rows_without_an_image_are_counted_and_named(tmp_path, capsys):
    put(tmp_path, "N/0.png", "A/1.png")
    cells = read(tmp_path, *(f"{n},S{n}" for n in range(30)))
    assert cells["slide"].tolist() == ["S1", "S0"]
    line = capsys.readouterr().err.splitlines()[-1]
    named = ", ".join(map(str, range(2, 22)))
    assert line.endswith(
        f"m.csv: 30 rows found, 2 read, 28 passed over: 28 without an image ({named}, …)"
    )


def test_only_rows_with_the_wanted_values_are_read_and_the_others_are_counted(tmp_path, capsys):
    put(tmp_path, "N/1.png", "N/2.png", "A/3.png")
    (tmp_path / "m.csv").write_text("uid,slide,from\n1,S1,x\n2,S2,y\n3,S3,y\n", encoding="utf-8")

    def read_only(**only):
        card = CARD | {"reading": CARD["reading"] | {"only": only}}
        return read_cells(tmp_path / "m.csv", tmp_path / "images", card, "d")

    cells = read_only(**{"from": ["y"]})
    assert cells[["slide", "label"]].to_numpy().tolist() == [["S3", 1], ["S2", 0]]
    assert "3 rows found, 2 read, 1 passed over: 1 'from' not y" in capsys.readouterr().err
    with pytest.raises(DataError, match=r"no row has 'from' z, as `reading.only` .* values: x, y"):
        read_only(**{"from": ["z"]})
    with pytest.raises(DataError, match=r"m.csv has no column 'form', which `reading.only`"):
        read_only(form=["y"])


@pytest.mark.parametrize("keys", [("1.png", "2.jpg"), ("1", "2"), ("N/1", "A/2.jpg"), ("1", "s/2")])
def test_a_key_may_have_suffix_and_folders_or_not(tmp_path, keys):
    put(tmp_path, "N/1.png", "A/s/2.jpg" if "/2" in keys[1] and keys[1] != "A/2.jpg" else "A/2.jpg")
    assert read(tmp_path, f"{keys[0]},S1", f"{keys[1]},S2")["slide"].tolist() == ["S2", "S1"]


def test_dots_of_a_key_are_no_suffix_and_spelling_is_one(tmp_path):
    put(tmp_path, "N/case.1.png", "N/case.2.png", "A/u\u0308.png")
    cells = read(tmp_path, "case.2,S2", "case.1,S1", "\u00fc,S3")
    assert cells["slide"].tolist() == ["S3", "S1", "S2"]
    assert cells["source_row"].tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    "files", [("N/1.png", "N/1.jpg", "A/2.png"), ("N/1.png", "A/1.png", "A/2.png")]
)
def test_two_images_of_one_key_are_refused_by_name(tmp_path, files):
    put(tmp_path, *files)
    said = rf"m.csv, line 2: the key '1' names 2 images, .*{files[1]}"
    if files[0][:-3] == files[1][:-3]:
        said = r"m.csv, line 2: the key '1' names 2 images, N/1.jpg and N/1.png"
    with pytest.raises(DataError, match=said):
        read(tmp_path, "1,S1", "2,S2")


def test_keys_with_suffix_tell_two_images_of_one_stem_apart(tmp_path):
    put(tmp_path, "N/1.png", "A/1.jpg")
    assert read(tmp_path, "1.png,S1", "1.jpg,S2")["slide"].tolist() == ["S2", "S1"]


def test_two_rows_of_one_image_are_refused(tmp_path):
    put(tmp_path, "N/1.png", "A/2.png")
    with pytest.raises(DataError, match=r"line 4: the key '1' names the image N/1.png, which has"):
        read(tmp_path, "1.png,S1", "2,S2", "1,S3")


def test_a_key_with_another_suffix_is_not_the_image(tmp_path):
    put(tmp_path, "N/1.png", "A/2.png")
    with pytest.raises(DataError, match=r"m.csv has no row for 1 images, first N/1.png"):
        read(tmp_path, "1.jpg,S1", "2,S2")


def test_folders_may_be_numbers(tmp_path):
    put(tmp_path, "0/1.png", "1/2.png")
    card = CARD | {"classes": [{"name": "normal", "id": 0}, {"name": "atypical", "id": 1}]}
    assert read_cells(None, tmp_path / "images", card, "d")["label"].tolist() == [0, 1]


def test_links_to_nothing_and_to_images_found_before_are_no_cells(tmp_path, capsys):
    put(tmp_path, "N/1.png", "A/2.png", "A/._2.png", "._x.png")
    (tmp_path / "images/A/0.png").symlink_to("2.png")
    (tmp_path / "images/A/3.png").symlink_to("nowhere.png")
    assert read(tmp_path)["image"].tolist() == ["A/2.png", "N/1.png"]
    said = capsys.readouterr().err
    assert "6 files found, 2 read, 4 passed over: " in said
    for why in ("1 links to nothing", "1 links to images found before", "2 hidden"):
        assert why in said


def test_one_file_in_two_classes_is_refused(tmp_path):
    put(tmp_path, "N/1.png", "A/2.png")
    (tmp_path / "images/A/3.png").symlink_to(tmp_path / "images/N/1.png")
    with pytest.raises(DataError, match="A/3.png and .*N/1.png are one file, by a link"):
        read(tmp_path)


def test_a_key_may_have_its_suffix_in_other_letters_and_folders_of_windows(tmp_path):
    put(tmp_path, "N/1.PNG", "A/2.png", "A/3.png")
    cells = read(tmp_path, "1.png,s", "A\\2.PNG,s", "./A/3.png,t")
    assert cells[["image", "slide"]].to_numpy().tolist() == [
        ["A/2.png", "s"], ["A/3.png", "t"], ["N/1.PNG", "s"],
    ]  # fmt: skip


def test_class_folders_and_columns_are_found_in_either_form_of_unicode(tmp_path):
    put(tmp_path, unicodedata.normalize("NFD", "Tumör/1.png"), "N/2.png")
    header = unicodedata.normalize("NFD", "größe")
    (tmp_path / "m.csv").write_text(f"uid,{header}\n1,01\n2,1\n", encoding="utf-8")
    classes = [{"name": "normal", "id": "N"}, {"name": "tumour", "id": "Tumör"}]
    reading = {"image_pattern": "{uid}", "slide": "{größe}"}
    card = CARD | {"classes": classes, "reading": reading}
    cells = read_cells(tmp_path / "m.csv", tmp_path / "images", card, "d")
    assert cells[["image", "slide", "label"]].to_numpy().tolist() == [
        ["N/2.png", "1", 0], ["Tumör/1.png", "01", 1],
    ]  # fmt: skip


@pytest.mark.parametrize("agree", [{"N": 0, "A": 1}, {"N": "0", "A": "1.0"}])
def test_a_column_agrees_with_the_folder_whatever_its_numbers_are_written_like(tmp_path, agree):
    put(tmp_path, "N/1.png", "A/2.png")
    (tmp_path / "m.csv").write_text("uid,slide,mitosis\n1,s,0.0\n2,s,1\n", encoding="utf-8")
    reading = CARD["reading"] | {"class": "mitosis", "expected_values": agree}
    card = CARD | {"reading": reading}
    assert len(read_cells(tmp_path / "m.csv", tmp_path / "images", card, "d")) == 2
    card = CARD | {"reading": reading | {"expected_values": {"N": 1, "A": 0}}}
    with pytest.raises(DataError, match="'mitosis' contradicts the folder of 2 images"):
        read_cells(tmp_path / "m.csv", tmp_path / "images", card, "d")


def test_amibr_has_its_counts_and_its_slides(shared):
    cells = read_dataset("amibr", shared)
    assert class_counts(cells) == {
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
        "domains": {"lab": {"title": "lab", "where": {}}},
        "slides": "unknown",
    }
    cells = read_cells(None, tmp_path, {k: v for k, v in card.items() if k != "expect"}, "mini")
    assert class_counts(cells) == {"lab": (120, 120)}
    assert (cells["slide"] == cells["image"]).all()


def test_folder_and_metadata_must_agree(shared):
    reading = load_card(CONFIG, "datasets", "amibr")["reading"]
    reading = reading | {"expected_values": {"Normal": "True", "Atypical": "False"}}
    with pytest.raises(
        DataError, match="'majority_atypical' contradicts the folder of 3720 images"
    ):
        read_dataset("amibr", shared, reading=reading)


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: "<html>404</html>",
            r"missing \['dataset', 'majority_atypical', 'slide', 'uid'\]",
        ),
        (lambda t: t.replace("slide", "folder", 1), r"missing \['slide'\]"),
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


@pytest.mark.parametrize(
    "template",
    ["{uid:>1000000000}", "{uid.__class__}", "{uid[0]}", "{uid!r}", "{uid", "{}", "{{a}}"],
)
def test_a_cards_template_names_columns_and_nothing_else(template):
    card = load_card(CONFIG, "datasets", "amibr")
    for key in ("image_pattern", "slide"):
        changed = card | {"reading": card["reading"] | {key: template}}
        with pytest.raises(CardError, match=f"mine.yaml, reading.{key}: .* does not match"):
            validate(changed, "dataset", "mine.yaml")
    fine = card["reading"] | {"image_pattern": "{Slide ID}_{uid}-a"}
    assert validate(card | {"reading": fine}, "dataset", "mine.yaml")


def test_a_template_is_filled_without_obeying_it():
    row = {"uid": "{uid.__class__}", "Slide ID": "7"}
    assert _fill_template("{uid}_{Slide ID}", row) == "{uid.__class__}_7"
