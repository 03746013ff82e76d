import pandas as pd
import pytest
import torch
from test_endtoend import train

from cryotome.checkpoints import checkpointed


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
    for name in whole.last:
        assert torch.equal(whole.last[name], again.last[name]), name
        assert torch.equal(whole.best[name], again.best[name]), name
    assert not (tmp_path / "partial").exists()


def test_a_checkpoint_of_other_settings_is_cleared_away(tmp_path, capsys):
    broken_off(tmp_path / "partial", 3, steps=5, every=1)
    with checkpointed(tmp_path / "partial", {"seed": 2}) as checkpoint:
        assert checkpoint.load() is None
    assert "was begun from other inputs or settings; beginning anew" in capsys.readouterr().err


def test_a_torn_checkpoint_is_not_used(tmp_path, capsys):
    broken_off(tmp_path / "partial", 3, steps=5, every=1)
    path = tmp_path / "partial" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-1000])
    with checkpointed(tmp_path / "partial", {"seed": 1}) as checkpoint:
        assert checkpoint.load() is None
    assert "checkpoint.pt is broken" in capsys.readouterr().err


def test_saving_takes_at_most_a_twentieth_of_the_time(tmp_path, monkeypatch):
    clock = iter(range(0, 10_000, 1))
    monkeypatch.setattr("cryotome.checkpoints.perf_counter", lambda: next(clock))
    saved = []
    with checkpointed(tmp_path / "partial", {}) as checkpoint:
        for step in range(100):
            checkpoint.save_if_due(lambda step=step: saved.append(step) or {"step": step})
    assert saved[:4] == [0, 20, 40, 60]  # one second a step, one second a save
