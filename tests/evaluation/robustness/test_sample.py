import numpy as np
import pandas as pd
from tests.evaluation.robustness.planted import planted

from cryotome.evaluation.robustness.sample import cap_slides, sample_cells

SCANNERS = {"scanners": {"one": {"title": "One", "where": {"domain": "lung"}}}}


def test_the_confounder_slide_keeps_slides_that_have_both_classes_often_enough():
    cells, _ = planted(of_class=0, of_confounder=0)
    alone = cells["slide"].eq("s00")
    cells.loc[alone, "label"] = [1, 1, *[0] * 10]
    table, whole = sample_cells(cells, {}, "slide", neighbours=3, most=1000)
    counts = table.groupby("slide")["label"].agg(["sum", "size"])
    assert "s00" not in set(table["slide"])
    assert (counts["sum"] >= 3).all() and (counts["size"] - counts["sum"] >= 3).all()
    assert whole == len(table) and (table["group_id"] == table["sample_id"].astype(str)).all()


def test_a_neighbour_must_lie_on_another_slide_where_slides_share_the_confounder():
    """The positives of lung lie on one slide: its own negatives have no neighbour elsewhere."""
    cells, _ = planted(of_class=0, of_confounder=0, slides=6)
    lung = cells["domain"].eq("lung")
    negative = cells.index % 12 > 5
    cells.loc[lung, "label"] = ((cells["slide"] == "s01") & ~negative)[lung].astype(int)
    table, _ = sample_cells(cells, {}, "domain", neighbours=6, most=1000)
    on_it = table[table["slide"] == "s01"]
    assert set(on_it["label"]) == {1}
    assert {"s03", "s05"} < set(table["slide"])


def test_cells_whose_scanner_is_not_known_are_left_out():
    cells, _ = planted(of_class=0, of_confounder=0)
    table, whole = sample_cells(cells, SCANNERS, "scanner", neighbours=2, most=1000)
    assert (len(table), whole) == (0, 0)  # one known scanner has no other
    two = {"title": "Two", "where": [{"slide": slide} for slide in ("s00", "s02", "s04")]}
    card = {"scanners": SCANNERS["scanners"] | {"two": two}}
    table, _ = sample_cells(cells, card, "scanner", neighbours=2, most=1000)
    assert set(table["confounder"]) == {"one", "two"}
    lung = set(cells.loc[cells["domain"] == "lung", "slide"])
    assert set(table["slide"]) == {"s00", "s02", "s04", *lung}


def test_a_large_store_gives_as_many_cells_of_each_slide_and_the_same_again():
    cells, _ = planted(of_class=0, of_confounder=0, cells=30)
    table, whole = sample_cells(cells, {}, "domain", neighbours=2, most=100)
    again, _ = sample_cells(cells, {}, "domain", neighbours=2, most=100)
    pd.testing.assert_frame_equal(table, again)
    assert whole == 360 and (table.groupby("slide").size() == 8).all()
    assert len(np.unique(np.diff(table["sample_id"]))) > 1, "not the first of each slide"


def test_more_slides_than_cells_give_one_cell_each():
    assert len(cap_slides(pd.DataFrame({"slide": list("abcabc"), "id": range(6)}), 2)) == 3
