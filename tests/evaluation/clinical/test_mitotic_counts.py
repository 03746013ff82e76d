import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cryotome.evaluation.clinical.mitotic_counts import (
    bland_altman,
    count_regions,
    deduplicate_tests,
    limits_of_agreement,
)

CELLS = pd.DataFrame(
    {
        "region": list("aaabb"),
        "domain": ["lung"] * 3 + ["skin"] * 2,
        "where": "out",
        "label": [1, 0, 0, 1, 1],
        "score": [0.9, 0.5, 0.1, 0.2, 0.5],
        "mm2": [2 / 3] * 3 + [np.nan] * 2,
    }
)


def counts(gaps: list[int], domain: str = "lung", fold: int = 0, area: float = 2.0) -> pd.DataFrame:
    """Regions of ten annotated figures in which so many more were counted."""
    images = [f"{domain}{k}" for k in range(len(gaps))]
    table = pd.DataFrame({"image": images, "annotated": 10, "counted": 10 + np.array(gaps)})
    return table.assign(domain=domain, where="out", area_mm2=area, fold=fold)


def test_cells_from_the_threshold_on_are_counted():
    table = count_regions(CELLS, 0.5).set_index("image")
    assert table["annotated"].to_dict() == {"a": 1, "b": 2}
    assert table["counted"].to_dict() == {"a": 2, "b": 1}
    assert table["cells"].to_dict() == {"a": 3, "b": 2}
    assert table.loc["a", "area_mm2"] == 2.0
    assert np.isnan(table.loc["b", "area_mm2"])


def test_bias_and_limits_by_hand():
    found = bland_altman(np.array([2.0, 4.0, 4.0, 6.0]))
    # mean 4; squares 4 + 0 + 0 + 4 = 8, over n - 1 = 3: SD 1.63299
    assert found["rois"] == 4
    assert found["bias"] == 4.0
    assert found["sd"] == pytest.approx(1.63299, abs=1e-5)
    # 4 -+ 1.96 * 1.63299 = 4 -+ 3.20067
    assert (found["lower"], found["upper"]) == pytest.approx((0.79933, 7.20067), abs=1e-5)
    # t of 3 degrees 3.18245; SE of the bias 1.63299 / 2 = 0.81650: 2.59846
    assert (found["bias_low"], found["bias_high"]) == pytest.approx((1.40154, 6.59846), abs=1e-5)
    # SE of a limit 1.63299 * sqrt(1/4 + 1.96² / (2 * 3)) = 1.54079 (√(3/n) s would be 1.41421)
    half = 3.18245 * 1.54079
    assert found["upper_high"] - found["upper"] == pytest.approx(half, abs=1e-3)
    assert found["lower"] - found["lower_low"] == pytest.approx(half, abs=1e-3)


def test_the_interval_of_a_limit_holds_the_limit_in_95_of_100_studies():
    rng, held = np.random.default_rng(0), 0
    for _ in range(2000):
        found = bland_altman(rng.normal(1, 2, size=30))
        held += found["upper_low"] <= 1 + 1.959964 * 2 <= found["upper_high"]
    assert held / 2000 == pytest.approx(0.95, abs=0.015)


def test_one_region_has_a_difference_and_no_limits():
    found = bland_altman(np.array([3.0]))
    assert (found["rois"], found["bias"]) == (1, 3.0)
    assert np.isnan([found["sd"], found["bias_low"], found["lower"], found["upper_high"]]).all()


def test_a_region_that_several_folds_test_counts_once_with_its_mean():
    both = pd.concat([counts([2, 6]), counts([4, 0], fold=1)])
    table = deduplicate_tests(both)
    assert len(table) == 2
    assert (table["counted"] - table["annotated"]).tolist() == [1.5, 1.5]  # 3 in 2 mm²
    assert set(table["unit"]) == {"per mm2"}
    assert limits_of_agreement(both)["rois"].tolist() == [2]


def test_without_an_area_of_every_region_counts_are_per_region():
    table = limits_of_agreement(pd.concat([counts([1, 3]), counts([5, 7], "skin", area=np.nan)]))
    found = table.set_index("domain")[["rois", "bias", "unit"]].to_dict("index")
    per = {"unit": "per region"}
    assert found["lung"] == {"rois": 2, "bias": 2.0} | per
    assert found["skin"] == {"rois": 2, "bias": 6.0} | per
    assert found["all"] == {"rois": 4, "bias": 4.0} | per


def test_limits_are_those_of_one_count_where_models_err_to_both_sides():
    """Two regions, each counted by one model 10 too high and by one 10 too low: mean 0 and 0."""
    found = bland_altman(np.array([0.0, 0.0]), np.array([200.0, 200.0]), np.array([2.0, 2.0]))
    # between 0; inside 200; one count: 0 + (1 - 1/2) * 200 = 100
    assert found["sd"] == 10.0
    assert (found["lower"], found["upper"]) == (-19.6, 19.6)
    table = limits_of_agreement(
        pd.concat([counts([10, 10], area=1.0), counts([-10, -10], fold=1, area=1.0)])
    )
    assert table["sd"].tolist() == [10.0]
    assert table["bias"].tolist() == [0.0]


def test_the_limits_hold_19_of_20_counts_of_any_model():
    rng = np.random.default_rng(2)
    of_region, of_model = rng.normal(0, 3, 400)[:, None], np.array([-8.0, 0.0, 8.0])
    gaps = 5 + of_region + of_model + rng.normal(0, 1, (400, 3))
    found = bland_altman(gaps.mean(1), gaps.var(1, ddof=1), np.full(400, 3.0))
    held = ((found["lower"] <= gaps) & (gaps <= found["upper"])).mean()
    assert found["sd"] == pytest.approx(gaps.std(), rel=0.02)
    assert held > 0.94  # limits of the means would hold 0.4


def test_agreement_is_what_numpy_makes_of_the_counts():
    rng = np.random.default_rng(1)
    folds = [
        counts(rng.integers(-5, 6, 20).tolist(), d, k) for d in ("lung", "skin") for k in (0, 1)
    ]
    table = limits_of_agreement(pd.concat(folds)).set_index("domain")
    for domain, parts in {"lung": folds[:2], "skin": folds[2:]}.items():
        each = np.array([p["counted"].to_numpy() - 10 for p in parts]) / 2  # in 2 mm²
        gaps, inside = each.mean(0), each.var(0, ddof=1).mean()
        line = table.loc[domain]
        assert line["bias"] == pytest.approx(gaps.mean())
        sd = np.sqrt(gaps.var(ddof=1) + inside / 2)
        assert line["upper"] == pytest.approx(gaps.mean() + 1.96 * sd)
        low, high = stats.t.interval(0.95, 19, gaps.mean(), stats.sem(gaps))
        assert (line["bias_low"], line["bias_high"]) == pytest.approx((low, high))
