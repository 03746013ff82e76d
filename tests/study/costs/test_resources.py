"""What jobs ask for, from the cards of the papers' studies."""

import pytest
from conftest import ROOT

from cryotome.core.cards import read_yaml
from cryotome.study.checks import checked_study
from cryotome.study.costs.resources import (
    SHORT,
    count_cells,
    estimate_embed_minutes,
    estimate_embeddings_mb,
    estimate_network_mb,
    estimate_patches_mb,
    estimate_probe_mb,
    estimate_train_minutes,
)
from cryotome.study.load import config_file
from cryotome.study.study import Study

CONFIG = ROOT / "config"


@pytest.fixture(scope="module")
def ganz() -> Study:
    return checked_study(read_yaml(config_file("ganz2024", CONFIG)), CONFIG)


def test_cells_are_those_that_the_card_expects(ganz, monkeypatch):
    assert count_cells(ganz, "ccmct") == 72_845
    uncounted = {k: v for k, v in ganz.dataset("ccmct").items() if k != "expect"}
    monkeypatch.setattr(Study, "dataset", lambda study, name: uncounted)
    assert count_cells(ganz, "ccmct") == 20_000


def test_a_store_of_patches_is_as_large_as_its_pixels(ganz):
    """272 px where the network sees 224."""
    assert estimate_patches_mb(ganz, "ccmct") == pytest.approx(72_845 * 272 * 272 * 3 / 1e6)


def test_embeddings_are_floats(ganz):
    assert estimate_embeddings_mb(ganz, "midog2022", "uni") == pytest.approx(
        20_552 * 1024 * 4 / 1e6
    )


def test_a_fit_asks_for_its_copies_of_the_embeddings_and_for_its_folds(ganz):
    """As measured (docs/reference/performance.md): 4, 5 or 6 copies, and 120 bytes of a cell a fold."""
    size, w = estimate_embeddings_mb(ganz, "ccmct", "uni"), {"model": "uni", "scheme": "random"}
    folds = 120 * 72_845 * 5 * len(ganz.training_fractions("random")) / 1e6
    asked = {
        head: estimate_probe_mb(ganz, ["ccmct"], w | {"head": head})
        for head in ("linear_probe", "logreg")
    }
    assert asked["linear_probe"] == pytest.approx(1000 + 4 * size + folds)
    assert asked["logreg"] == pytest.approx(1000 + 6 * size + folds)
    both = estimate_probe_mb(ganz, ["ccmct", "ccmct"], w | {"head": "linear_probe"})
    assert both == pytest.approx(2 * asked["linear_probe"] - 1000)


def test_votes_as_rows_ask_for_more():
    folder = ROOT / "config"
    made = checked_study(read_yaml(config_file("amibr_raters", folder)), folder)
    w = {"model": "efficientnet_lite0", "scheme": "slide_grouped"}
    asked = [
        estimate_probe_mb(made, ["amibr_raters"], w | {"head": head}) - 1000
        for head in ("ridge_cv", "ridge_cv_soft")
    ]
    assert asked[1] == pytest.approx(3 * asked[0])


def test_a_network_is_as_large_as_its_parameters(ganz):
    assert estimate_network_mb(ganz, "uni") == pytest.approx(1213.4, abs=0.1)
    assert estimate_network_mb(ganz, "colour_histogram") == 0


def test_embedding_takes_the_arithmetic_of_all_cells_on_a_slow_gpu(ganz):
    """UNI: 123.1 GFLOP a patch (its card), 20,552 cells, 5,000 GFLOP/s."""
    job = {"dataset": "midog2022", "model": "uni", "view": "paper-fp32"}
    minutes = estimate_embed_minutes(ganz, job, on_gpu=True)
    assert minutes == pytest.approx(SHORT + 20_552 * 123.1 / 5000 / 60)
    cores = estimate_embed_minutes(ganz, job, on_gpu=False)
    assert cores - SHORT == pytest.approx(50 * (minutes - SHORT))
    quarter = estimate_embed_minutes(ganz, job | {"parts": "4"}, on_gpu=True)
    assert quarter - SHORT == pytest.approx((minutes - SHORT) / 4)
    assert estimate_embed_minutes(ganz, job | {"model": "colour_histogram"}, on_gpu=True) == SHORT


def test_training_takes_its_steps_at_least(ganz):
    head = ganz.head("endtoend")
    job = {"dataset": "midog2022", "scheme": "random", "fraction": "1.0", "head": "endtoend"}
    gflops = ganz.model("resnet50_imagenet")["gflops"]
    steps = 3 * head["steps"] * head["batch"] * gflops / 5000 / 60
    minutes = estimate_train_minutes(ganz, job | {"model": "resnet50_imagenet"}, on_gpu=True)
    assert SHORT + steps < minutes < SHORT + 3 * steps
