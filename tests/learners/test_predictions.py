import json
import runpy

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from cryotome.core import step_versions
from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.learners.predictions import read_predictions, write_predictions


def test_a_prediction_carries_the_hash_of_its_split_and_how_it_was_drawn(tmp_path):
    split = tmp_path / "fold=0.csv"
    split.write_text("id,role\n4,test\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "stratified"}', encoding="utf-8")
    roles = pd.DataFrame({"id": [4], "role": ["test"]})
    path = tmp_path / "out" / "fold=0.csv"
    write_predictions(
        path, roles.assign(label=1), np.array([0.25]), split=split, notes={"model": "uni"}
    )
    assert path.read_text(encoding="utf-8") == "id,role,label,score\n4,test,1,0.25\n"
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert about["split_sha256"] == sha256(split)
    assert (about["split_drawn"], about["model"]) == ("stratified", "uni")
    assert set(about["versions"]) == {"numpy", "scipy", "scikit-learn", "torch"}


def test_predictions_of_many_classes_have_a_score_of_each(tmp_path):
    split = tmp_path / "splits/d/predefined/fraction=1.0/fold=0.csv"
    split.parent.mkdir(parents=True)
    split.write_text("id,role\nd:4,test\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "predefined"}', encoding="utf-8")
    roles, names = (
        pd.DataFrame({"id": ["d:4"], "role": ["test"]}),
        ["fat", "mucus", "smooth muscle"],
    )
    path = tmp_path / "predictions/d/predefined/view=v/model=m/head=h/fraction=1.0/fold=0.csv"
    scores = np.array([[0.25, 0.5, 0.25]])
    how = {"split": split, "notes": {"cells_sha256": ["x", "y"]}, "classes": names}
    write_predictions(path, roles.assign(label=1), scores, **how)
    assert path.read_text(encoding="utf-8") == (
        "id,role,label,score_fat,score_mucus,score_smooth muscle\nd:4,test,1,0.25,0.5,0.25\n"
    )
    table = read_predictions(path, cells_sha256=["x", "y"], classes=names)
    assert table.loc[0, "score_smooth muscle"] == 0.25
    with pytest.raises(StoreError, match="was made from other cells"):
        read_predictions(path, cells_sha256=["y", "x"], classes=names)
    for wrong in (None, names[::-1]):
        with pytest.raises(
            StoreError, match=r"has the columns \['id', 'role', 'label', 'score_fat'"
        ):
            read_predictions(path, classes=wrong)
    write_predictions(path, roles.assign(label=1), scores * np.nan, **how)
    with pytest.raises(StoreError, match="no finite score for 1 cells, first d:4"):
        read_predictions(path, classes=names)


def made(folder, fold: int, view: str = "patches", **notes: object):
    """Write a split and the predictions on it, where a study has them."""
    split = folder / f"splits/d/random/fraction=1.0/fold={fold}.csv"
    split.parent.mkdir(parents=True, exist_ok=True)
    split.write_text("id,role\n4,test\n5,test\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "stratified"}', encoding="utf-8")
    path = folder / f"predictions/d/random/view={view}/model=m/head=h/fraction=1.0/fold={fold}.csv"
    roles = pd.DataFrame({"id": [4, 5], "role": ["test", "test"]})
    scores = np.array([0.25, 0.75])
    write_predictions(path, roles.assign(label=[0, 1]), scores, split=split, notes=notes)
    return path


def test_predictions_of_an_earlier_version_of_the_training_are_refused(tmp_path):
    assert len(read_predictions(made(tmp_path, 0, recipe=step_versions.ENDTOEND))) == 2
    with pytest.raises(StoreError, match=r"fold=1.csv is of version 1 of the training, which is"):
        read_predictions(made(tmp_path, 1, recipe=1))
    store = made(tmp_path, 2, view="paper-fp32", recipe=step_versions.ENDTOEND + 1)  # of embeddings
    assert len(read_predictions(store)) == 2
    with pytest.raises(StoreError, match=r"fold=3.csv is of version 0 of the training, which is"):
        read_predictions(made(tmp_path, 3, view="paper-fp32", mil_recipe=0))


def test_stale_draws_of_other_studies_are_left_out_of_the_scores_and_asked_ones_refused(tmp_path):
    cells = tmp_path / "cells.csv"
    cells.write_text(
        "id,image,slide,x,y,domain,label\n4,a,a,1,1,all,0\n5,b,b,1,1,all,1\n", encoding="utf-8"
    )
    asked = made(tmp_path, 0, cells_sha256=sha256(cells))
    stale = made(tmp_path, 1, cells_sha256="before they were corrected")
    score = runpy.run_path(str(ROOT / "workflow" / "scripts" / "score_row.py"))["main"]
    score(cells, [asked], tmp_path / "scores.csv", "random", {})
    assert set(pd.read_csv(tmp_path / "scores.csv")["fold"]) == {0}
    with pytest.raises(StoreError, match="was made from other cells"):
        score(cells, [asked, stale], tmp_path / "scores.csv", "random", {})


def test_patients_called_na_or_01_stay_text(tmp_path):
    split = tmp_path / "splits/d/s/fraction=1.0/fold=0.csv"
    split.parent.mkdir(parents=True)
    split.write_text("id,role\nNA,test\n01,test\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "random"}', encoding="utf-8")
    path = tmp_path / "predictions/d/s/view=v/model=m/head=h/fraction=1.0/fold=0.csv"
    table = pd.DataFrame({"id": ["NA", "01"], "role": "test"})
    notes = {"model": "m", "view": "v", "n_train": 1}
    scores = np.array([0.1, 0.9])
    write_predictions(path, table.assign(label=[0, 1]), scores, split=split, notes=notes)
    assert read_predictions(path, text_ids=True)["id"].tolist() == ["NA", "01"]
