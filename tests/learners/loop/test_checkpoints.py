import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import CONFIG, ROOT
from tests.learners.endtoend.test_train import ADAPTED, head, toy, train, training_data
from tqdm import tqdm

from cryotome.core.cards import load_card
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.state import TrainingState
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import checkpointed
from cryotome.runtime.devices import repeat_exactly


class Killed(Exception):  # noqa: N818
    """Stands for SIGKILL: nothing after it runs in the training."""


class KilledAt:
    """A checkpoint that saves after every look and dies after one of them."""

    def __init__(self, checkpoint, step):
        checkpoint._cost = 0.0
        self.load, self._checkpoint, self._step = checkpoint.load, checkpoint, step

    def save_if_due(self, state):
        self._checkpoint.save_if_due(state)
        self._checkpoint._cost = 0.0
        if state()["step"] == self._step:
            raise Killed


def broken_off(folder, step, **settings):
    with pytest.raises(Killed), checkpointed(folder, {"seed": 1}) as checkpoint:
        train(checkpoint=KilledAt(checkpoint, step), **settings)


@pytest.mark.parametrize(("step", "every"), [(1, 1), (7, 1), (5, 5), (15, 5)])
def test_a_training_gone_on_with_ends_in_the_same_weights_bit_for_bit(tmp_path, step, every):
    settings = {"steps": 8 if every == 1 else 20, "every": every}
    whole = train(**settings)[1]
    broken_off(tmp_path / "partial", step, **settings)
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        assert checkpoint.load()["step"] == step
        again = train(checkpoint=checkpoint, **settings)[1]
    pd.testing.assert_frame_equal(again.curve, whole.curve)
    check_equal(whole, again)
    assert not (tmp_path / "partial").exists()


def check_equal(whole, again):
    for name in whole.last:
        assert torch.equal(whole.last[name], again.last[name]), name
        assert torch.equal(whole.best[name], again.best[name]), name


def test_adapters_go_on_bit_for_bit_with_their_dropout(tmp_path):
    settings = {"steps": 6, "every": 2, **ADAPTED}
    whole = train(**settings)[1]
    broken_off(tmp_path / "partial", 4, **settings)
    torch.rand(3)  # another process would stand elsewhere
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        check_equal(whole, train(checkpoint=checkpoint, **settings)[1])


KILLED = """
import os, signal, sys
from pathlib import Path
from cryotome.learners.loop.checkpoints import checkpointed
from tests.learners.endtoend.test_train import train

class KillsItself:
    def __init__(self, checkpoint):
        self.load, self.checkpoint = checkpoint.load, checkpoint
    step, path = 0, Path()
    def save_if_due(self, state):
        self.checkpoint._cost = 0.0
        self.checkpoint.save_if_due(state)
        if state()["step"] == 6:
            os.kill(os.getpid(), signal.SIGKILL)

with checkpointed(Path(sys.argv[1]), {"seed": 1}) as checkpoint:
    train(steps=12, every=3, checkpoint=KillsItself(checkpoint))
"""


def test_sigkill_in_another_process_changes_no_bit(tmp_path):
    """Nothing runs after the signal: no handler, no `finally`, no flush."""
    paths = [str(ROOT / part) for part in (".", "workflow", "tests", "tests/tools")]
    env = os.environ | {
        "PYTHONPATH": ":".join(paths),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path / "partial")], env=env, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    whole = train(steps=12, every=3)[1]
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        assert checkpoint.load()["step"] == 6
        check_equal(whole, train(steps=12, every=3, checkpoint=checkpoint)[1])


@pytest.mark.gpu
@pytest.mark.parametrize("settings", [{}, ADAPTED], ids=["endtoend", "lora"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_gone_on_with_on_a_gpu_ends_within_1e_5(tmp_path, settings, precision):
    gpu = torch.device("cuda")
    repeat_exactly(gpu)
    settings = settings | {"steps": 20, "every": 5, "precision": precision, "device": gpu}
    whole = train(**settings)[1]
    broken_off(tmp_path / "partial", 10, **settings)
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        again = train(checkpoint=checkpoint, **settings)[1]
    for name in whole.last:
        assert torch.allclose(whole.last[name], again.last[name], atol=1e-5), name


@pytest.mark.gpu
def test_no_step_waits_for_the_gpu():
    gpu = torch.device("cuda")
    patches, cells = toy()
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    network = build_classifier(encoder, "r", Path(), side=32, seed=1)[0].to(gpu)
    both = training_data(patches, cells, cells)
    loader = BatchLoader(patches, gpu)
    state = TrainingState(network, both, head(steps=99), seed=1, loader=loader, checkpoint=None)
    state.learn(6, tqdm(disable=True))  # kernels are chosen, the step is captured
    torch.cuda.set_sync_debug_mode("error")
    try:
        state.learn(6, tqdm(disable=True))
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_checkpoint_of_other_settings_is_cleared_away(tmp_path, capsys):
    broken_off(tmp_path / "partial", 3, steps=5, every=1)
    with checkpointed(tmp_path / "partial", {"seed": 2}) as checkpoint:
        assert checkpoint.load() is None
    assert "was begun from other inputs or settings; starting again" in capsys.readouterr().err


def test_a_torn_checkpoint_is_not_used(tmp_path, capsys):
    broken_off(tmp_path / "partial", 3, steps=5, every=1)
    path = tmp_path / "partial" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        assert checkpoint.load() is None
    assert "checkpoint.pt is broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [OSError(errno.ESTALE, "Stale file handle"), OSError(errno.EIO, "I/O"), MemoryError()]
)
def test_a_fault_of_disk_or_memory_does_not_throw_a_training_away(tmp_path, monkeypatch, error):
    def fail(*_, **__):
        raise error

    broken_off(tmp_path / "partial", 3, steps=5, every=1)
    with monkeypatch.context() as patch, pytest.raises(type(error)) as raised:
        patch.setattr(torch, "load", fail)
        with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
            checkpoint.load()
    assert raised.value is error
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        assert checkpoint.load()["step"] == 3


def test_a_place_that_no_file_has_is_torn(tmp_path, monkeypatch, capsys):
    def fail(*_, **__):
        raise OSError(errno.EINVAL, "Invalid argument")

    broken_off(tmp_path / "partial", 3, steps=5, every=1)
    monkeypatch.setattr(torch, "load", fail)
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        assert checkpoint.load() is None


def test_saving_takes_at_most_a_twentieth_of_the_time(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 1))
    monkeypatch.setattr("cryotome.learners.loop.checkpoints.perf_counter", lambda: next(clock))
    saved = []
    with checkpointed(tmp_path / "partial", {}) as checkpoint:
        for step in range(100):
            checkpoint.save_if_due(lambda step=step: saved.append(step) or {"step": step})
    assert saved[:4] == [0, 20, 40, 60]  # one second a step, one second a save
