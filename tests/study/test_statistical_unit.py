import pandas as pd
import pytest

from cryotome.core.errors import CardError
from cryotome.study.statistical_unit import (
    UNKNOWN,
    check_named,
    check_scheme,
    noted,
)

CROPS = {"reader": "class_folders", "slides": "unknown"}


def test_class_folders_without_metadata_must_say_what_is_known_of_their_slides():
    with pytest.raises(CardError, match=r"'mine'.*name no slide. Write `slides: unknown`"):
        check_named({"reader": "class_folders"}, "mine")
    check_named(CROPS, "mine")
    check_named({"reader": "class_folders", "slides": "images"}, "mine")
    check_named({"reader": "class_folders", "annotations": "metadata.csv"}, "mine")
    check_named({"reader": "table"}, "mine")


@pytest.mark.parametrize(
    ("scheme", "draw"),
    [("slide_grouped", "slides"), ("random_matched", "cells"), ("no_overlap", "cells_apart")],
)
def test_schemes_that_ask_for_slides_are_refused_by_name(scheme, draw):
    with pytest.raises(CardError, match=f"'mine', scheme '{scheme}': .*`slides: unknown`"):
        check_scheme(CROPS, "mine", scheme, draw)
    check_scheme({"reader": "class_folders", "slides": "images"}, "mine", scheme, draw)


def test_schemes_that_do_not_are_free():
    check_scheme(CROPS, "mine", "random", "cells")
    check_scheme(CROPS | {"reader": "table"}, "mine", "no_overlap", "cells_apart")


def test_notes_of_lines_without_slides_say_so_once_and_keep_what_they_said():
    table = pd.DataFrame(
        {"dataset": ["a", "b", "b", "b"], "note": ["x", None, "x", f"9 {UNKNOWN}: y"]}
    )
    assert noted(table, ["b"])["note"].tolist() == [
        "x",
        UNKNOWN,
        f"{UNKNOWN}; x",
        f"9 {UNKNOWN}: y",
    ]
    assert noted(table, []) is table
    bare = noted(table[["dataset"]], ["b"])["note"].tolist()
    assert bare == ["", UNKNOWN, UNKNOWN, UNKNOWN]
    assert noted(table[:0], ["b"]).columns.tolist() == ["dataset", "note"]
