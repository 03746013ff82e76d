import json

import pytest
from test_annotations import read

from cryotome.cells import read_cells
from cryotome.errors import DataError


def test_wrong_counts_stop_the_reading(shared):
    expect = {"images": 354, "cells": {"human_breast": [1721, 2714]}}
    with pytest.raises(DataError, match=r"human_breast has \[2714, 1721\] .* not \[1721, 2714\]"):
        read("midog2022", shared, expect=expect)


def test_a_cell_of_no_domain_is_named(cohort, demo_card):
    card = demo_card | {"domains": {"breast": demo_card["domains"]["breast"]}}
    with pytest.raises(
        DataError, match=r"1024 cells fit no domain or several, first the one in 009.tiff"
    ):
        read_cells(cohort / "annotations.json", cohort, card, "demo_rois")


def test_permuted_labels_keep_the_counts_only(cohort, demo_card):
    plain, shuffled = (
        read_cells(cohort / "annotations.json", cohort, demo_card | {"permute_labels": p}, "d")[
            "label"
        ]
        for p in (False, True)
    )
    assert plain.sum() == shuffled.sum()
    assert abs(plain.corr(shuffled)) < 0.1


def test_a_domain_that_asks_for_an_unknown_column_is_named(cohort, demo_card):
    domains = {"a": {"title": "a", "where": {"tumour": "x"}}}
    with pytest.raises(DataError, match=r"'a' asks for column 'tumour'; the reader gives \["):
        read_cells(cohort / "annotations.json", cohort, demo_card | {"domains": domains}, "d")


def test_a_dataset_without_one_class_is_refused(cohort, demo_card, tmp_path):
    content = json.loads((cohort / "annotations.json").read_text())
    for entry in content["annotations"]:
        entry["category_id"] = 2
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"cells and none of class 'mitotic figure'. Correct `is:`"):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")
