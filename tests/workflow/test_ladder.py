"""The ladder of leakage on the demo's regions: its splits, their audit, what a change draws again."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import yaml
from accidents import checkout
from small_study import ROIS, SMALL, changed, plan, snakemake

pytestmark = pytest.mark.study

ASK = ["--configfile", "ladder.yaml", "--"]


RUNGS = ["random", "no_overlap", "slide_grouped", *(f"except_{d}" for d in ("breast", "lung", "lymphoma"))]  # fmt: skip


SCORED = [
    f"results/scores/demo_rois/{scheme}/view=paper-fp32/model=colour_histogram/head=ridge.csv"
    for scheme in ("except_lung_matched", "random_matched")
]


SLIDES = "results/embeddings/demo_rois/paper-fp32/slide_identity.h5"


def audited() -> list[str]:
    folder = "results/splits/demo_rois"
    return [
        f"{folder}/{scheme}{end}/fraction=1.0/fold=0.leakage.csv"
        for scheme in RUNGS
        for end in ("", "_matched")
    ]


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the ladder of the demo's regions is drawn and audited, and scored twice."""
    folder = checkout(tmp_path_factory.mktemp("ladder"))
    (folder / "ladder.yaml").write_text(yaml.dump(SMALL | ROIS), encoding="utf-8")
    snakemake(folder, "--cores", "2", *ASK, *audited(), *SCORED)
    return folder


def test_matched_rungs_train_on_one_size_and_say_who_set_it(ladder):

    folder = ladder / "results/splits/demo_rois"
    about = {
        name: json.loads((folder / name / "fraction=1.0/fold=0.json").read_text(encoding="utf-8"))
        for rung in RUNGS
        for name in (rung, f"{rung}_matched")
    }
    sizes = {name: said["counts"]["train"] for name, said in about.items()}
    common = about["random_matched"]["training_size"]
    assert {sizes[f"{rung}_matched"] for rung in RUNGS} == {common["cells"]}
    assert common["cells"] == min(common["smallest"].values()) <= min(sizes.values())
    assert common["set_by"][0] in RUNGS
    assert all(about[f"{rung}_matched"]["training_size"] == common for rung in RUNGS)
    assert "training_size" not in about["random"]


def test_the_audit_of_the_splits_falls_from_rung_to_rung(ladder):
    pixels, slides = {}, {}
    for path in audited():
        found = pd.read_csv(ladder / path).set_index("measure")["share"]
        name = Path(path).parts[3]
        pixels[name], slides[name] = found["pixels_with_training"], found["on_training_slide"]
    assert pixels["random"] >= pixels["random_matched"] > 0
    assert {pixels[name] for name in pixels if not name.startswith("random")} == {0}
    assert slides["no_overlap"] > 0.9 > slides["slide_grouped"] == 0
    log = ladder / "results/logs/audit_splits/demo_rois.random.fraction=1.0.log"
    assert "random, 1 folds: on_training_slide 1.000" in log.read_text(encoding="utf-8")


def test_a_domain_that_is_left_out_is_scored_without_a_line_for_all(ladder):
    left_out, whole = (pd.read_csv(ladder / path) for path in SCORED)
    places = left_out[["train_domain", "test_domain"]].drop_duplicates().to_numpy().tolist()
    assert places == [["except_lung", "lung"]]
    assert whole["test_domain"].unique().tolist() == ["all", "breast", "lung", "lymphoma"]


def test_a_card_of_a_rung_reruns_every_matched_rung_and_no_other(ladder):
    assert plan(ladder, *ASK, *audited()) == {}
    path = ladder / "config/schemes/slide_grouped.yaml"
    before = changed(path, "validation: 0.2", "validation: 0.3")
    planned = plan(ladder, *ASK, *audited())
    path.write_text(before, encoding="utf-8")
    assert planned == {
        "split_cells": 7,
        "audit_splits": 7,
    }  # slide_grouped, and six that are matched


def test_near_px_of_the_audit_moves_no_window_and_draws_no_split_again(ladder):
    path = ladder / "config/datasets/demo_rois.yaml"
    before = path.read_text(encoding="utf-8")
    path.write_text(before + "audit: {near_px: 30}\n", encoding="utf-8")
    planned = plan(ladder, *ASK, *audited())
    path.write_text(before, encoding="utf-8")
    assert planned == {"audit": 1, "audit_splits": 12}


def test_the_slide_alone_is_embedded_from_the_cells_and_no_other_model_is(ladder):
    assert plan(ladder, *ASK, SLIDES) == {"embed": 1}
    snakemake(ladder, "--cores", "1", *ASK, SLIDES)
    cells = ladder / "results/cells/demo_rois.csv"
    assert plan(ladder, *ASK, SLIDES, *SCORED) == {}
    os.utime(cells)
    assert "embed" not in plan(ladder, *ASK, SLIDES, *SCORED)  # the same content
