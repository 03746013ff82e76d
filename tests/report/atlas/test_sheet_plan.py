import numpy as np
import pandas as pd
from atlas_by_hand import SCORES, by_hand, voted

from cryotome.report.atlas.errors import Atlas
from cryotome.report.atlas.sheet_plan import PATCHES_PER_SHEET, plan_sheets


def planned(atlas):
    return {sheet.file: sheet for sheet in plan_sheets(atlas)}


def test_there_is_a_sheet_for_each_row_and_domain_that_has_an_error():
    assert list(planned(by_hand())) == [
        "disagreement.left.jpg", "errors.left.a.h.jpg", "errors.left.c.h.jpg",
        "disagreement.right.jpg", "errors.right.b.h.jpg", "errors.right.c.h.jpg",
    ]  # fmt: skip


def test_errors_are_sorted_by_confidence_and_every_tile_says_what_it_is():
    sheet = planned(by_hand())["errors.left.a.h.jpg"]
    (positives, first), (negatives, second) = sheet.sections
    assert positives == "False positives, 2 of 2: look-alike called mitotic figure"
    assert negatives == "False negatives, 1 of 1: mitotic figure called look-alike"
    assert [tile.cell for tile in first + second] == sheet.cells == [0, 2, 3]
    assert [tile.number for tile in first] == ["score 0.900", "score 0.600"]
    assert first[1].lines == ("1.tiff", "x 300  y 300.5")
    assert [tile.flag for tile in first] == ["holds mitotic figure", ""]
    assert [tile.label for tile in first + second] == [0, 0, 1]
    assert sheet.heading[0] == "Six cells, left side"
    assert sheet.description.startswith(
        "Six cells, left side; Model a + h: most confident errors; score"
    )
    assert "mean over 1 to 2 of 2 test folds; scheme slide_grouped" in sheet.description


def test_disagreement_is_sorted_and_says_how_many_are_wrong():
    sheet = planned(by_hand())["disagreement.left.jpg"]
    ((title, tiles),) = sheet.sections
    assert title == ("4 of 4 cells. SD of the models' scores: 0 all alike, 0.5 half against half")
    assert sheet.cells == [0, 3, 1, 2]
    assert tiles[0].number == "SD 0.327"
    assert [tile.lines[0] for tile in tiles] == [
        "1 of 3 wrong", "2 of 3 wrong", "0 of 3 wrong", "1 of 3 wrong",
    ]  # fmt: skip


def test_errors_that_a_rater_shares_are_flagged_and_counted():
    sheet = planned(voted())["errors.left.a.h.jpg"]
    (positives, first), (negatives, second) = sheet.sections
    assert positives.endswith("look-alike called mitotic figure; 1 shared by a rater")
    assert negatives.endswith("mitotic figure called look-alike; 1 shared by a rater")
    assert [tile.flag for tile in first] == [
        "holds mitotic figure; 1 of 3 raters against label", ""
    ]  # fmt: skip
    assert second[0].flag == "1 of 3 raters against label"
    assert planned(voted())["errors.right.b.h.jpg"].sections[1][0].endswith("; 0 shared by a rater")


def test_one_row_disagrees_with_nobody():
    assert list(planned(by_hand({"a + h": SCORES["a + h"]}))) == ["errors.left.a.h.jpg"]


def test_classes_are_called_as_the_card_calls_them():
    names = [{"name": "normal mitotic figure"}, {"name": "atypical mitotic figure"}]
    sheet = planned(by_hand(classes=names))["errors.left.a.h.jpg"]
    assert "look-alike" not in sheet.description
    assert sheet.sections[0][1][0].flag == "holds atypical mitotic figure"


def test_scanners_part_the_sheets_and_an_unknown_one_is_said():
    atlas = by_hand(scanners={"s360": {"title": "Hamamatsu S360", "where": {}}})
    atlas.cells.loc[[0, 1], "scanner"] = "s360"
    sheets = planned(atlas)
    assert "errors.left.s360.a.h.jpg" in sheets
    assert sheets["errors.left.s360.a.h.jpg"].heading[0] == "Six cells, left side, Hamamatsu S360"
    assert sheets["errors.left.a.h.jpg"].heading[0] == "Six cells, left side, scanner not known"


def test_their_number_and_their_tiles_are_bounded():
    """Four rows that are always wrong, 200 cells, two domains: ten sheets of twelve."""
    rng = np.random.default_rng(0)
    hand, label = by_hand(), rng.integers(2, size=200)
    ids = pd.Index(range(200), name="id")
    cells = pd.DataFrame({"image": "1", "slide": "1", "x": 0.0, "y": 0.0, "scanner": ""}, index=ids)
    cells = cells.assign(domain=np.repeat(["left", "right"], 100), label=label, folds=1)
    cells["holds_figure"] = False
    scores = pd.DataFrame({f"m{n} + h": 1 - label - 0.1 * rng.random(200) for n in range(4)}, ids)
    labels = {row: row for row in scores}
    sheets = list(
        plan_sheets(Atlas("d", cells, scores, hand.card, labels, cells, "random", "1.0", 1))
    )
    assert len(sheets) == (4 + 1) * 2
    assert {len(sheet.cells) for sheet in sheets} == {PATCHES_PER_SHEET} == {12}
