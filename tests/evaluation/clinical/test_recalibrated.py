import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from cryotome.core.metrics import calibration_error
from cryotome.evaluation.clinical.calibration import calibration_interval
from cryotome.evaluation.clinical.recalibrated import (
    BEFORE,
    BY_MODEL,
    ERRORS,
    ScoredPart,
    measure_parts,
)

AFTER = ("logistic", 0)


def scored_part(*, slides=30, per=20, seed=0, warm=2.0, shift=0.0, spread=0.5):
    """A model that is too sure by `warm`, and its scores with that taken back."""
    rng = np.random.default_rng(seed)
    slide = np.repeat(np.arange(slides), per)
    true = rng.normal(scale=1.5, size=len(slide)) + rng.normal(scale=spread, size=slides)[slide]
    label = (rng.random(len(slide)) < expit(true)).astype(int)
    scores = {BEFORE: expit(warm * true + shift), AFTER: expit(true)}
    return ScoredPart(label, slide.astype(str), scores, {AFTER: None}, used=100)


def test_every_measure_is_that_of_scikit_learn_or_of_the_other_tables():
    parts = [scored_part(seed=n) for n in range(3)]
    found = measure_parts(parts, 200)
    label = np.concatenate([part.label for part in parts])
    slide = np.concatenate([part.slide for part in parts])
    for key in (BEFORE, AFTER):
        score = np.concatenate([part.scores[key] for part in parts])
        assert found[key]["brier"].value == pytest.approx(brier_score_loss(label, score))
        assert found[key]["log_loss"].value == pytest.approx(log_loss(label, score), rel=1e-6)
        ece = found[key]["ece"]
        assert (ece.value, *ece.interval) == calibration_interval(label, score, slide, 200)
        alone = [calibration_error(part.label, part.scores[key]) for part in parts]
        assert found[key][BY_MODEL].value == pytest.approx(np.mean(alone))  # of equal size
    aurocs = [roc_auc_score(part.label, part.scores[BEFORE]) for part in parts]
    assert found[BEFORE]["auroc"].value == pytest.approx(np.mean(aurocs))
    assert set(found[AFTER]) == set(ERRORS)


def test_errors_of_two_models_cancel_in_the_pooled_error_alone():
    found = measure_parts([scored_part(warm=1.0, shift=s) for s in (1.5, -1.5)], 200)[BEFORE]
    assert found["ece"].value < 0.8 * found[BY_MODEL].value


def test_the_floor_is_what_perfect_calibration_shows_on_as_many_cells():
    errors = [measure_parts([scored_part(seed=n, spread=0)], 200)[AFTER]["ece"] for n in range(40)]
    mean = np.mean([error.value for error in errors])
    assert np.mean([error.floor for error in errors]) == pytest.approx(mean, rel=0.15)


def test_a_change_pairs_the_slides():
    found = measure_parts([scored_part()], 500)
    for name in ERRORS:
        before, after = found[BEFORE][name], found[AFTER][name]
        change = after.change_from(before)
        assert change["change"] == pytest.approx(after.value - before.value)
        assert change["change_low"] < change["change"] < change["change_high"] < 0
        apart = np.diff(before.interval)[0] + np.diff(after.interval)[0]
        assert change["change_high"] - change["change_low"] < apart
        same = before.change_from(before)
        assert set(same.values()) == {0.0}


def test_one_slide_gives_no_interval():
    found = measure_parts([scored_part(slides=1, per=80)], 200)
    ends = [*found[BEFORE]["brier"].interval, *found[AFTER]["ece"].interval]
    ends += list(found[AFTER]["ece"].change_from(found[BEFORE]["ece"]).values())[1:]
    assert np.isnan(ends).all()
    assert np.isfinite(found[BEFORE]["brier"].value)


def test_intervals_of_a_change_hold_what_was_planted():
    """The truth is the change in 4,000 slides; docs/reference/statistical-checks.md has more."""
    whole = scored_part(slides=4_000, seed=10_000)
    label, (sure, cooled) = whole.label, whole.scores.values()
    measures = {"brier": brier_score_loss, "log_loss": log_loss, "ece": calibration_error}
    truth = {name: of(label, cooled) - of(label, sure) for name, of in measures.items()}
    held = dict.fromkeys(truth, 0)
    for seed in range(50):
        found = measure_parts([scored_part(seed=seed)], 200)
        for name in truth:
            change = found[AFTER][name].change_from(found[BEFORE][name])
            held[name] += change["change_low"] <= truth[name] <= change["change_high"]
    assert min(held["brier"], held["log_loss"]) >= 44
    assert held["ece"] >= 40
