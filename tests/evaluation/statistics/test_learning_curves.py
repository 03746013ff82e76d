import numpy as np
import pytest
from tests.evaluation.statistics.test_comparisons import curve

from cryotome.evaluation.statistics.learning_curves import (
    crossing_fraction,
    crossings,
    fit_curve,
    learning_curves,
)


def test_a_learning_law_is_recovered_and_three_fractions_are_too_few():
    n = np.array([13, 131, 1315, 13153])
    limit, drop, power = fit_curve(n, 0.9 - 0.8 * n**-0.4)
    assert (limit, drop, power) == pytest.approx((0.9, 0.8, 0.4), rel=1e-3)
    assert fit_curve(n[:3], np.array([0.6, 0.7, 0.8])) is None


def test_a_curve_that_falls_has_no_limit():
    n = np.array([13, 131, 1315, 13153])
    assert fit_curve(n, np.array([0.57, 0.62, 0.56, 0.50])) is None
    assert fit_curve(n, np.array([0.60, 0.57, 0.54, 0.50])) is None


def test_where_a_learning_curve_reaches_a_value():
    fractions, curve = np.array([0.01, 0.1, 1.0]), np.array([0.6, 0.7, 0.8])
    assert crossing_fraction(fractions, curve, 0.7) == pytest.approx(0.1)
    assert crossing_fraction(fractions, curve, 0.5) == 0.0
    assert crossing_fraction(fractions, curve, 0.6) == 0.01
    assert np.isnan(crossing_fraction(fractions, curve, np.nan))
    assert crossing_fraction(fractions, curve, 0.81) == np.inf


def test_learning_curves_have_limits_with_intervals(monkeypatch):
    with monkeypatch.context() as patch:
        fit = lambda n, y: (min(y.max() + 0.01, 0.99), 0.5, 0.3)  # noqa: E731
        patch.setattr("cryotome.evaluation.statistics.learning_curves.fit_curve", fit)
        table = learning_curves(curve([0.001, 0.01, 0.1, 1.0])).set_index("row")
    assert table.loc["good", "low"] <= table.loc["good", "limit"] <= table.loc["good", "high"]
    few = learning_curves(curve([0.1, 1.0]))
    assert few["note"].str.contains("2 fractions: no law is fitted").all()
    assert learning_curves(curve([1.0])).empty


def test_a_row_that_was_not_run_at_every_fraction_has_a_shorter_curve():
    settings = curve([0.001, 0.01, 0.1, 1.0])
    least = settings["d", "random", "0.001", "all"].scores
    least.parts[:] = [part.drop(columns="good") for part in least.parts]
    notes = learning_curves(settings).set_index("row")["note"]
    assert notes["good"].startswith("3 fractions") and not notes["bad"].startswith("3 fractions")
    table = crossings(settings, "good").set_index(["fraction", "row"])
    assert table.loc[(0.001, "bad"), "equal_fraction"] == 0.0
    assert table.loc[(0.001, "bad"), "text"].endswith("equals less than good at 1 %")
    assert (0.001, "good") not in table.index


def test_a_limit_at_the_edge_of_the_law_is_no_finding(monkeypatch):
    monkeypatch.setattr(
        "cryotome.evaluation.statistics.learning_curves.fit_curve", lambda n, y: (1.0, 0.5, 0.1)
    )
    table = learning_curves(curve([0.001, 0.01, 0.1, 1.0]))
    assert table[["limit", "low", "high"]].isna().all(axis=None)
    assert (table["doubled"] > 0).all()
    assert table["note"].str.contains("AUROC 1 is not excluded").all()


def test_crossings_say_what_equals_what():
    table = crossings(curve([0.01, 0.1, 1.0]), "good")
    whole = table[(table["fraction"] == 1.0)].set_index("row")
    bad = whole.loc["bad"]
    assert 0.01 < bad["low"] <= bad["equal_fraction"] <= bad["high"] < 1.0
    assert bad["text"].startswith("bad at 100 % equals good at ")
    assert whole.loc["worse", "equal_fraction"] == 0
    assert "less than good at 1 %" in whole.loc["worse", "text"]
    turned = crossings(curve([0.01, 0.1, 1.0]), "worse")
    assert "more than worse at 100 %" in turned["text"].iloc[0]
