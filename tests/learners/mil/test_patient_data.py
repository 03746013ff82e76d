import numpy as np
import pandas as pd
import pytest

from cryotome.core.errors import SplitError, StoreError
from cryotome.learners.mil.patient_data import load_bags, patients_with_bags

TILES = {"a1": np.ones((2, 3), "f4"), "a2": np.zeros((1, 3), "f4"), "b1": np.zeros((0, 3), "f4"),
         "b2": np.full((1, 3), 5, "f4"), "c1": np.zeros((0, 3), "f4")}  # fmt: skip
SLIDES = pd.DataFrame({"FILENAME": list(TILES), "PATIENT": ["a", "a", "b", "b", "c"]})


def test_all_slides_of_a_patient_are_one_bag_and_empty_ones_are_named():
    bags, empty = load_bags(SLIDES, TILES.__getitem__, which="all")
    assert {patient: bag[:, 0].tolist() for patient, bag in bags.items()} == {
        "a": [1, 1, 0],
        "b": [5],
    }
    assert empty == ["b1", "c1"]


def test_the_first_slide_alone_is_the_first_with_tiles():
    bags, _ = load_bags(SLIDES, TILES.__getitem__, which="first")
    assert {patient: bag[:, 0].tolist() for patient, bag in bags.items()} == {"a": [1, 1], "b": [5]}


@pytest.mark.parametrize("odd", [np.zeros((1, 4), "f4"), np.full((1, 3), np.nan, "f4")])
def test_bags_that_differ_or_are_not_finite_are_refused(odd):
    with pytest.raises(
        StoreError, match="The bag of slide b2 has .* features a tile, where others"
    ):
        load_bags(SLIDES, (TILES | {"b2": odd}).__getitem__, which="all")


def test_patients_without_tiles_are_left_out_and_named():
    roles = pd.DataFrame({"id": ["a", "b", "c", "d", "e"], "role": ["train"] * 3 + ["test"] * 2})
    targets = pd.Series([1, 0, 1, 1, 0], index=list("abcde"))
    bags = dict.fromkeys("abde", np.zeros((1, 1), "f4"))
    table, lost = patients_with_bags(roles, targets, bags)
    assert table["id"].tolist() == ["a", "b", "d", "e"]
    assert table["label"].tolist() == [1, 0, 1, 0]
    assert lost == ["c"]
    with pytest.raises(SplitError, match="The 1 test patients whose slides have tiles are of one"):
        patients_with_bags(roles, targets, {k: v for k, v in bags.items() if k != "e"})
