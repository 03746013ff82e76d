import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cryotome.metrics import auroc, bootstrap_aurocs, interval, score_folds, weighted_auroc


def tied(count: int = 300):
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=count)
    return label, np.round(rng.normal(size=count) + label, 1), rng.integers(0, 4, size=(6, count))


def test_auroc_is_scikit_learns_ties_included():
    label, score, _ = tied()
    assert auroc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_auroc_of_one_class_is_nan():
    assert np.isnan(auroc(np.ones(3), np.arange(3)))


def test_weighted_auroc_is_scikit_learns_per_draw():
    label, score, weight = tied()
    expected = [roc_auc_score(label, score, sample_weight=w) for w in weight]
    assert weighted_auroc(label, score, weight) == pytest.approx(np.array(expected), abs=1e-12)


def test_clustered_intervals_are_wider_than_those_of_cells():
    rng = np.random.default_rng(1)
    slide = np.repeat(np.arange(12), 50)
    label = rng.integers(2, size=600)
    effect = rng.normal(size=12)[slide]  # a slide's own difficulty shifts all its scores
    score = label * (1 + effect) + rng.normal(size=600)
    fold = pd.DataFrame({"slide": slide, "label": label, "score": score})
    clustered, single = (
        interval(bootstrap_aurocs([fold.assign(slide=s)], ["score"])["score"])
        for s in (slide, np.arange(600))
    )
    assert clustered[1] - clustered[0] > 1.5 * (single[1] - single[0])


def test_the_interval_of_a_difference_is_paired():
    label, score, _ = tied()
    rng = np.random.default_rng(2)
    fold = pd.DataFrame(
        {
            "slide": np.arange(300) // 10,
            "label": label,
            "a": score,
            "b": score + rng.normal(scale=0.01, size=300),
        }
    )
    draws = bootstrap_aurocs([fold], ["a", "b"], draws=500)
    low, high = interval(draws["a"] - draws["b"])
    assert high - low < 0.02 < interval(draws["a"])[1] - interval(draws["a"])[0]


def test_scores_per_fold_and_test_domain():
    cells = pd.DataFrame({"id": range(6), "domain": ["a", "a", "a", "b", "b", "b"]})
    table = pd.DataFrame(
        {
            "id": range(6),
            "role": ["test"] * 5 + ["validation"],
            "label": [0, 1, 1, 0, 1, 1],
            "score": [0.1, 0.9, 0.8, 0.7, 0.2, 0],
        }
    )
    scores = score_folds({("1.0", 3): table}, cells, train_domain="all")
    assert scores["test_domain"].tolist() == ["all", "a", "b"]
    assert scores["value"].tolist() == [pytest.approx(5 / 6), 1.0, 0.0]
    assert scores[["n_positive", "n_negative"]].to_numpy().tolist() == [[3, 2], [2, 1], [1, 1]]
    crossed = score_folds({("1.0", 3): table}, cells, train_domain="a")
    assert crossed["test_domain"].tolist() == ["a", "b"]
    others = score_folds({("1.0", 3): table}, cells, train_domain="except_a")
    assert others["test_domain"].tolist() == ["a", "b"]
    assert set(others["train_domain"]) == {"except_a"}
