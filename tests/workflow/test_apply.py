"""A study's kept models on points of a real slide that have no labels, and on labelled cells."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from accidents import checkout
from small_study import SMALL, changed, snakemake

from cryotome.core.store import read_ids, read_rows
from cryotome.learners.kept import load_kept

pytestmark = pytest.mark.study

MODEL = "resnet10t_narrow_random"
ROWS = [{"model": "colour_histogram", "head": head} for head in ("ridge", "knn")]
ROWS += [{"model": MODEL, "head": "tiny"}]
STUDY = SMALL | {"rows": ROWS, "fractions": [1.0], "reference": None, "figure2": []}
STUDY |= {"apply": ["points", "demo_rois"]}
CARD = """
title: Points on a real slide
source: chosen at random by this test
reader: table
unlabelled: true
annotations: points/cells.csv
images: points
domains: {lab: {title: lab, where: {}}}
patch: {side: 48, resolution: 0.25, border: reflect}
"""
SLIDE, POINTS = "cmu_small_region.svs", 24
TABLES = [f"results/applied/points/{row['model']}.{row['head']}.csv" for row in ROWS]
RUN = f"demo_slides/random/view=patches/model={MODEL}/head=tiny"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A clone in which the models are trained, and applied to the slide."""
    from conftest import SHARED

    if not SHARED.exists():
        pytest.skip(f"real data are not at hand ({SHARED})")
    folder = checkout(tmp_path_factory.mktemp("applied"))
    (folder / "study.yaml").write_text(yaml.dump(STUDY), encoding="utf-8")
    (folder / "config/datasets/points.yaml").write_text(CARD, encoding="utf-8")
    (folder / "config/heads/tiny.yaml").write_text(
        "extends: endtoend_short\ntitle: tiny\nsteps: 2\nevaluate_every: 1\nbatch: 4\n"
        "precision: fp32\n",
        encoding="utf-8",
    )
    (folder / "data/points").mkdir(parents=True)
    (folder / "data/points" / SLIDE).symlink_to(SHARED / "slides" / SLIDE)
    x, y = np.random.default_rng(0).integers(100, 2000, size=(2, POINTS))
    lines = [f"{a},{b},{SLIDE}" for a, b in zip(x, y, strict=True)]
    text = "\n".join(["x,y,filename", *lines, ""])
    (folder / "data/points/cells.csv").write_text(text, encoding="utf-8")
    run(folder, *TABLES)
    return folder


def run(folder, *targets, check=True):
    words = ["--cores", "2", "--configfile", "study.yaml", "--", *targets]
    return snakemake(folder, *words, check=check, CRYOTOME_DATA_ROOT="data")


def test_points_of_a_real_slide_have_the_scores_of_every_row(made):
    for name in TABLES:
        table = pd.read_csv(made / name)
        assert table.columns.tolist() == ["id", "image", "slide", "x", "y", "score", "score_sd"]
        assert len(table) == POINTS
        assert table["score"].between(0, 1).all()
        (file,) = (made / name).with_suffix("").glob("*.geojson")
        assert file.name == f"{SLIDE}.geojson"
        features = json.loads(file.read_text(encoding="utf-8"))["features"]
        measured = [f["properties"]["measurements"]["SD over folds"] for f in features]
        assert measured == pytest.approx(table["score_sd"].tolist())


def test_a_fold_has_the_scores_of_its_kept_model_and_their_provenance(made):
    model = load_kept(made / f"results/models/{RUN}/fraction=1.0/fold=1.safetensors")
    store = made / "results/patches/points.h5"
    path = made / f"results/external/points/{RUN}/fraction=1.0/fold=1.csv"
    table = pd.read_csv(path)
    assert table.columns.tolist() == ["id", "label", "score"]
    assert table["label"].isna().all()
    assert table["id"].tolist() == read_ids(store).tolist()
    found = model.score(read_rows(store, "patch"))
    assert table["score"].to_numpy() == pytest.approx(found, abs=1e-6)
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert (about["fold"], about["labelled"], about["patch"]["mpp"]) == (1, False, [0.25, 0.25])


def test_labelled_cells_keep_their_labels(made):
    run(made, "results/applied/demo_rois/colour_histogram.ridge.csv")
    folder = "results/external/demo_rois/demo_slides/random/view=paper-fp32"
    table = pd.read_csv(made / folder / "model=colour_histogram/head=ridge/fraction=1.0/fold=0.csv")
    cells = pd.read_csv(made / "results/cells/demo_rois.csv").set_index("id")
    assert table["label"].tolist() == cells["label"].loc[table["id"]].tolist()


def test_the_points_and_the_slide_are_a_project_of_qupath(made):
    """In a copy of the config's folder, as the study has no name there."""
    folder = made / "config" / "studies"
    shutil.copy(made / "study.yaml", folder / f"{STUDY['study']}.yaml")
    environment = os.environ | {"PYTHONPATH": "workflow", "CRYOTOME_DATA_ROOT": "data"}
    words = [sys.executable, "-m", "cryotome.cli.qupath", STUDY["study"]]
    subprocess.run(words, cwd=made, env=environment, check=True)
    project = made / "results/qupath" / STUDY["study"]
    images = json.loads((project / "project.qpproj").read_text(encoding="utf-8"))["images"]
    (slide,) = (image for image in images if image["imageName"] == SLIDE)
    listed = json.loads((project / "results.json").read_text(encoding="utf-8"))
    assert sorted(listed[str(slide["entryID"])]) == sorted(
        f"../../applied/points/{row['model']}.{row['head']}/{SLIDE}.geojson" for row in ROWS
    )


def test_a_target_that_is_cut_otherwise_is_refused_with_both_values(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "changed", symlinks=True)
    changed(folder / "config/datasets/points.yaml", "border: reflect", "border: black")
    said = run(folder, TABLES[2], check=False)
    assert "border policy: reflect in training, black here" in " ".join(said.split())


def test_a_row_or_dataset_that_is_not_applied_is_named(made):
    said = run(made, "results/applied/ccmct/colour_histogram.ridge.csv", check=False)
    assert "applies no colour_histogram + ridge to 'ccmct'" in " ".join(said.split())
    assert not os.path.exists(made / "results/applied/ccmct")
