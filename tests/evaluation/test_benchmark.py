import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score
from some_facts import some

from cryotome.core.files import sha256
from cryotome.evaluation.benchmark import (
    COLUMNS,
    OURS,
    THEIRS,
    balanced_threshold,
    benchmark,
    measure_rows,
    read_benchmark,
    resample_balanced_accuracy,
)
from cryotome.learners.predictions import write_predictions
from cryotome.study.facts import RowFacts, Statistics

FACTS = some(RowFacts, statistics=Statistics(draws=200, alpha=0.05, margin=0.02))


def some_scores(seed: int, count: int = 60) -> pd.DataFrame:
    """Cells on twelve slides, a fifth of them positive, whose scores tell something."""
    rng = np.random.default_rng(seed)
    label = (np.arange(count) % 5 == 0).astype(int)
    score = rng.random(count) / 2 + 0.15 * label
    return pd.DataFrame(
        {"slide": [f"s{n % 12}" for n in range(count)], "label": label, "score": score}
    )


def test_the_threshold_is_the_best_on_the_cells_that_choose_it():
    cells = some_scores(1)
    label, score = cells["label"].to_numpy(), cells["score"].to_numpy()
    best = max(balanced_accuracy_score(label, score >= at) for at in np.unique(score))
    chosen = balanced_threshold(label, score)
    assert balanced_accuracy_score(label, score >= chosen) == best
    assert balanced_threshold(np.zeros(3), np.array([0.1, 0.2, 0.3])) > 0.5


def test_each_draw_of_slides_is_the_balanced_accuracy_of_its_cells():
    folds = [some_scores(seed) for seed in (1, 2)]
    values, resampled = resample_balanced_accuracy(folds, [0.3, 0.35], draws=50)
    for value, table, at in zip(values, folds, [0.3, 0.35], strict=True):
        assert value == pytest.approx(balanced_accuracy_score(table["label"], table["score"] >= at))
    counts = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=50)
    slides = sorted(folds[0]["slide"].unique())
    weight = folds[0]["slide"].map(dict(zip(slides, counts[7], strict=True)))
    of_draw = [
        balanced_accuracy_score(table["label"], table["score"] >= at, sample_weight=weight)
        for table, at in zip(folds, [0.3, 0.35], strict=True)
    ]
    assert resampled[7] == pytest.approx(np.mean(of_draw))


@pytest.fixture
def made(tmp_path) -> pd.DataFrame:
    """The table of one row of two folds, beside two published numbers of its test set."""
    cells, predictions = tmp_path / "d.csv", []
    table = some_scores(0, 120)
    about = {
        "id": table.index,
        "image": "i",
        "slide": table["slide"],
        "x": 0,
        "y": 0,
        "domain": "a",
    }
    pd.DataFrame(about | {"label": table["label"]}).to_csv(cells, index=False)
    for fold in (0, 1):
        path = (
            tmp_path
            / f"predictions/d/predefined/view=v/model=m/head=h/fraction=1.0/fold={fold}.csv"
        )
        split = tmp_path / f"splits/d/predefined/fraction=1.0/fold={fold}.csv"
        split.parent.mkdir(parents=True, exist_ok=True)
        scored = some_scores(fold, 120)
        role = np.where(table.index < 60, "test", "validation")
        roles = pd.DataFrame({"id": table.index, "role": role, "label": scored["label"]})
        roles[["id", "role"]].to_csv(split, index=False)
        split.with_suffix(".json").write_text(json.dumps({"drawn": "random"}), encoding="utf-8")
        notes = {"cells_sha256": sha256(cells), "model": "m"}
        write_predictions(path, roles, scored["score"].to_numpy(), split=split, notes=notes)
        predictions.append(path)
    intervals = {"dataset": "d", "scheme": "predefined", "row": "m + h", "tested": "all"}
    pd.DataFrame([intervals | {"low": 0.6, "high": 0.9}]).to_csv(tmp_path / "i.csv", index=False)
    measured = measure_rows([cells], predictions, tmp_path / "i.csv", FACTS)
    line = {"dataset": "d", "scheme": "predefined", "model": "uni", "head": "theirs", "sd": "0.01"}
    line |= {"folds": "5", "note": "", "source": "paper", "quantity": "auroc", "value": "0.99"}
    other = line | {"quantity": "balanced_accuracy", "value": "0.7"}
    published = pd.DataFrame([line, other, line | {"dataset": "elsewhere"}])
    return benchmark(measured, published)


def test_rows_stand_beside_the_published_ones_the_best_first(made, tmp_path):
    assert made.columns.tolist() == COLUMNS
    assert made["whose"].tolist() == [THEIRS, OURS]
    theirs, ours = made.to_dict("records")
    assert (theirs["auroc"], theirs["balanced_accuracy"], theirs["models"]) == (0.99, 0.7, 5)
    assert np.isnan(theirs["auroc_low"])
    tests = [some_scores(fold, 120)[:60] for fold in (0, 1)]
    expected = [balanced_accuracy_score(t["label"], t["score"] > 0.5) for t in tests]
    assert ours["balanced_accuracy"] == pytest.approx(np.mean(expected))
    assert ours["balanced_accuracy_sd"] == pytest.approx(np.std(expected))
    at = [
        balanced_threshold(*some_scores(f, 120)[60:][["label", "score"]].to_numpy().T)
        for f in (0, 1)
    ]
    chosen = [
        balanced_accuracy_score(t["label"], t["score"] >= a) for t, a in zip(tests, at, strict=True)
    ]
    assert ours["balanced_accuracy_at_validation"] == pytest.approx(np.mean(chosen))
    assert (
        ours["balanced_accuracy_low"] < ours["balanced_accuracy"] < ours["balanced_accuracy_high"]
    )
    assert (ours["auroc_low"], ours["auroc_high"], ours["models"]) == (0.6, 0.9, 2)
    made.to_csv(tmp_path / "benchmark.csv", index=False)
    read = read_benchmark(tmp_path / "benchmark.csv").iloc[0]
    assert (read["model"], read["quantity"], read["fraction"]) == ("m", "balanced_accuracy", 1.0)
    assert read["value"] == pytest.approx(ours["balanced_accuracy"])
