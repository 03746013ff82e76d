from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import CONFIG
from tests.encoders.test_patch_reader import write_noise

from cryotome.core.cards import load_card
from cryotome.encoders.embedders import ComputeSettings, ModelView
from cryotome.encoders.inference import InferenceRunner, processor_batch


@pytest.fixture
def patches(tmp_path) -> Path:
    return write_noise(tmp_path / "p.h5")


def runner(
    folder: Path, name: str = "resnet10t_random", view: str = "paper-fp32"
) -> InferenceRunner:
    model = ModelView(name, load_card(CONFIG, "models", name), view)
    compute = ComputeSettings(folder, "cpu", 2, folder / "batches" / name)
    return InferenceRunner(model, model.geometry(32), compute)


def everything(run: InferenceRunner, patches: Path, blocks: list[tuple[int, int]]) -> np.ndarray:
    got: dict[int, np.ndarray] = {}
    run.run(patches, blocks, lambda first, part: got.update({first: part.copy()}), count=50)
    assert list(got) == sorted(got), "rows come in order"
    return np.concatenate([got[first] for first in sorted(got)])


def test_blocks_and_batches_change_no_embedding(patches, tmp_path):
    run = runner(tmp_path)
    whole = everything(run, patches, [(0, 50)])
    assert whole.shape == (50, 512)
    run.batch = 7
    pieces = everything(run, patches, [(0, 16), (16, 16), (32, 18)])
    assert pieces == pytest.approx(whole, abs=1e-4)


def test_the_margin_is_cut_off(patches, tmp_path):
    run = runner(tmp_path)
    with h5py.File(patches) as file:
        inner = torch.from_numpy(file["patch"][:3, 4:36, 4:36])
    with torch.inference_mode():
        there = run.encoder(inner.permute(0, 3, 1, 2).float() / 255)
    assert everything(run, patches, [(0, 3)]) == pytest.approx(there.numpy(), abs=1e-5)


def test_lower_precision_is_near_and_not_the_same(patches, tmp_path):
    full = everything(runner(tmp_path), patches, [(0, 50)])
    lower = everything(runner(tmp_path, view="paper-bf16"), patches, [(0, 50)])
    assert lower.dtype == np.float32
    assert not (lower == full).all()
    cosine = (lower * full).sum(1) / np.linalg.norm(lower, axis=1) / np.linalg.norm(full, axis=1)
    assert cosine.min() > 0.99


def test_out_of_memory_halves_the_batch_and_is_remembered(patches, tmp_path, monkeypatch, capsys):
    """No processor runs out as a GPU does: the forward is made to, above ten patches."""
    run = runner(tmp_path)
    whole = everything(run, patches, [(0, 50)])
    forward = InferenceRunner._forward

    def tight(self, part):
        if len(part) > 10:
            raise torch.OutOfMemoryError
        return forward(self, part)

    monkeypatch.setattr(InferenceRunner, "_forward", tight)
    run._find_batch(tmp_path / "batch")
    assert run.batch == 8
    assert (tmp_path / "batch").read_text(encoding="utf-8") == "8"
    other = runner(tmp_path)
    (tmp_path / "batch").write_text("32", encoding="utf-8")  # remembered, and no longer true
    other._find_batch(tmp_path / "batch")
    assert other.batch == 32
    other.compile_if_it_pays(torch.zeros(40, 32, 32, 3, dtype=torch.uint8), count=50)
    assert other.batch == 8
    assert "16 patches at once do not fit the memory; continuing with 8" in capsys.readouterr().err
    other.batch = 64
    assert everything(other, patches, [(0, 50)]) == pytest.approx(whole, abs=1e-4)
    assert other.batch == 8, "a power of two, whatever the tail was"


def test_one_patch_that_does_not_fit_is_an_error(tmp_path, monkeypatch):
    def none(self, part):
        raise torch.OutOfMemoryError

    run = runner(tmp_path)
    monkeypatch.setattr(InferenceRunner, "_forward", none)
    with pytest.raises(torch.OutOfMemoryError):
        run.enqueue(torch.zeros(4, 32, 32, 3, dtype=torch.uint8))


def test_short_work_is_not_compiled_and_a_failing_compiler_stops_nothing(
    patches, tmp_path, monkeypatch, capsys
):
    run = runner(tmp_path)
    some = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
    run.compile_if_it_pays(some, count=50)
    assert run._network is run.encoder

    def broken(_network):
        raise RuntimeError("no compiler")

    monkeypatch.setattr("torch.compile", broken)
    run.compile_if_it_pays(some, count=10**9)
    assert run._network is run.encoder
    assert "torch.compile does not work here (RuntimeError); continuing without" in (
        capsys.readouterr().err
    )


def test_the_faster_of_eager_and_compiled_is_kept_if_it_agrees(tmp_path, monkeypatch):
    run = runner(tmp_path)
    some = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
    monkeypatch.setattr("torch.compile", lambda network: network.__class__(network.network, CARD))
    near, far = torch.eye(8), torch.eye(8).roll(1, 0)
    for seconds, said, kept in ((0.5, near, True), (0.99, near, False), (0.5, far, False)):
        timed = iter([(1.0, near), (seconds, said)])
        monkeypatch.setattr(InferenceRunner, "_timed", lambda self, part, timed=timed: next(timed))
        run.compile_if_it_pays(some, count=10**9)
        assert (run._network is not run.encoder) == kept
        assert run._compiled_for == (8 if kept else 0)


CARD = load_card(CONFIG, "models", "resnet10t_random")


def test_an_error_while_keeping_stops_the_run(patches, tmp_path):
    def full(first, part):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        runner(tmp_path).run(patches, [(0, 50)], full, count=50)


def test_a_processors_batch_is_a_power_of_two_that_depends_on_the_side_alone():
    assert [processor_batch(side) for side in (32, 64, 224, 448, 1024)] == [256, 64, 8, 2, 1]
