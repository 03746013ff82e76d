import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of, title_of
from tests.study.test_study import study
from tests.study.test_variants import SWEEP

from cryotome.report.figures.context import finest
from cryotome.report.figures.resolution import draw_resolution
from cryotome.study.gather_facts import context_facts, row_facts


@pytest.fixture
def table() -> pd.DataFrame:
    lines = [
        {"dataset": f"d{side}{mpp}", "base_dataset": "amibr", "scheme": "slide_grouped",
         "where": "all", "model": "efficientnet_lite0", "base_model": "efficientnet_lite0",
         "head": "ridge_cv", "pooling": "none", "fraction": 1.0, "side": side, "um": side / 4,
         "mpp": mpp, "auroc": 0.8 - mpp / 5 - side / 1000, "low": 0.5, "high": 0.9, "n": 100}
        for side in (64, 128) for mpp in (0.25, 0.5, 1.0)
    ]  # fmt: skip
    return pd.DataFrame(lines)


def test_one_panel_varies_the_resolution_and_one_the_field_of_view(table):
    swept = study("amibr_context", context=SWEEP)
    figure = draw_resolution(table, context_facts(swept), row_facts(swept))
    left, right = panels(figure)
    assert title_of(left)[0] == "AMi-Br, all"
    for panel, x, values, colour in ((left, "mpp", [0.25, 0.5, 1.0], "um:O"),
                                     (right, "um", [16.0, 32.0], "mpp:O")):  # fmt: skip
        points = marked(panel, "point")[0]
        assert points["encoding"]["x"]["axis"]["values"] == values
        assert points["encoding"]["color"]["field"] == colour.removesuffix(":O")
        assert points["encoding"]["x"]["title"].startswith({"mpp": "res", "um": "field"}[x])
        assert len(rows_of(figure, points)) == 6


def test_the_figure_of_crops_shows_the_finest_resolution_alone(table):
    assert finest(table)["side"].tolist() == [64, 128]
    assert finest(table.drop(columns="mpp")).shape[0] == 6
