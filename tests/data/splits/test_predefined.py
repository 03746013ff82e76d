import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, DataError, SplitError
from cryotome.data.cells import read_cells
from cryotome.data.splits.cells import draw_split
from cryotome.data.splits.predefined import (
    assign_roles,
    class_names,
    describe_listed,
    mark_listed,
)


def test_every_cell_of_the_first_set_trains_and_every_one_of_the_second_tests():
    roles = assign_roles({"a": pd.DataFrame({"id": [0, 5]}), "b": pd.DataFrame({"id": [0]})})
    assert roles.to_dict("list") == {
        "id": ["a:0", "a:5", "b:0"],
        "role": ["train", "train", "test"],
    }


def test_a_scheme_says_what_it_draws_and_no_more(tmp_path):
    (tmp_path / "schemes").mkdir()
    lines = "title: x\nsource: x\n"
    for text, said in (
        (
            "split_by: predefined\nvalidation: 0.2\nseed: 1\ntest: 0.2",
            "False schema does not allow 0.2",
        ),
        ("split_by: predefined\nvalidation: 0.2", "'seed' is a required property"),
        ("split_by: cells\ntest: 0.2\nseed: 1", "'validation' is a required property"),
    ):
        (tmp_path / "schemes" / "mine.yaml").write_text(lines + text + "\n", encoding="utf-8")
        with pytest.raises(CardError, match=said):
            load_card(tmp_path, "schemes", "mine")
    assert load_card(CONFIG, "schemes", "predefined")["split_by"] == "predefined"


def test_sets_with_other_classes_are_refused():
    classes = [{"name": name, "id": name} for name in "abc"]
    other = {"here": {"classes": classes}, "there": {"classes": classes[::-1]}}
    with pytest.raises(CardError, match=r"'there' has the classes \['c', 'b', 'a'\], and 'here'"):
        class_names(other)
    pairs = ("nct_crc_100k", "crc_val_he_7k"), ("demo_tissue", "demo_tissue_external")
    for pair in pairs:
        names = class_names({name: load_card(CONFIG, "datasets", name) for name in pair})
        assert (len(names), names[-1]) == (9, "colorectal adenocarcinoma epithelium")


LINES = "name,of\nM_0,s0\nM_1,s0\nM_2,s1\nM_3,s1\n"
READING = {"predefined": {"image_pattern": "{name}", "slide": "{of}"}}


def some_cells(count=8):
    """Cells 0 and 1 on slide a/s0, 2 and 3 on a/s1, … of labels 0 and 1 in turn."""
    at = range(count)
    return pd.DataFrame(
        {
            "id": at,
            "image": [f"Normal/M_{n}.png" for n in at],
            "slide": [f"a/s{n // 2}" for n in at],
            "domain": "a",
            "label": [n % 2 for n in at],
        }
    )


def marked(tmp_path, text, cells=None, reading=READING):
    path = tmp_path / "list.csv"
    path.write_text(text, encoding="utf-8")
    return mark_listed(some_cells() if cells is None else cells, [path], reading)


def test_listed_cells_have_the_slide_by_which_the_list_names_them(tmp_path):
    assert marked(tmp_path, LINES)["listed"].tolist() == ["s0", "s0", "s1", "s1", "", "", "", ""]
    plain = {"predefined": {"image_pattern": "{name}"}}
    assert (
        marked(tmp_path, LINES, reading=plain)["listed"][:4].tolist() == ["a/s0"] * 2 + ["a/s1"] * 2
    )
    assert "listed" not in mark_listed(some_cells(), [], {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LINES + "M_9,s4\n", r"list.csv, line 6: 'M_9' names no image of the dataset \(1 such lines\)"),
        (LINES + "M_3,s1\n", r"list.csv, line 6: a second row for the image M_3"),
        (LINES + "Normal/M_3.png,s1\n", r"line 6: the image Normal/M_3.png was named by an earlier"),
        (LINES + "M_4,s2\nM_5,s2\nM_6,s3\nM_7,s3\n", r"lists 8 of 8 cells, so that those to test are not of every class"),
        ("name,of\nM_0,s0\nM_2,s1\n", r"lists 2 of 8 cells, so that those to train are not of every class"),
        ("name,of\n", r"lists 0 of 8 cells, so that those to train are not"),
        ("name\nM_0\n", r"is missing \['of'\]"),
        (LINES.replace("M_1,s0", "M_1,s1"), r"names the cells of slide 'a/s0' by 2 slides"),
    ],
)  # fmt: skip
def test_a_bad_list_is_named_with_its_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        marked(tmp_path, text)


def test_a_key_of_two_images_is_refused(tmp_path):
    cells = some_cells().assign(image=[f"{n % 2}/M_{n // 2}.png" for n in range(8)])
    with pytest.raises(DataError, match=r"line 2: 'M_0' names 2 images of the dataset"):
        marked(tmp_path, LINES, cells)


def test_slides_on_both_sides_are_said(tmp_path, capsys):
    found = describe_listed(marked(tmp_path, LINES))
    assert found == {
        "listed_cells": 4,
        "listed_slides": 2,
        "tested_slides": 2,
        "slides_on_both_sides": 0,
    }
    assert capsys.readouterr().err == ""
    cells = some_cells().assign(slide="a/s0")
    mixed = marked(tmp_path, LINES.replace("s1", "s0"), cells)
    assert describe_listed(mixed)["slides_on_both_sides"] == 1
    assert "1 slides have listed and tested cells, first a/s0" in capsys.readouterr().err
    assert describe_listed(some_cells()) == {}


def test_every_fold_tests_what_the_list_leaves_and_validates_on_a_part_of_it():
    card = load_card(CONFIG, "schemes", "predefined")
    cells = some_cells(40)
    cells["listed"] = cells["slide"].where(cells["id"] < 30, "")
    how = {"card": card, "scheme": "predefined"}
    folds = [
        draw_split(cells, **how, fraction="1.0", fold=k).roles.set_index("id")["role"]
        for k in range(5)
    ]
    for roles in folds:
        assert set(roles[roles == "test"].index) == set(range(30, 40))
        assert set(roles.index) == set(range(40))
        slides = cells.set_index("id")["slide"]
        assert not set(slides[roles == "train"]) & set(slides[roles == "validation"])
    validated = [n for roles in folds for n in roles[roles == "validation"].index]
    assert sorted(validated) == list(range(30))
    half = draw_split(cells, **how, fraction="0.5", fold=0).roles["role"].value_counts()
    assert (half["train"], half["validation"], half["test"]) == (12, 3, 10)
    with pytest.raises(SplitError, match="A grouped split has 5 folds"):
        draw_split(cells, **how, fraction="1.0", fold=5)


def test_the_folds_of_amibr_are_those_of_its_benchmark(shared):
    """Five parts of `StratifiedGroupKFold(5, shuffle=True, random_state=42)` over the list's slides."""
    from sklearn.model_selection import StratifiedGroupKFold

    card = load_card(CONFIG, "datasets", "amibr")
    cells = read_cells(shared / card["annotations"], shared / card["images"], card, "amibr")
    path, scheme = shared / card["predefined"]["table"], load_card(CONFIG, "schemes", "predefined")
    scheme["predefined"] = card["predefined"]
    cells = mark_listed(cells, [path], scheme)
    assert describe_listed(cells) == {
        "listed_cells": 2894, "listed_slides": 146, "tested_slides": 56, "slides_on_both_sides": 0,
    }  # fmt: skip
    listed = pd.read_csv(path)
    parts = StratifiedGroupKFold(5, shuffle=True, random_state=42)
    names = cells.set_index("id")["image"].str.rpartition("/")[2]
    theirs = parts.split(listed, listed["final_label"] == "Atypical", listed["slide"])
    for fold, (train, validation) in enumerate(theirs):
        roles = draw_split(cells, scheme, scheme="predefined", fraction="1.0", fold=fold).roles
        mine = {role: set(names[part["id"]]) for role, part in roles.groupby("role")}
        assert mine["train"] == set(listed["dataset_uid"].iloc[train])
        assert mine["validation"] == set(listed["dataset_uid"].iloc[validation])
        assert len(mine["test"]) == 826
