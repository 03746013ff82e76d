"""The context study: its table recomputed by hand, its figure, and its splits."""

import filecmp
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from accidents import checkout
from conftest import CONFIG
from small_study import SMALL, plan, snakemake
from tests.study.test_study import study

from cryotome.core.errors import StoreError
from cryotome.core.metrics import auroc
from cryotome.evaluation.context import context_table, crop_extent, patch_resolution
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import Rows
from cryotome.study.facts import ContextFacts
from cryotome.study.gather_facts import context_facts

CALIBRATION = pd.read_csv(CONFIG / "calibration.csv")
KEYS = ("slide_grouped", "1.0", "all")


def paired(scores: dict[str, np.ndarray], ids: np.ndarray) -> Rows:
    """One fold of cells on eleven slides, every third cell positive."""
    fixed = {"id": ids, "slide": (ids % 11).astype(str), "label": (ids % 3 == 0).astype(int)}
    parts = [pd.DataFrame(fixed | scores)]
    trained = dict.fromkeys(scores, 100.0)
    made = PairedScores(parts=parts, folds=[0], training_cells=trained, schemes={"slide_grouped"})
    return Rows(made, draws=200, calibration=CALIBRATION)


@pytest.fixture(scope="module")
def swept() -> ContextFacts:
    """What the demo's context study says of itself."""
    return context_facts(study("demo_context"))


@pytest.fixture(scope="module")
def settings(swept) -> dict:
    rng, ids = np.random.default_rng(0), np.arange(300)
    label = ids % 3 == 0
    rows = [f"{model} + ridge" for model in swept.models]
    of = {"demo_rois_24px": 0.4, "demo_rois": 1.2}  # how far the classes lie apart
    return {
        (name, *KEYS): paired({row: rng.normal(label * gap) for row in rows}, ids)
        for name, gap in of.items()
    }


@pytest.fixture(scope="module")
def table(settings, swept) -> pd.DataFrame:
    return context_table(settings, swept, {"demo_rois": 0.25}, 0.05)


def test_a_line_is_a_row_under_a_crop_and_a_pooling(table):
    columns = ["dataset", "base_dataset", "side", "um", "model", "base_model", "pooling", "n"]
    assert table[columns].to_numpy().tolist() == [
        ["demo_rois_24px", "demo_rois", 24, 6.0, "colour_histogram", "colour_histogram", "none", 300],
        ["demo_rois_24px", "demo_rois", 24, 6.0, "vit_tiny_random", "vit_tiny_random", "class", 300],
        ["demo_rois_24px", "demo_rois", 24, 6.0, "vit_tiny_random_pool_mean", "vit_tiny_random", "mean", 300],
        ["demo_rois", "demo_rois", 48, 12.0, "colour_histogram", "colour_histogram", "none", 300],
        ["demo_rois", "demo_rois", 48, 12.0, "vit_tiny_random", "vit_tiny_random", "class", 300],
        ["demo_rois", "demo_rois", 48, 12.0, "vit_tiny_random_pool_mean", "vit_tiny_random", "mean", 300],
    ]  # fmt: skip
    assert (table["where"] == "all").all()


def test_numbers_are_those_of_the_scores_and_gaps_are_paired(table, settings):
    for line in table.to_dict("records"):
        row = f"{line['model']} + {line['head']}"
        part = settings[(line["dataset"], *KEYS)].scores.parts[0]
        whole = settings[("demo_rois", *KEYS)].scores.parts[0]
        mine, best = (auroc(p["label"].to_numpy(), p[row].to_numpy()) for p in (part, whole))
        assert line["auroc"] == pytest.approx(mine, abs=1e-12)
        assert line["low"] < mine < line["high"]
        assert line["gap"] == pytest.approx(mine - best, abs=1e-12)
        assert line["gap_low"] <= line["gap"] <= line["gap_high"]
    small = table[table["side"] == 24]
    assert (small["gap_high"] < 0).all()  # the classes lie three times as far apart at 48 px
    assert (table[table["side"] == 48][["gap", "gap_low", "gap_high"]] == 0).all(axis=None)


def test_crops_tested_on_other_cells_are_refused(settings, swept):
    other = paired(dict.fromkeys(["colour_histogram + ridge"], np.arange(300.0)), np.arange(1, 301))
    mixed = settings | {("demo_rois_24px", *KEYS): other}
    said = "demo_rois_24px and demo_rois were not tested on the same cells under slide_grouped"
    with pytest.raises(StoreError, match=said):
        context_table(mixed, swept, {"demo_rois": 0.25}, 0.05)


def test_each_place_is_told_once():
    told = [crop_extent(scheme, tested) for scheme, tested in (
        ("from_*", "in"), ("from_*", "out"), ("from_lung", "in"), ("except_*", "domains"),
        ("except_lung", "domains"), ("random", "all"), ("random", "domains"),
        ("random", "scanner_a"), ("from_scanner_*", "in"),
    )]  # fmt: skip
    assert told == ["in", "out", "", "out", "", "all", "", "", ""]


def test_a_crop_measures_what_images_or_card_say_and_nothing_where_neither_does(cohort, demo_card):
    cells = pd.DataFrame({"image": ["001.tiff", "009.tiff"]})  # 0.23 and 0.25 µm/px
    assert patch_resolution(cells, cohort / "images", demo_card) == pytest.approx(0.24, abs=1e-6)
    resampled = demo_card | {"patch": demo_card["patch"] | {"resolution": 0.5}}
    assert patch_resolution(cells, cohort / "nowhere", resampled) == 0.5


def test_a_crop_of_images_that_do_not_say_has_no_microns(shared):
    card = study("amibr").dataset("amibr")
    cells = pd.DataFrame({"image": ["Normal/MIDOG21_10.png"]})
    assert np.isnan(patch_resolution(cells, shared / "amibr", card))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which two crops of the demo's regions have been scored on windows that they share."""
    folder = checkout(tmp_path_factory.mktemp("done"))
    changes = {
        "study": "swept", "datasets": ["demo_rois"], "view": {"transform": "fit", "precision": "fp32"}, "fractions": [1.0],
        "rows": [{"model": "colour_histogram", "head": "ridge"}], "folds": 1,
        "schemes": ["no_overlap"], "context": {"sides": [16, 48], "poolings": ["class"]},
    }  # fmt: skip
    (folder / "swept.yaml").write_text(yaml.dump(SMALL | changes), encoding="utf-8")
    # the border drops cells at 48 px that would stay at 16 px
    path = folder / "config/datasets/demo_rois.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("border: reflect", "border: drop"),
        encoding="utf-8",
    )
    snakemake(folder, "--cores", "1", *ASK)
    return folder


ASK = ["--configfile", "swept.yaml", "--", "results/studies/swept/context.csv"]


@pytest.mark.study
def test_crops_have_the_same_cells_in_the_same_roles_whatever_their_windows(done):
    """Even where the border drops cells, and shared pixels decide who may train."""
    place = "no_overlap/fraction=1.0/fold=0.csv"
    small, large = (
        done / "results/splits" / name / place for name in ("demo_rois_16px", "demo_rois")
    )
    assert filecmp.cmp(small, large, shallow=False)
    audit = pd.read_csv(done / "results/audits/demo_rois.csv")
    left_out = set(audit.loc[audit["finding"] == "border", "id"])
    assert left_out and not left_out & set(pd.read_csv(small)["id"])
    assert not (done / "results/audits/demo_rois_16px.csv").exists()
    table = pd.read_csv(done / "results/studies/swept/context.csv")
    assert table["side"].tolist() == [16, 48]
    assert table["um"].tolist() == [4.0, 12.0]
    assert table["synthetic"].all() and table.columns[0] == "study"
    assert (done / "results/studies/swept/context.png").stat().st_size > 10_000


@pytest.mark.study
def test_a_crop_more_plans_its_own_jobs_alone(done):
    assert plan(done, *ASK) == {}
    config = yaml.safe_load((done / "swept.yaml").read_text(encoding="utf-8"))
    (done / "more.yaml").write_text(
        yaml.dump(config | {"context": config["context"] | {"sides": [16, 24, 48]}}),
        encoding="utf-8",
    )
    assert plan(done, "--configfile", "more.yaml", *ASK[2:]) == {
        "read_cells": 1, "cut_patches": 1, "split_cells": 1, "embed": 1, "probe": 1, "context_curves": 1,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["ganz2024_context", "amibr_context"])
def test_the_studies_that_sweep_plan(tmp_path, data_root, name):
    folder = checkout(tmp_path)
    ask = ["--configfile", f"config/studies/{name}.yaml", "--config", "device=per_job"]
    planned = plan(folder, *ask, CRYOTOME_DATA_ROOT=data_root)
    ours = study(name)
    assert planned["context_curves"] == 1
    assert planned["cut_patches"] == len(ours.datasets)
    assert planned["embed"] == len(ours.datasets) * len({row.model for row in ours.rows})
    assert planned["split_cells"] == ours.runs_of()
