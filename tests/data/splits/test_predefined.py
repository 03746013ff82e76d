import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.data.splits.predefined import assign_roles, class_names


def test_every_cell_of_the_first_set_trains_and_every_one_of_the_second_tests():
    roles = assign_roles({"a": pd.DataFrame({"id": [0, 5]}), "b": pd.DataFrame({"id": [0]})})
    assert roles.to_dict("list") == {
        "id": ["a:0", "a:5", "b:0"],
        "role": ["train", "train", "test"],
    }


def test_a_scheme_that_is_given_draws_nothing(tmp_path):
    (tmp_path / "schemes").mkdir()
    lines = "title: x\nsource: x\n"
    for text, said in (
        ("split_by: predefined\ntest: 0.2", "False schema does not allow 0.2"),
        ("split_by: predefined\nseed: 1", "False schema does not allow 1"),
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
