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
from cryotome.evaluation.scores import (
    THRESHOLD,
    choose_threshold,
    measure_auroc,
    measure_scores,
    score_folds,
)


def scored(count: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=count)
    score = 1 / (1 + np.exp(-np.round(rng.normal(size=count) + label, 1)))
    return pd.DataFrame({"slide": rng.integers(9, size=count), "label": label, "score": score})


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


def test_the_threshold_is_where_f1_on_validation_is_largest():
    watched = scored(80, seed=3)
    label, score = watched["label"].to_numpy(), watched["score"].to_numpy()
    chosen = choose_threshold(label, score)
    values = [metrics.f1_score(label, score >= t) for t in np.unique(score)]
    assert metrics.f1_score(label, score >= chosen) == pytest.approx(max(values))


def test_few_validation_cells_choose_no_threshold():
    score = np.array([0.1, 0.2, 0.1, 0.2])
    assert choose_threshold(np.array([0, 1, 0, 1]), score) == THRESHOLD
    assert choose_threshold(np.ones(50), np.linspace(0, 1, 50)) == THRESHOLD
    assert choose_threshold(np.array([]), np.array([])) == THRESHOLD


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_half_is_a_tie_and_goes_to_the_first_class(kind):
    score = np.array([0.5, np.nextafter(kind(0.5), kind(1))], kind)
    assert (score >= THRESHOLD).tolist() == [False, True]
    table = pd.DataFrame({"slide": [0, 0], "label": [0, 1], "score": score})
    assert measure_scores(table, table)["balanced_accuracy"] == 1.0


def test_every_metric_of_a_set_of_cells():
    test, watched = scored(), scored(100, seed=1)
    label, score = test["label"], test["score"]
    found = measure_scores(test, watched)
    assert found["average_precision"] == metrics.average_precision_score(label, score)
    assert found["balanced_accuracy"] == metrics.balanced_accuracy_score(label, score > 0.5)
    assert found["f1_weighted"] == metrics.f1_score(label, score > 0.5, average="weighted")
    assert found["f1_at_validation"] == metrics.f1_score(label, score >= found["threshold"])
    assert found["sensitivity_at_validation"] == (score[label == 1] >= found["threshold"]).mean()
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(label, score))
    assert found["threshold"] != THRESHOLD
    assert 0.5 < found["auroc_within_slide"] < 1


def test_one_class_leaves_empty_what_needs_two():
    found = measure_scores(scored().query("label == 0"), scored())
    empty = {name for name, value in found.items() if np.isnan(value)}
    assert empty == {
        "auroc", "auroc_within_slide", "average_precision", "balanced_accuracy",
        "sensitivity_at_validation",
    }  # fmt: skip


def test_scores_per_fold_and_test_domain():
    cells = pd.DataFrame({"id": range(6), "slide": "s", "domain": ["a", "a", "a", "b", "b", "b"]})
    table = pd.DataFrame(
        {
            "id": range(6),
            "role": ["test"] * 5 + ["validation"],
            "label": [0, 1, 1, 0, 1, 1],
            "score": [0.1, 0.9, 0.8, 0.7, 0.2, 0],
        }
    )
    scores = score_folds({("1.0", 3): table}, cells, train_domain="all", measure=measure_auroc)
    assert scores["test_domain"].tolist() == ["all", "a", "b"]
    assert scores["value"].tolist() == [pytest.approx(5 / 6), 1.0, 0.0]
    assert scores[["n_positive", "n_negative"]].to_numpy().tolist() == [[3, 2], [2, 1], [1, 1]]
    crossed = score_folds({("1.0", 3): table}, cells, train_domain="a")
    assert crossed["test_domain"].unique().tolist() == ["a", "b"]
    assert crossed["metric"].nunique() == 10
    others = score_folds({("1.0", 3): table}, cells, train_domain="except_a")
    assert others["test_domain"].unique().tolist() == ["a", "b"]
    assert set(others["train_domain"]) == {"except_a"}
