import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    roc_auc_score,
    roc_curve,
)

from cryotome.evaluation.clinical.calibration import summarise_calibration
from cryotome.evaluation.metric_intervals import (
    COLUMNS,
    SPECIFICITY,
    draw_metrics,
    measure_counts,
    metric_intervals,
)
from cryotome.evaluation.scores import measure_scores
from cryotome.evaluation.statistics.comparisons import intervals
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import Rows

CALIBRATION = pd.DataFrame(columns=["what", "folds", "tested", "effective_slides", "share"])


def cells_of(seed=0, *, slides=12, each=30):
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(slides), each)
    label = rng.integers(0, 2, size=len(place))
    shift = 0.1 * rng.normal(size=slides)[place]
    score = np.clip(0.35 + 0.2 * label + shift + 0.2 * rng.normal(size=len(place)), 0, 1)
    return pd.DataFrame(
        {"id": np.arange(len(place)), "slide": place.astype(str), "label": label,
         "row": score.round(2)}
    )  # fmt: skip


def settings_of(parts, fractions=("1.0",)):
    scores = PairedScores(parts, list(range(len(parts))), {"row": 100.0}, {"random"})
    rows = Rows(scores, draws=200, calibration=CALIBRATION)
    return {("d", "random", fraction, "all"): rows for fraction in fractions}


def values_of(table):
    return table.set_index("metric")["value"].to_dict()


def test_values_are_those_of_scikit_learn_and_of_the_scores_ties_included():
    part = cells_of()
    label, score = part["label"], part["row"]
    table = metric_intervals(settings_of([part]))
    assert list(table.columns) == COLUMNS
    found = values_of(table)
    called = score > 0.5
    false, hits, _ = roc_curve(label, score, drop_intermediate=False)
    expected = {
        "auroc": roc_auc_score(label, score),
        "average_precision": average_precision_score(label, score),
        "balanced_accuracy": balanced_accuracy_score(label, called),
        "f1_weighted": f1_score(label, called, average="weighted"),
        "sensitivity_at_specificity": hits[false <= 1 - SPECIFICITY].max(),
        "brier": ((score - label) ** 2).mean(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    cells = part.rename(columns={"row": "score"})
    scored = measure_scores(cells, cells)
    shared = [name for name in found if name in scored]
    assert len(shared) == 6
    assert {n: found[n] for n in shared} == pytest.approx({n: scored[n] for n in shared}, rel=1e-6)


def test_intervals_hold_the_value_and_grow_with_fewer_slides():
    many = metric_intervals(settings_of([cells_of(slides=60)])).set_index("metric")
    few = metric_intervals(settings_of([cells_of(slides=6)])).set_index("metric")
    for table in (many, few):
        assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    wider = (few["high"] - few["low"]) > (many["high"] - many["low"])
    assert wider.all()


def test_the_auroc_and_the_calibration_are_those_of_their_own_tables():
    parts = [cells_of(0), cells_of(1)]
    settings = settings_of(parts)
    found = metric_intervals(settings).set_index("metric")
    known = intervals(settings, 0.05).iloc[0]
    assert found.loc["auroc", ["value", "low", "high"]].tolist() == known[
        ["auroc", "low", "high"]
    ].tolist()  # fmt: skip
    as_folds = [p.rename(columns={"row": "score"}).astype({"slide": "category"}) for p in parts]
    beside = summarise_calibration(as_folds, draws=200)
    for name in ("brier", "ece"):
        three = [beside[name], beside[f"{name}_low"], beside[f"{name}_high"]]
        assert found.loc[name, ["value", "low", "high"]].tolist() == pytest.approx(three)


def test_bootstrap_intervals_of_the_auroc_and_of_counted_metrics_cover_alike():
    """Of 60 samples, the interval of the balanced accuracy covers the mean in at least 52."""
    values, spans = [], []
    for seed in range(60):
        found = metric_intervals(settings_of([cells_of(seed, slides=30)])).set_index("metric")
        values.append(found.loc["balanced_accuracy", "value"])
        spans.append(found.loc["balanced_accuracy", ["low", "high"]].astype(float).to_numpy())
    middle = np.mean(values)
    assert sum(low <= middle <= high for low, high in spans) >= 52


def test_a_draw_weighs_a_slide_as_often_as_it_has_it():
    part = cells_of(slides=3)
    place, label, score = (part[name].to_numpy() for name in ("slide", "label", "row"))
    drawn = draw_metrics(place.astype(int), label, score, np.array([[2, 0, 1]], dtype=np.float32))
    twice = pd.concat([part[place == "0"], part[place == "0"], part[place == "2"]])
    alone = draw_metrics(
        np.zeros(len(twice), dtype=int), twice["label"].to_numpy(), twice["row"].to_numpy(),
        np.ones((1, 1), dtype=np.float32),
    )  # fmt: skip
    assert {k: v[0] for k, v in drawn.items()} == pytest.approx({k: v[0] for k, v in alone.items()})


def test_one_class_has_no_such_metric_and_one_slide_no_interval():
    counts = np.array([[0.0, 0.0]]), np.array([[1.0, 3.0]])
    assert all(np.isnan(value[0]) for value in measure_counts(*counts, 1).values())
    table = metric_intervals(settings_of([cells_of(slides=1)]))
    assert table["low"].isna().all() and table["value"].notna().all()


def test_only_the_largest_fraction_of_a_scheme_is_measured():
    table = metric_intervals(settings_of([cells_of()], ("0.1", "1.0", "0.5")))
    assert set(table["fraction"]) == {"1.0"}
