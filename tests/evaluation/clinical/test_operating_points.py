import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_curve

from cryotome.evaluation.clinical.operating_points import (
    FoldCells,
    SlideResamples,
    achieved,
    operating_points,
    permits,
    threshold_at,
)
from cryotome.evaluation.scores import THRESHOLD


def cells(slides: int = 30, per: int = 40, shift: float = 0.0, area: float = 2.0, seed: int = 0):
    """Regions of so many mm², one a slide; positives score higher, all cells by a shift."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), per)
    label = rng.integers(2, size=len(slide))
    score = 1 / (1 + np.exp(-(2 * label - 1 + shift + rng.normal(size=len(slide)))))
    text = pd.Series(slide.astype(str)).astype("category")
    return pd.DataFrame({"label": label, "score": score, "slide": text, "mm2": area / per})


def line(table: pd.DataFrame, what: str, rate: float) -> pd.Series:
    kept = table["rate_per_mm2"].isna() if np.isnan(rate) else table["rate_per_mm2"] == rate
    return table[(table["what"] == what) & kept].iloc[0]


def test_at_a_fixed_rate_no_more_negatives_are_called_than_it_allows_by_hand():
    table = pd.DataFrame(
        {"label": [1, 0, 1, 0, 1, 0], "score": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4], "mm2": 1 / 3}
    )  # 2 mm²
    assert threshold_at(table, 0.5) == 0.7  # one negative, at 0.8; the next is at 0.6
    assert achieved(table, 0.7) == pytest.approx((2 / 3, 0.5))
    assert threshold_at(table, 0.49) == 0.9  # none
    assert [permits(table, rate) for rate in (0.4, 0.5, 1.0, 1.5)] == [False, True, True, False]


def test_negatives_that_tie_are_called_together_or_not_at_all():
    table = pd.DataFrame({"label": [1, 0, 0, 1], "score": [0.9, 0.5, 0.5, 0.5], "mm2": 0.25})
    assert threshold_at(table, 1.0) == 0.9  # one is allowed, and two would be called
    assert np.isinf(threshold_at(table.assign(score=0.5), 1.0))  # the probe whose W is 0


def test_sensitivity_at_a_rate_is_that_of_the_roc_curve():
    part = FoldCells(cells(), cells(seed=1))
    found = line(operating_points([part], 50), "fixed_rate", 2.0)
    false, true, _ = roc_curve(part.test["label"], part.test["score"], drop_intermediate=False)
    negatives = (part.test["label"] == 0).sum()
    allowed = false * negatives <= 2.0 * 60 + 1e-9  # 60 mm²
    assert found["sensitivity"] == pytest.approx(true[allowed].max())
    assert found["false_positives_per_mm2"] == pytest.approx(
        (false[allowed] * negatives).max() / 60
    )
    assert found["specificity"] == pytest.approx(1 - false[allowed].max())
    assert found["low"] < found["sensitivity"] < found["high"]


def test_a_carried_threshold_is_chosen_at_home_and_says_what_it_promised():
    home = cells(seed=1)
    away = cells(shift=1.5, seed=2)  # another stain: everything looks like a mitotic figure
    found = line(operating_points([FoldCells(away, home)], 50), "carried", 1.0)
    threshold = threshold_at(home, 1.0)
    assert found["threshold"] == threshold
    promised = found["promised_sensitivity"], found["promised_false_positives_per_mm2"]
    assert promised == pytest.approx(achieved(home, threshold))
    assert promised[1] == pytest.approx(1.0, abs=1 / 60)
    assert found["false_positives_per_mm2"] == pytest.approx(achieved(away, threshold)[1])
    assert found["false_positives_low"] > 3  # far more than was promised
    assert found["sensitivity"] > promised[0]


def test_the_draw_of_every_slide_once_is_the_plain_count():
    parts = [FoldCells(cells(seed=k), cells(seed=9)) for k in (0, 1)]
    slides = SlideResamples(parts, 20)
    for part, place in zip(parts, slides.places, strict=True):
        hits, ups, false, downs, area = slides.at_rates(part, place, [2.0])[0][:, 0]
        threshold = threshold_at(part.test, 2.0)
        assert achieved(part.test, threshold) == pytest.approx((hits / ups, false / area))
        assert ups + downs == len(part.test)
        again = slides.at_threshold(part, place, threshold)
        assert again[:, 0] == pytest.approx([hits, ups, false, downs, area])


def test_each_draw_of_slides_chooses_its_own_threshold():
    part = FoldCells(cells(slides=6), cells(seed=1))
    slides = SlideResamples([part], 40)
    found = slides.at_rates(part, slides.places[0], [2.0])[0]
    for draw in range(5):
        times = slides.weights[slides.places[0], draw].astype(int)
        drawn = part.test.loc[np.repeat(part.test.index, times)]
        expected = achieved(drawn, threshold_at(drawn, 2.0))
        # one slide drawn twice ties its own negatives, which weigh as one here
        assert found[0, draw] / found[1, draw] == pytest.approx(expected[0], abs=0.02)
        assert found[2, draw] <= 2.0 * found[4, draw] + 1e-3


def test_intervals_hold_the_truth_where_slides_differ():
    truth, held, rng = 0.0, 0, np.random.default_rng(0)

    def world(slides: int, seed: int) -> pd.DataFrame:
        table = cells(slides=slides, seed=seed)
        shift = np.random.default_rng(seed + 10_000).normal(scale=0.5, size=slides)
        z = np.log(table["score"] / (1 - table["score"]))
        codes = table["slide"].astype(int)
        return table.assign(score=1 / (1 + np.exp(-(z + shift[codes]))))

    many = world(3000, 77)
    truth = achieved(many, threshold_at(many, 2.0))[0]
    for seed in rng.integers(1_000_000, size=60):
        part = world(40, int(seed))
        found = line(operating_points([FoldCells(part, part)], 100), "fixed_rate", 2.0)
        held += found["low"] <= truth <= found["high"]
    assert held / 60 >= 0.85


def test_without_areas_only_the_threshold_of_the_largest_f1_is_carried():
    parts = [FoldCells(cells(area=np.nan), cells(seed=1, area=np.nan))]
    table = operating_points(parts, 50)
    assert table["what"].tolist() == ["carried"]
    assert table["rate_per_mm2"].isna().all() and table["false_positives_per_mm2"].isna().all()
    assert table["specificity"].between(0.5, 1).all()


def test_scores_that_are_all_equal_call_nothing_at_any_rate():
    parts = [FoldCells(cells().assign(score=0.5), cells(seed=1).assign(score=0.5))]
    table = operating_points(parts, 50)
    found = line(table, "fixed_rate", 2.0)
    assert found["sensitivity"] == found["false_positives_per_mm2"] == 0
    assert np.isnan(found["threshold"])
    assert line(table, "carried", np.nan)["sensitivity"] == 1  # F1 is largest where all is called


def test_a_domain_without_a_positive_or_a_fold_without_validation_says_what_it_can():
    none = operating_points([FoldCells(cells().assign(label=0), cells(seed=1))], 20)
    assert none["sensitivity"].isna().all() and none["specificity"].notna().all()
    bare = operating_points([FoldCells(cells(), cells().iloc[:0])], 20)
    carried = bare[bare["what"] == "carried"]
    assert carried["threshold"].tolist() == [THRESHOLD]
    assert carried["promised_sensitivity"].isna().all()
