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
from cryotome.learners.endtoend.training_data import TrainingData, copy_weights
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
    run.write(path, state, split, notes)
    table = pd.read_csv(path)
    assert table["role"].tolist() == ["validation"] * 4 + ["test"] * 4
    assert table["label"].tolist() == run.data.roles["label"][8:].tolist()
    run.write(tmp_path / "q.csv", {k: v * 0 for k, v in state.items()}, split, notes)
    assert (pd.read_csv(tmp_path / "q.csv")["score"] == 0.5).all()
    told = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert (told["n_train"], told["cells_sha256"], told["precision"]) == (8, "c", "float32")


def test_seed_device_and_versions_decide_the_weights(run):
    assert run.environment() | {"seed": 0, "device": "cpu"} == run.environment()
    assert {"torch", "timm", "peft"} < set(run.environment())
