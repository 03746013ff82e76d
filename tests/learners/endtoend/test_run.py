import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CONFIG
from tests.learners.endtoend.test_train import head, toy

from cryotome.core.cards import load_card
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.run import Run
from cryotome.learners.endtoend.train import TrainingResult
from cryotome.learners.endtoend.training_data import TrainingData, copy_weights
from cryotome.learners.kept import load_kept
from cryotome.learners.loop.batches import BatchLoader


@pytest.fixture
def run():
    patches, cells = toy(16)
    roles = np.repeat(["train", "train", "validation", "test"], 4)
    table = pd.DataFrame({"id": cells.rows, "role": roles, "label": cells.label})
    table = table.assign(slide=cells.slide, row=cells.rows)
    stamps = {"seen": 32, "cells_sha256": "c", "patches_sha256": "p"}
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    network, _ = build_classifier(encoder, "r", Path(), side=32, seed=0)
    data = TrainingData(patches, table, stamps)
    return Run(network, data, head(), BatchLoader(patches, torch.device("cpu")), 0)


def test_held_out_cells_are_scored_with_the_given_weights(run, tmp_path):
    split, path = tmp_path / "split.csv", tmp_path / "p.csv"
    split.write_text("id,role\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "random"}', encoding="utf-8")
    notes = run.notes("m", "w", 1) | {"checkpoint": "best"}
    state = copy_weights(run.network)
    run.write(path, run.score(state), split, notes)
    table = pd.read_csv(path)
    assert table["role"].tolist() == ["validation"] * 4 + ["test"] * 4
    assert table["label"].tolist() == run.data.roles["label"][8:].tolist()
    assert (run.score({k: v * 0 for k, v in state.items()}) == 0.5).all()
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert (told["n_train"], told["cells_sha256"], told["precision"]) == (8, "c", "float32")


def test_seed_device_and_versions_decide_the_weights(run):
    assert run.environment() | {"seed": 0, "device": "cpu"} == run.environment()
    assert {"torch", "timm", "peft"} < set(run.environment())


def test_equal_weights_are_scored_once_and_written_twice(run, tmp_path, monkeypatch):
    split = tmp_path / "split.csv"
    split.write_text("id,role\n", encoding="utf-8")
    split.with_suffix(".json").write_text('{"drawn": "random"}', encoding="utf-8")
    paths, calls, score = (tmp_path / "b.csv", tmp_path / "l.csv"), [], Run.score
    monkeypatch.setattr(Run, "score", lambda *it: calls.append(it) or score(*it))
    best = copy_weights(run.network)
    for last, count in ((best, 1), ({k: v * 0 for k, v in best.items()}, 3)):
        fit = TrainingResult(best, last, pd.DataFrame(), 1.0, 1.0)
        run.write_both(fit, paths, split, run.notes("m", "w", 1))
        assert len(calls) == count
    assert (pd.read_csv(paths[1])["score"] == 0.5).all()
    told = [json.loads(path.with_suffix(".json").read_text("utf-8")) for path in paths]
    assert [it["checkpoint"] for it in told] == ["best", "last"]


def test_the_best_weights_are_kept_with_their_record(run, tmp_path):
    place = "models/d/random/view=patches/model=m/head=h/fraction=1.0/fold=0.safetensors"
    stamps = {"mpp": "[0.24, 0.26]"}
    run.data.stamps.update(stamps)
    state = copy_weights(run.network)
    best, last = ({k: v * factor for k, v in state.items()} for factor in (0.5, 0.25))
    run.score(last)  # leaves them loaded
    card = load_card(CONFIG, "models", "resnet10t_random")
    patch = {"side": 32, "resolution": "native", "border": "reflect"}
    about = run.notes("m", "w", 1) | {"encoder": card, "split_sha256": "s", "patch": patch}
    run.keep([tmp_path / place], best, about | {"classes": ["no", "yes"], "mpp": None})
    again, wanted = load_kept(tmp_path / place), run.score(best)
    assert again.score(run.data.pixels.numpy()[8:]) == pytest.approx(wanted, abs=1e-6)
    said = again.about
    assert said["patch"] == patch | {"channels": "RGB", "mpp": [0.24, 0.26]}
    assert (said["dataset"], said["scheme"], said["fold"], said["seed"]) == ("d", "random", 0, 0)
    assert (said["weights_sha256"], said["split_sha256"], said["recipe"]) == ("w", "s", 1)
    assert "mpp" not in said


def test_nothing_is_kept_where_no_file_is_asked_for(run):
    facts = {"patch": {"side": 32, "resolution": 0.5}, "mpp": None}
    run.keep([], copy_weights(run.network), facts)
