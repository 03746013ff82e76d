import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

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
