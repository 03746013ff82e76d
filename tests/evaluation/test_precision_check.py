import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import StoreError
from cryotome.encoders.embedders import ComputeSettings, ModelView, embedder_of_store
from cryotome.encoders.embedding_store import write_embeddings
from cryotome.evaluation.precision_check import (
    StoreFiles,
    _sample,
    check_precision,
    cross_auroc,
    measure_precision_loss,
)

LIMITS = {"patches": 20, "min_cosine": 0.99, "auroc": 0.01}
MODEL = "resnet10t_random"


def run(folder, **changes):
    how = {"batches": folder / "b", "weights_dir": folder, "device": "cpu", "threads": 2}
    return how | changes


@pytest.fixture
def lower(store, tmp_path):
    card = load_card(CONFIG, "models", MODEL)
    model = ModelView(MODEL, card, "paper-bf16")
    embedder = embedder_of_store(store, model, ComputeSettings(**run(tmp_path)))
    write_embeddings(tmp_path / "e.h5", store, embedder, partial=tmp_path / "partial")
    return tmp_path / "e.h5", card


def test_a_store_in_bf16_is_near_and_its_report_says_how_near(lower, store, cohort):
    path, card = lower
    how = run(path.parent, model=MODEL, view="paper-bf16", limits=LIMITS | {"auroc": 1.0})
    report = check_precision(StoreFiles(path, store, cohort / "cells.csv"), card, **how).set_index(
        "measure"
    )
    assert report.loc["patches", "value"] == 20
    assert 0.99 < report.loc["cosine_least", "value"] < 1
    assert report.loc["cosine_least", "value"] <= report.loc["cosine_mean", "value"]
    assert 0 <= report.loc["auroc_fp32", "value"] <= 1
    assert report.loc["auroc_difference", "limit"] == 1.0


def test_cells_without_labels_are_held_to_their_cosine_alone(cohort):
    cells = pd.read_csv(cohort / "cells.csv").assign(label=np.nan)
    labels = cells["label"].to_numpy()
    assert np.isnan(cross_auroc(np.zeros((len(cells), 2)), labels))
    full = np.random.default_rng(0).normal(size=(len(cells), 8))
    report = measure_precision_loss(full, full, labels, {"min_cosine": 0.9, "auroc": 0.1})
    found = report.set_index("measure")["value"]
    assert found["cosine_least"] == pytest.approx(1) and np.isnan(found["auroc_difference"])
    rows = _sample(labels, 5)
    assert len(set(rows)) == 5 and (np.diff(rows) > 0).all()


def test_a_limit_that_is_exceeded_stops_with_every_figure(lower, store, cohort):
    path, card = lower
    for name, wide in ({"min_cosine": 1.0}, "auroc"), ({"auroc": -1.0}, "min_cosine"):
        limits = LIMITS | {wide: {"auroc": 9.0, "min_cosine": 0.0}[wide]} | name
        how = run(path.parent, model=MODEL, view="paper-bf16", limits=limits)
        with pytest.raises(
            StoreError,
            match=r"e.h5 is too far from fp32 \(patches 20, cosine_least 0.99.*allowed: cosine.*Take the view "
            r"`paper-fp32`, another precision, or wider limits under `precision_check`",
        ):
            check_precision(StoreFiles(path, store, cohort / "cells.csv"), card, **how)


def test_equal_embeddings_are_at_cosine_one_and_difference_zero():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)).astype(np.float32), np.arange(40) % 2
    report = measure_precision_loss(x, x * 3, y, LIMITS).set_index("measure")["value"]
    assert report["cosine_least"] == pytest.approx(1)
    assert (
        measure_precision_loss(x, x, y, LIMITS).set_index("measure")["value"]["auroc_difference"]
        == 0
    )


def test_centring_shows_what_a_common_part_hides():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype(np.float32) + 1000
    noisy = x + rng.normal(size=x.shape).astype(np.float32)
    report = measure_precision_loss(x, noisy, np.arange(40) % 2, LIMITS).set_index("measure")[
        "value"
    ]
    assert report["cosine_least"] > 0.999
    assert report["centred_cosine_mean"] < 0.9


def test_the_crossed_auroc_finds_a_signal_and_needs_both_classes():
    rng = np.random.default_rng(0)
    y = (rng.random(80) < 0.5).astype(int)
    signal = rng.normal(size=(80, 4)) + 4 * y[:, None]
    assert cross_auroc(signal, y) > 0.99
    assert abs(cross_auroc(rng.normal(size=(80, 4)), y) - 0.5) < 0.25
    assert np.isnan(cross_auroc(signal, np.zeros(80, int)))


def test_a_report_without_both_classes_is_judged_by_the_cosine_alone():
    x = np.eye(8, dtype=np.float32)
    report = measure_precision_loss(x, x, np.zeros(8, int), LIMITS)
    assert pd.isna(report.set_index("measure").loc["auroc_difference", "value"])
