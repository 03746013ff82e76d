import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of, title_of
from tests.study.test_study import study

from cryotome.evaluation.external import COLUMNS
from cryotome.report.figures.external import draw_external
from cryotome.study.gather_facts import row_facts


@pytest.fixture
def table():
    """Two rows, each trained on one part of AMi-Br and tested on the other."""
    parts = ["amibr_midog21", "amibr_tupac16"]
    lines = [
        {"dataset": one, "scheme": "slide_grouped", "fraction": 1.0, "external": other,
         "row": f"efficientnet_lite0 + {head}", "n": 1721, "left_out": n, "slides": 60,
         "auroc": at, "low": at - 0.05, "high": at + 0.05,
         "inside": at + 0.1, "inside_low": at + 0.06, "inside_high": at + 0.14}
        for n, (one, other) in enumerate((parts, parts[::-1]))
        for head, at in (("ridge_cv", 0.6), ("lora_short", 0.75))
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=COLUMNS)


def test_each_row_has_a_filled_mark_outside_and_a_hollow_one_inside(table):
    figure = draw_external(table, row_facts(study("amibr_external")))
    first, second = panels(figure)
    assert title_of(first)[1] == "tested on AMi-Br, its part of TUPAC16: 1,721 cells"
    assert title_of(second)[1].endswith("1,721 cells, 1 that both have left out")
    (points,) = marked(first, "point")
    drawn = rows_of(figure, points).set_index(["key", "place"])["at"]
    assert drawn["efficientnet_lite0 + lora_short", "external"] == 0.75
    assert drawn["efficientnet_lite0 + lora_short", "in domain"] == pytest.approx(0.85)
    assert points["encoding"]["y"]["sort"][0].endswith("LoRA, short")
    assert points["encoding"]["x"]["title"] == "AUROC, 95 % over slides; hollow: in domain"
    assert "external" in str(points["encoding"]["fillOpacity"]["condition"])
