import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss

from cryotome.core.metrics import calibration_error
from cryotome.evaluation.clinical.calibration import (
    calibration_interval,
    recalibrate,
    reliability_bins,
    slide_mean,
    summarise_calibration,
)


def scored(slides: int = 40, per: int = 50, slope: float = 1.0, spread: float = 0.0, seed: int = 0):
    """Cells whose logit is `slope` times what the score says, slides differing by a SD."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), per)
    said = rng.normal(scale=1.5, size=len(slide))
    chance = expit(slope * said + rng.normal(scale=spread, size=slides)[slide])
    label = (rng.random(len(slide)) < chance).astype(int)
    text = pd.Series(slide.astype(str)).astype("category")
    return pd.DataFrame({"label": label, "score": expit(said), "slide": text})


def test_brier_score_is_that_of_scikit_learn():
    table = scored()
    expected = brier_score_loss(table["label"], table["score"])
    assert summarise_calibration([table], 50)["brier"] == pytest.approx(expected, abs=1e-12)


def test_calibration_error_by_hand():
    # bins of 1/15: 0.5 in (7/15, 8/15], 0.9 in (13/15, 14/15]
    label, score = np.array([0, 1, 1, 1, 0]), np.array([0.5, 0.5, 0.9, 0.9, 0.9])
    # |1 - 1.0| = 0 of two cells; |2 - 2.7| = 0.7 of three: 0.7 / 5
    found = calibration_interval(label, score, np.array([0, 0, 1, 1, 1]), 50)
    assert found[0] == pytest.approx(0.14, abs=1e-12)
    assert found[0] == pytest.approx(calibration_error(label, score), abs=1e-12)


def test_the_diagram_adds_up_to_the_calibration_error():
    table = scored(slope=0.5)
    bins = reliability_bins(table)
    assert bins["n"].sum() == len(table)
    assert (bins["mean_score"].between(bins["low"], bins["high"])).all()
    gap = (bins["share_positive"] - bins["mean_score"]).abs() * bins["n"]
    assert gap.sum() / len(table) == pytest.approx(
        summarise_calibration([table], 50)["ece"], abs=1e-12
    )
    assert (bins["share_low"] <= bins["share_positive"]).all()


def test_slope_and_intercept_are_those_of_statsmodels():
    table = scored(slope=0.6)
    x = logit(table["score"].to_numpy())
    label = table["label"].to_numpy()
    family = sm.families.Binomial()
    slope = sm.GLM(label, sm.add_constant(x), family=family).fit().params[1]
    intercept = sm.GLM(label, np.ones(len(x)), family=family, offset=x).fit().params[0]
    assert recalibrate(label, table["score"].to_numpy()) == pytest.approx(
        (slope, intercept), abs=1e-6
    )
    assert 0.5 < slope < 0.7  # overconfident, as planted


def test_what_has_no_slope_gets_none():
    nothing = [np.isnan(v) for v in recalibrate(np.ones(4), np.array([0.1, 0.2, 0.3, 0.4]))]
    assert nothing == [True, True]  # one class
    slope, intercept = recalibrate(np.array([0, 1, 1, 1]), np.full(4, 0.5))
    assert np.isnan(slope)  # the probe whose optimum is W = 0
    assert intercept == pytest.approx(np.log(3))  # 3 of 4 where a half was said
    slope, _ = recalibrate(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert np.isnan(slope)  # the scores part the classes


def test_scores_that_are_all_equal_are_called_so():
    table = scored().assign(score=0.45)
    found = summarise_calibration([table], 50)
    assert found["note"] == "all scores are equal in 1 of 1 folds"
    assert found["ece"] == pytest.approx(abs(table["label"].mean() - 0.45))
    assert len(reliability_bins(table)) == 1


def test_folds_that_differ_in_nothing_but_their_mean_have_no_slope():
    parts = [scored().assign(score=0.45), scored(seed=1).assign(score=0.47)]
    found = summarise_calibration(parts, 50)
    assert found["note"] == "all scores are equal in 2 of 2 folds"
    assert np.isnan(found["slope"])
    found = summarise_calibration([parts[0], scored(seed=1)], 50)
    assert found["note"] == "all scores are equal in 1 of 2 folds"
    assert np.isfinite(found["slope"])


def test_the_interval_of_a_mean_is_that_of_slides_by_hand():
    # slide means 0.25 and 0.75 of four cells each: mean 0.5, linear parts -1 and +1
    value, slide = np.array([0, 0, 0, 1, 0, 1, 1, 1.0]), np.repeat([0, 1], 4)
    mean, low, high = slide_mean(value, slide)
    # SE = sqrt(2 * (1 + 1) / (2 - 1)) / 8 = 0.25; Student's t with one degree: 12.706
    assert (mean, low, high) == (0.5, 0.0, 1.0)
    mean, low, high = slide_mean(value / 100, slide)
    assert high - mean == pytest.approx(12.7062 * 0.0025, rel=1e-4)
    assert np.isnan(slide_mean(value, np.zeros(8))[1])  # one slide


@pytest.mark.parametrize(("slope", "truth", "least"), [(1.0, 0.0, 0.93), (0.4, 0.120, 0.85)])
def test_intervals_of_the_calibration_error_hold_the_truth(slope, truth, least):
    """The truth is the error in four million cells; plain percentiles never hold 0."""
    held = 0
    for seed in range(100):
        table = scored(slope=slope, seed=seed)
        arrays = [table["label"].to_numpy(), table["score"].to_numpy()]
        _, low, high = calibration_interval(*arrays, table["slide"].cat.codes.to_numpy(), 200)
        held += low <= truth <= high
    assert held / 100 >= least


def test_one_slide_gives_no_interval():
    found = summarise_calibration([scored(slides=1)], 50)
    assert np.isnan([found["brier_low"], found["ece_low"], found["ece_high"]]).all()
    assert 0 < found["brier"] < 1
