import numpy as np
import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of, title_of
from tests.study.test_study import study

from cryotome.evaluation.robustness.table import COLUMNS, INDICES
from cryotome.report.figures.robustness import LOSS, SCALES, draw_robustness
from cryotome.study.gather_facts import row_facts

MODELS = {"efficientnet_lite0": 0.6, "colour_histogram": 0.4}


@pytest.fixture
def table():
    """Two models against slides, without nIPD, and against domains, sampled."""
    lines = [
        {"dataset": "amibr", "confounder": confounder, "index": index, "head": "ridge_cv",
         "model": model, "value": at if index != "nIPD" or confounder == "domain" else np.nan,
         "low": at - 0.1, "high": at + 0.1, "chance": 0.5, "n": 3720, "slides": 202,
         "sampled": confounder == "domain", "loss": at / 4, "loss_low": 0.0, "loss_high": 0.3}
        for confounder in ("slide", "domain") for index in INDICES for model, at in MODELS.items()
    ]  # fmt: skip
    return pd.DataFrame(lines, columns=COLUMNS)


def test_indices_stand_beside_the_loss_and_undefined_ones_are_left_out(table):
    figure = draw_robustness(table, row_facts(study("amibr_robustness")))
    titles = [
        panel["layer"][0]["encoding"]["x"]["title"] for line in figure["concat"]
        for panel in line["concat"]
    ]  # fmt: skip
    scales = [*SCALES.values()]
    assert titles == [*scales[:4], LOSS, *scales[:4], LOSS, scales[4]]


def test_a_filled_mark_is_the_value_and_a_hollow_one_chance(table):
    figure = draw_robustness(table, row_facts(study("amibr_robustness")))
    (points,) = marked(panels(figure)[0], "point")
    drawn = rows_of(figure, points).set_index(["model", "what"])["at"]
    assert drawn["efficientnet_lite0", "value"] == 0.6
    assert drawn["efficientnet_lite0", "chance"] == 0.5
    assert "value" in str(points["encoding"]["fillOpacity"]["condition"])


def test_a_line_says_how_many_cells_and_whether_they_were_drawn(table):
    figure = draw_robustness(table, row_facts(study("amibr_robustness")))
    first, second = (title_of(line)[0] for line in figure["concat"])
    assert first == "AMi-Br, by slide: 3,720 cells of 202 slides; hollow: chance"
    assert second == "AMi-Br, by domain: 3,720 cells drawn of 202 slides; hollow: chance"
