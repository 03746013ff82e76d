import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of
from tests.study.test_study import study

from cryotome.evaluation.variance_split import COLUMNS, COMPONENTS
from cryotome.report.figures.scanners import CAUSES, draw_variance_split, largest_fraction
from cryotome.study.gather_facts import row_facts

ROWS = ["efficientnet_lite0 + ridge_cv", "colour_histogram + ridge_cv"]


@pytest.fixture
def table() -> pd.DataFrame:
    """Two rows at two fractions; the scanner of none is known."""
    lines = [
        {"dataset": "amibr", "scheme": "slide_grouped", "fraction": fraction, "row": row,
         "component": name, "sd": None if name == "scanner" else 0.02 * fraction, "sd_low": 0.0,
         "sd_high": 0.1, "share": 0.25, "levels": 4}
        for fraction in (0.5, 1.0) for row in ROWS for name in COMPONENTS
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=COLUMNS)


def test_every_component_has_a_name():
    assert list(CAUSES) == COMPONENTS


def test_known_components_are_drawn_at_the_largest_fraction(table):
    facts = row_facts(study("amibr_robustness"))
    figure = draw_variance_split(table, facts)
    (points,) = marked(panels(figure)[0], "point")
    drawn = rows_of(figure, points)
    assert set(drawn["sd"]) == {0.02}
    assert set(drawn["component"]) == {"slide", "domain", "fold", "rest"}
    assert set(drawn["key"]) == set(ROWS)


def test_what_is_not_identified_is_no_mark(table):
    assert "scanner" not in set(largest_fraction(table)["component"])
