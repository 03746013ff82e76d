import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of, title_of, words
from tests.study.test_study import study

from cryotome.evaluation.clinical.recalibration import COLUMNS
from cryotome.report.figures.recalibration import draw_recalibration, fitted_labels
from cryotome.study.gather_facts import row_facts

ROWS = ["efficientnet_lite0 + ridge_cv", "colour_histogram + ridge_cv"]


def invented_table():
    """Two rows at two fractions, in domain and out of domain, with 0 or 50 labels of the target."""
    lines = []
    for scheme, where, counts in (("slide_grouped", "in", [0]), ("from_*", "out", [0, 50])):
        keys = [("none", 0)] + [(m, n) for m in ("temperature", "logistic") for n in counts]
        for row in ROWS:
            for fraction, cells in ((0.1, 200), (1.0, 2000)):
                place = {"dataset": "amibr", "scheme": scheme, "fraction": fraction, "row": row}
                place |= {"where": where, "models": 5, "n": 3000, "note": ""}
                for method, spent in keys:
                    named = place | {"method": method, "labels_spent": spent}
                    named |= {"labels": cells + spent, "floor": 0.03}
                    value = {"value": 0.1, "low": 0.05, "high": 0.2}
                    change = {} if method == "none" else {"change": -0.02, "change_low": -0.03,
                                                          "change_high": -0.01}  # fmt: skip
                    lines += [named | {"measure": name} | value | change
                              for name in ("ece_by_model", "brier")]  # fmt: skip
                auroc = {"measure": "auroc", "method": "none", "labels_spent": 0}
                auroc |= {"labels": cells, "value": 0.8, "low": 0.7, "high": 0.9}
                lines.append(place | auroc)
    return pd.DataFrame(lines, columns=COLUMNS).assign(study="s", synthetic=False)


@pytest.fixture
def figure():
    return draw_recalibration(invented_table(), row_facts(study("amibr_calibration")))


def test_calibration_stands_beside_auroc_over_the_same_labels(figure):
    shown = panels(figure)
    assert [title_of(panel)[-1] for panel in shown[:4]] == [
        "as scored", "temperature, on validation cells", "slope and intercept, on validation cells",
        "as scored",
    ]  # fmt: skip
    assert len(shown) == 3 * 4  # in domain; out of domain on validation cells, and on the target's
    assert title_of(shown[4])[0] == "AMi-Br, from_*, out of domain"
    assert title_of(shown[-2])[-1].endswith("target")  # … 50 labelled cells of the
    first, last = shown[0], shown[3]
    for panel in (first, last):
        points = marked(panel, "point")[0]
        assert points["encoding"]["x"]["axis"]["values"] == [200, 2000]
        assert set(rows_of(figure, points)["key"]) == set(ROWS)
    assert marked(first, "point")[0]["encoding"]["y"]["title"] == "calibration error of a model"
    assert marked(last, "point")[0]["encoding"]["y"]["title"] == "AUROC"


def test_labels_of_the_target_count_on_the_axis(figure):
    points = marked(panels(figure)[-2], "point")[0]
    assert points["encoding"]["x"]["axis"]["values"] == [250, 2050]
    assert set(rows_of(figure, points)["labels_spent"]) == {50}


def test_panels_of_one_line_have_the_same_heights_and_the_floor_is_dotted(figure):
    shown = panels(figure)
    ends = [marked(panel, "point")[0]["encoding"]["y"]["scale"]["domain"] for panel in shown[:3]]
    assert ends[0] == ends[1] == ends[2]
    levels = [rows_of(figure, panel["layer"][0])["level"].iloc[0] for panel in (shown[0], shown[3])]
    assert levels == [pytest.approx(0.03), 0.5]
    assert "95 % over slides; dotted: perfect calibration, or chance" in words(figure)


def test_the_least_and_the_most_labels_are_shown():
    table = pd.DataFrame({"method": ["none", "logistic", "logistic"], "labels_spent": [0, 20, 50]})
    assert fitted_labels(table) == [20, 50]
