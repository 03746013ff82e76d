import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from cryotome.evaluation.multiclass import (
    argmax_classes,
    confusion,
    difference,
    measure_predictions,
    metrics,
)

NAMES = ["fat", "mucus", "tumour"]


def predictions(seed: int, *, right: float, count: int = 600) -> pd.DataFrame:
    """Predictions of three classes of unlike size, of which about this share is right."""
    label = np.random.default_rng(0).choice(3, size=count, p=[0.6, 0.3, 0.1])
    rng = np.random.default_rng(seed)
    called = np.where(rng.uniform(size=count) < right, label, rng.integers(3, size=count))
    scores = 0.2 + 0.4 * np.eye(3)[called]
    table = pd.DataFrame({"id": [f"d:{n}" for n in range(count)], "label": label})
    return table.assign(**{f"score_{name}": scores[:, n] for n, name in enumerate(NAMES)})


def values(table: pd.DataFrame) -> pd.Series:
    return table.set_index("metric")["value"]


def test_measures_are_those_of_scikit_learn():
    table = predictions(1, right=0.7)
    label, called = table["label"], argmax_classes(table)
    got = values(measure_predictions(table, NAMES))
    assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, called))
    assert got["weighted_f1"] == pytest.approx(f1_score(label, called, average="weighted"))
    assert got["accuracy"] == pytest.approx(accuracy_score(label, called))
    assert got["recall_mucus"] == pytest.approx((called[label == 1] == 1).mean())


def test_a_class_that_is_never_called_has_f1_zero_as_in_scikit_learn():
    counts = np.array([[3, 1, 0], [1, 2, 0], [1, 1, 0]])
    label, called = np.repeat(np.indices((3, 3)).reshape(2, -1), counts.ravel(), axis=1)
    assert (confusion(label, called, 3) == counts).all()
    f1 = f1_score(label, called, average="weighted", zero_division=0)
    assert metrics(counts)["weighted_f1"] == pytest.approx(f1)


def test_a_class_without_patches_has_no_recall_and_is_left_out_of_the_mean():
    table = predictions(1, right=0.7).query("label < 2")
    lines = measure_predictions(table, NAMES).set_index("metric")
    assert lines.loc["recall_tumour", ["n", "value", "low", "high"]].isna().tolist() == [
        False, True, True, True,
    ]  # fmt: skip
    recalls = lines.loc[["recall_fat", "recall_mucus"], "value"]
    assert lines.loc["balanced_accuracy", "value"] == pytest.approx(recalls.mean())


def test_intervals_are_those_of_patches_drawn_again_within_their_class():
    table = predictions(1, right=0.7)
    lines = measure_predictions(table, NAMES).set_index("metric")
    assert measure_predictions(table, NAMES).equals(lines.reset_index())  # one seed
    rng, draws = np.random.default_rng(5), []
    label, called = table["label"].to_numpy(), argmax_classes(table)
    parts = [np.flatnonzero(label == k) for k in range(3)]
    for _ in range(1000):
        rows = np.concatenate([rng.choice(part, len(part)) for part in parts])
        draws.append(balanced_accuracy_score(label[rows], called[rows]))
    low, high = np.quantile(draws, [0.025, 0.975])
    assert lines.loc["balanced_accuracy", ["low", "high"]].tolist() == pytest.approx(
        [low, high], abs=0.006
    )


def test_intervals_cover_the_truth_of_independent_patches():
    """Recall 0.7 + 0.3 / 3 = 0.8 in every class."""
    lines = [measure_predictions(predictions(seed, right=0.7), NAMES).iloc[0] for seed in range(60)]
    covered = np.mean([line["low"] <= 0.8 <= line["high"] for line in lines])
    assert 0.85 <= covered <= 1


def test_a_difference_takes_the_same_patches_for_both():
    first, second = predictions(1, right=0.9), predictions(1, right=0.8)
    gap = difference(first, second, NAMES)
    alone = values(measure_predictions(first, NAMES)) - values(measure_predictions(second, NAMES))
    assert values(gap)["weighted_f1"] == pytest.approx(alone["weighted_f1"])
    reach = (gap["high"] - gap["low"]).iloc[0]
    wide = (
        sum(measure_predictions(t, NAMES).eval("high - low").iloc[0] ** 2 for t in (first, second))
        ** 0.5
    )
    assert 0 < reach < 0.8 * wide  # what both call wrong moves neither
    assert (difference(first, first, NAMES)[["value", "low", "high"]] == 0).all(axis=None)
    shuffled = difference(first, second.sample(frac=1, random_state=0), NAMES)
    assert shuffled.equals(gap)


def test_predictions_of_other_patches_have_no_difference():
    first = predictions(1, right=0.9)
    with pytest.raises(ValueError, match="of different patches"):
        difference(first, first.assign(label=2 - first["label"]), NAMES)
