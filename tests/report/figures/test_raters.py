import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of, title_of, words
from tests.evaluation.test_raters import SETTING, some_votes
from tests.evaluation.test_raters import rows_of as scored
from tests.study.test_study import study

from cryotome.evaluation.raters import compare_raters
from cryotome.report.figures.raters import draw_raters, with_raters
from cryotome.study.gather_facts import row_facts

NAMES = {
    "net + good": "efficientnet_lite0 + ridge_cv",
    "net + blind": "colour_histogram + ridge_cv",
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Two rows of the study of AMi-Br's raters beside three invented raters."""
    cells, votes = some_votes()
    cells = cells.rename(columns=NAMES)
    setting = ("amibr_raters", *SETTING[1:])
    return compare_raters({setting: scored(cells)}, {"amibr_raters": votes}, 0.05)


def test_rows_and_readers_stand_in_one_order_by_their_kappa(table):
    facts = row_facts(study("amibr_raters"))
    figure = draw_raters(table, facts)
    first, _ = panels(figure)
    assert title_of(first) == [
        "AMi-Br, with the votes of its raters, whole slides: rows and raters"
    ]
    raters, rows = marked(first, "point")
    drawn = rows_of(figure, raters)
    assert set(drawn["row"]) == {"rater: first", "rater: second", "rater: third"}
    own = rows_of(figure, rows).set_index("key")["value"]
    order = rows["encoding"]["y"]["sort"]
    assert order[-1] == facts.labels["colour_histogram + ridge_cv"]
    assert own["efficientnet_lite0 + ridge_cv"] > own["colour_histogram + ridge_cv"]
    assert len(order) == 5


def test_disputed_cells_are_hollow_and_the_ceiling_is_a_line(table):
    figure = draw_raters(table, row_facts(study("amibr_raters")))
    _, second = panels(figure)
    (points,) = marked(second, "point")
    drawn = rows_of(figure, points).groupby("cells")["value"].max()
    assert drawn["unanimous"] > drawn["disputed"]
    assert "unanimous" in str(points["encoding"]["fillOpacity"]["condition"])
    _, ceiling, _ = marked(second, "rule")
    best = table[(table["who"] == "ceiling") & (table["measure"] == "auroc")]["value"].iloc[0]
    assert rows_of(figure, ceiling)["value"].tolist() == pytest.approx([best])
    assert "dashed: ceiling of all cells" in words(figure)


def test_a_rater_is_named_a_reader_and_a_row_by_its_label(table):
    names = with_raters(table, {"efficientnet_lite0 + ridge_cv": "Lite0"})
    assert {"rater: third", "Lite0", "ceiling"} <= set(names["row"])
    assert "third" in set(names["key"])
