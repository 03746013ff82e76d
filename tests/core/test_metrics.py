import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from cryotome.core.metrics import (
    auroc,
    average_precision,
    calibration_error,
    f1_scores,
    precision_recall,
    recalls,
)


def scored(count: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=count)
    score = 1 / (1 + np.exp(-np.round(rng.normal(size=count) + label, 1)))
    return pd.DataFrame({"label": label, "score": score})


def test_auroc_is_scikit_learns_ties_included():
    test = scored()
    there = metrics.roc_auc_score(test["label"], test["score"])
    assert auroc(test["label"].to_numpy(), test["score"].to_numpy()) == pytest.approx(
        there, abs=1e-12
    )


def test_auroc_of_one_class_is_nan():
    assert np.isnan(auroc(np.ones(3), np.arange(3)))


def test_calibration_error_by_hand():
    """Bin (0.4, 0.467]: 2 cells, mean 0.45, one positive; bin (0.933, 1]: 1 cell, 1.0, none."""
    label, score = np.array([0, 1, 0]), np.array([0.44, 0.46, 1.0])
    assert calibration_error(label, score) == pytest.approx(2 / 3 * 0.05 + 1 / 3 * 1.0)
    assert calibration_error(np.array([0]), np.array([0.0])) == 0.0


@pytest.mark.parametrize("seed", range(20))
def test_precision_and_recall_are_scikit_learns_to_the_bit(seed):
    """So that no score moved when the library's import, longer than the scoring, was dropped."""
    test = scored(count=40 + seed, seed=seed)
    label, score = test["label"].to_numpy(), test["score"].to_numpy()
    there = metrics.precision_recall_curve(label, score)
    here = precision_recall(label, score)
    assert np.array_equal(here[0], there[0][:-1])  # its last point has no threshold
    assert np.array_equal(here[1], there[1][:-1])
    assert np.array_equal(here[2], there[2])
    assert average_precision(label, score) == metrics.average_precision_score(label, score)


@pytest.mark.parametrize("cut", [-1.0, 0.3, 0.5, 0.8, 2.0])
@pytest.mark.parametrize("kept", ["label >= 0", "label == 0", "label == 1"])
def test_f1_and_recall_are_scikit_learns_also_where_a_class_is_missing_or_never_called(cut, kept):
    test = scored().query(kept)
    label, called = test["label"].to_numpy(), (test["score"].to_numpy() >= cut).astype(int)
    how = {"labels": [0, 1], "average": None}
    f1 = metrics.f1_score(label, called, zero_division=0, **how)
    recall = metrics.recall_score(label, called, zero_division=np.nan, **how)
    assert np.array_equal(f1_scores(label, called), f1)
    assert np.array_equal(recalls(label, called), recall, equal_nan=True)
