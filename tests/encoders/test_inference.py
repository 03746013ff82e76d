import re
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import CONFIG
from tests.encoders.test_patch_reader import write_noise
from torch import nn

from cryotome.core.cards import load_card, without_notes
from cryotome.core.errors import EncoderError
from cryotome.encoders.embedders import ComputeSettings, ModelView
from cryotome.encoders.inference import ROUNDING, InferenceRunner, processor_batch
from cryotome.encoders.network import LOADERS
from cryotome.encoders.profile import NETWORK
from cryotome.study.geometry import Geometry, input_side


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


# one card of each network, narrow and of one block where its arguments allow it
CARDS = {p.stem: load_card(CONFIG, "models", p.stem) for p in sorted(CONFIG.glob("models/*.yaml"))}
BATTERY = {without_notes(c, *NETWORK): n for n, c in CARDS.items() if c["loader"] in LOADERS}
# with random weights it turns rounding of 1e-6 into distances of 0.4: docs/decisions/015
BATTERY = {network: name for network, name in BATTERY.items() if name != "efficientnetv2_m"}
NARROW = {"timm": {"depth": 1, "embed_dim": 96, "num_heads": 4}}
NARROW["transformers"] = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}


def light(name: str) -> tuple[dict, int]:
    """Return the card of a light relative of a network with random weights, and the side of its images, px."""
    card, arguments = CARDS[name], {}
    if re.search("vit|beit", card["architecture"].lower()) or card["loader"] == "transformers":
        arguments = dict(NARROW[card["loader"]])
        if "mlp_ratio" in card["arguments"]:  # gates and values need an even width
            arguments["mlp_ratio"] = 4
        if "pooler" in card:  # whose width is that of the network
            arguments = {"depth": 1}
        if "sam" in card["architecture"]:
            arguments |= {"img_size": 128}
    fixed = arguments or "swin" in card["architecture"]
    own = card["arguments"].get("img_size", card["arguments"].get("image_size"))
    side = (own or input_side(card)) if fixed else 64
    card = card | {"weights": {"random": 0}, "arguments": card["arguments"] | arguments}
    return {k: v for k, v in card.items() if k != "checkpoint"}, arguments.get("img_size", side)


@pytest.mark.large
@pytest.mark.parametrize("name", BATTERY.values())
def test_no_encoder_depends_on_the_batch(name, tmp_path):
    """Patches one by one, three at once and all sixteen: the same embeddings, to rounding."""
    card, side = light(name)
    model = ModelView(name, card, "paper-fp32")
    run = InferenceRunner(model, Geometry(side), ComputeSettings(tmp_path, "cpu", 1, tmp_path))
    patches = np.random.default_rng(0).integers(0, 256, (16, side, side, 3), np.uint8)
    run.batch = 16
    together = run.embed(patches)
    for batch in (1, 3):
        run.batch = batch
        apart = run.embed(patches[:3])
        distance = np.linalg.norm(apart - together[:3], axis=1) / np.linalg.norm(apart, axis=1)
        assert distance.max() < ROUNDING[None] / 50


class Trains(nn.Module):
    """Batch normalisation by the statistics of the batch, whatever its mode, as a faulty network does it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.norm = inner, nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.norm(x))


class Centres(nn.Module):
    """A network that takes the mean of its batch away."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) - 0.5 * self.inner(x).mean(0)


class Squeezes(Centres):
    """A network that loses the axis of the batch where it has one patch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x).squeeze()


class Looks(Centres):
    """A network in which each patch sees the next one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.inner(x)
        return found + 0.3 * found.roll(1, 0)


@pytest.mark.parametrize("view", ["paper-fp32", "paper-bf16", "paper-fp16"])
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (nn.Module.train, "embeds 50 patches at once and fails on one alone .*ValueError: Expecte"),
        (
            Trains,
            "embeds a patch otherwise alone than among [504]+: relative distance [0-9.]+, where",
        ),
        (Centres, "embeds a patch otherwise alone than among [504]+"),
        (Squeezes, r"embeds 50 patches at once and fails on one alone .*shape \(512,\)"),
        (
            Looks,
            "embeds a patch otherwise alone than among [504]+.* Look for batch normalisation that",
        ),
    ],
)
def test_an_encoder_that_depends_on_the_batch_is_refused(fault, said, view, patches, tmp_path):
    run = runner(tmp_path, view=view)
    if fault is nn.Module.train:
        run.encoder.train()
    else:
        run.encoder.network = fault(run.encoder.network)
    with pytest.raises(EncoderError, match=f"resnet10t_random {said}"):
        everything(run, patches, [(0, 50)])


def test_equal_patches_say_nothing_of_a_batch_and_the_next_ones_do(tmp_path):
    run = runner(tmp_path)
    run.encoder.network = Centres(run.encoder.network)
    some = torch.zeros(8, 32, 32, 3, dtype=torch.uint8)
    run.enqueue(some)
    some[3] = 255
    with pytest.raises(EncoderError, match="embeds a patch otherwise alone than among 8"):
        run.enqueue(some)
