import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import CONFIG, ROOT
from small_dino import CPU, base_card, coloured, finetune_card, small_learner

from cryotome.core.cards import load_card
from cryotome.core.errors import TrainingError
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.network import build_network
from cryotome.learners.dinov2.finetune import export_encoder, finetune, finetuning_cost
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.study.geometry import Geometry

SEEN = ["images_per_second", "memory_gb"]  # what differs from run to run


def run(folder, checkpoint, images=None, **changes):
    card = finetune_card(**changes)
    learner = small_learner(card)
    return learner, finetune(learner, images or coloured(), card, folder, checkpoint)


def whole(tmp_path, **changes):
    folder = tmp_path / "whole"
    with checkpointed(folder, {}) as checkpoint:
        learner, fit = run(folder, checkpoint, **changes)
        export_encoder(folder, fit, tmp_path / "whole.pt", tmp_path / "whole_all")
    return learner, fit


def test_a_finetuning_leaves_its_teacher_all_exports_and_a_curve(tmp_path):
    learner, fit = whole(tmp_path)
    assert fit.curve["iteration"].tolist() == [0, 2, 4, 6, 8]
    assert fit.kept == 8
    assert sorted(path.name for path in (tmp_path / "whole_all").iterdir()) == ["4.pt", "8.pt"]
    state = torch.load(tmp_path / "whole.pt", weights_only=True)
    teacher = learner.teacher.backbone.network.state_dict()
    assert all(torch.equal(state[name], teacher[name]) for name in teacher)
    assert not (tmp_path / "whole").exists()
    cost = finetuning_cost(fit, finetune_card(), CPU, threads=2)
    assert cost["core_hours"] == pytest.approx(2 * fit.seconds / 3600, abs=1e-4)
    assert cost["images"] == 32
    assert [look["iteration"] for look in cost["looks"]] == [0, 8]
    assert json.dumps(cost)


def test_the_export_is_an_encoder_like_any_other(tmp_path):
    """A model card points at the file; what it embeds is what the teacher embedded, to the bit."""
    learner, _ = whole(tmp_path)
    card = base_card() | {"weights": {"file": "whole.pt", "page": "https://example.org"}}
    (tmp_path / "tuned").mkdir()
    os.link(tmp_path / "whole.pt", tmp_path / "tuned" / "whole.pt")
    encoder, _ = build_encoder(card, "tuned", tmp_path, Geometry(28))
    views = torch.rand(3, 3, 28, 28)
    backbone = learner.teacher.backbone.eval()
    with torch.no_grad():
        assert float((encoder(views) - backbone(views)[0]).abs().max()) == 0
        plain = build_network(card)
        plain.load_state_dict(torch.load(tmp_path / "whole.pt", weights_only=True), strict=True)
        again = plain.eval()((views - backbone.mean) / backbone.std)
        assert float((again - backbone(views)[0]).abs().max()) == 0


def test_the_export_with_the_best_k_nn_may_be_kept(tmp_path):
    _, fit = whole(tmp_path, select="knn", checkpoint_every=2)
    exported = fit.curve[fit.curve["iteration"] > 0]
    assert exported["knn"].max() == exported.set_index("iteration")["knn"][fit.kept]
    kept = torch.load(tmp_path / "whole_all" / f"{fit.kept}.pt", weights_only=True)
    assert all(
        torch.equal(value, kept[name])
        for name, value in torch.load(tmp_path / "whole.pt", weights_only=True).items()
    )


KILLED = """
import os, signal, sys
from pathlib import Path
from cryotome.learners.loop.checkpoints import checkpointed
from tests.learners.dinov2.test_finetune import run

class KillsItself:
    def __init__(self, checkpoint):
        self.load, self.checkpoint = checkpoint.load, checkpoint
    def save_if_due(self, state):
        self.checkpoint._cost = 0.0
        self.checkpoint.save_if_due(state)
        if state()["step"] == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

with checkpointed(Path(sys.argv[1]), {}) as checkpoint:
    run(Path(sys.argv[1]), KillsItself(checkpoint), drop_path=0.2)
"""


def test_sigkill_in_another_process_changes_no_bit(tmp_path):
    """Nothing runs after the signal; exports made before it are there."""
    folder = tmp_path / "partial"
    env = os.environ | {
        "PYTHONPATH": f"{ROOT / 'workflow'}:{ROOT / 'tests'}:{ROOT / 'tests/tools'}"
    }
    env |= {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), "4"], env=env, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert (folder / "4.pt").exists()
    _, unbroken = whole(tmp_path, drop_path=0.2)
    with checkpointed(folder, {}) as checkpoint:
        assert checkpoint.load()["step"] == 4
        _, fit = run(folder, checkpoint, drop_path=0.2)
        export_encoder(folder, fit, tmp_path / "again.pt", tmp_path / "again_all")
    pd.testing.assert_frame_equal(fit.curve.drop(columns=SEEN), unbroken.curve.drop(columns=SEEN))
    for name in ("4.pt", "8.pt"):
        first, second = (torch.load(tmp_path / f"{of}_all" / name) for of in ("whole", "again"))
        assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_collapse_is_stopped_and_says_the_way_out(tmp_path):
    """At a learning rate that no weights survive."""
    limits = finetune_card()["monitoring"] | {"min_lead": 0.5}
    with (
        pytest.raises(
            TrainingError, match=r"The finetuning collapsed at iteration \d+: |is not finite"
        ),
        checkpointed(tmp_path / "partial", {}) as checkpoint,
    ):
        run(
            tmp_path / "partial",
            checkpoint,
            monitoring=limits,
            learning_rate=3e3,
            momentum=0.5,
            clip_grad_norm=1e9,
        )
    assert not (tmp_path / "w.pt").exists()


def test_slides_without_labels_are_finetuned_on(tmp_path):
    folder = tmp_path / "partial"
    with checkpointed(folder, {}) as checkpoint:
        _, fit = run(folder, checkpoint, images=coloured(labelled=False), stop_iteration=2)
    assert fit.curve["knn"].isna().all()
    assert fit.curve["spread"].gt(0).all()


@pytest.mark.parametrize(
    "path", sorted((CONFIG / "finetunings").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_card_is_whole_and_its_base_exists(path):
    card = load_card(CONFIG, "finetunings", path.stem)
    base = load_card(CONFIG, "models", card["base"])
    assert card["stop_iteration"] <= card["schedule_iterations"]
    assert card["crops"]["blur"] == "as_released"
    assert base["loader"] == "timm"


def test_the_published_checkpoints_are_where_the_cards_stop():
    stops = {
        "dinov2_s_nct": (256, 10_000, 2_000),
        "dinov2_g_nct": (32, 10_000, 10_000),
        "dinov2_s_tcga": (256, 100_000, 30_000),
        "dinov2_g_tcga": (32, 100_000, 60_000),
        "dinov2_s_nct_batch128": (128, 10_000, 2_000),
    }
    for name, numbers in stops.items():
        card = load_card(CONFIG, "finetunings", name)
        assert (card["batch"], card["schedule_iterations"], card["stop_iteration"]) == numbers


def test_the_script_makes_all_of_its_files(store, cohort, tmp_path):
    """By hand, as the rule calls it, on the demo's patches."""
    card = finetune_card(stop_iteration=2, evaluate_every=1, checkpoint_every=1)
    outputs = {
        "weights": "e.pt",
        "about": "e.json",
        "curve": "e.csv",
        "picture": "e.png",
        "checkpoints": "e",
    }
    arguments = {"patches": [store], "cells": [cohort / "cells.csv"], "split": []}
    arguments |= {name: [tmp_path / file] for name, file in outputs.items()}
    arguments |= {"recipe": ["1"], "card": [json.dumps(card)], "base": [json.dumps(base_card())]}
    arguments |= {"model": ["tuned"], "synthetic": ["true"], "partial": [tmp_path / "partial"]}
    arguments |= {"weights_dir": [tmp_path], "device": ["cpu"], "threads": ["1"]}
    words = [str(word) for name, values in arguments.items() for word in (f"--{name}", *values)]
    script = ROOT / "workflow" / "scripts" / "finetune_dinov2.py"
    env = {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, *words], env=env, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    about = json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))
    assert about["iterations"] == 2
    assert about["images"] == 8
    assert about["core_hours"] >= 0
    assert about["synthetic"] is True
    assert len(about["base_sha256"]) == len(about["patches_sha256"]) == 64
    assert pd.read_csv(tmp_path / "e.csv")["iteration"].tolist() == [0, 1, 2]
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == ["1.pt", "2.pt"]
    assert (tmp_path / "e.png").stat().st_size > 5000
    assert not (tmp_path / "partial").exists()
    assert Path(tmp_path / "e.pt").exists()
