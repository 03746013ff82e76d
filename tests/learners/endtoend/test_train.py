from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import SplitError
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.samplers import Cells
from cryotome.learners.endtoend.train import train_endtoend
from cryotome.learners.endtoend.training_data import TrainingData, centre_crops, score_cells
from cryotome.learners.loop.batches import BatchLoader
from cryotome.runtime.devices import multiplies_bf16

CPU = torch.device("cpu")


def toy(count=64, seed=0):
    """Patches whose positive class has a bright bar."""
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=count)
    patches = rng.integers(60, 120, size=(count, 40, 40, 3), dtype=np.uint8)
    patches[label == 1, 16:24, 10:30] += 90
    return torch.from_numpy(patches), Cells(
        np.arange(count), label, np.repeat(np.arange(count // 8), 8)
    )


def part(cells, where):
    return Cells(cells.rows[where], cells.label[where], cells.slide[where])


def training_data(patches, train, validation):
    """The patches as one job reads them, the first cells to train on, the next to validate."""
    roles = ["train"] * len(train.rows) + ["validation"] * len(validation.rows)
    rows = np.concatenate([train.rows, validation.rows])
    label = np.concatenate([train.label, validation.label])
    slide = np.concatenate([train.slide, validation.slide])
    table = pd.DataFrame({"id": rows, "role": roles, "label": label, "slide": slide, "row": rows})
    return TrainingData(patches, table, {"seen": 32})


def head(steps=40, learning_rate=0.003, every=10, **more):
    card = load_card(CONFIG, "heads", "endtoend_short") | {"batch": 8, "precision": "fp32"}
    card |= {"steps": steps, "evaluate_every": every, "learning_rate": learning_rate}
    return card | more


def train(seed=1, checkpoint=None, model="resnet10t_random", device=CPU, **settings):
    patches, cells = toy()
    encoder = load_card(CONFIG, "models", model)
    network, _ = build_classifier(encoder, "r", Path(), side=32, seed=seed, head=settings)
    network.to(device)
    both = training_data(patches, part(cells, slice(0, 40)), part(cells, slice(40, 64)))
    how = {"seed": seed, "loader": BatchLoader(patches, device), "checkpoint": checkpoint}
    fit = train_endtoend(network, both, head(**settings), **how)
    return network, fit, patches, cells


ADAPTED = {"model": "vit_tiny_random", "lora": load_card(CONFIG, "heads", "lora")["lora"]}


def logits_of(network, patches, rows):
    views = lambda stored, _: centre_crops(stored, 32)  # noqa: E731
    return score_cells(
        network, BatchLoader(patches, CPU), rows, views=views, precision=torch.float32
    )


def test_it_learns_a_bright_bar():
    network, fit, patches, cells = train()
    network.load_state_dict(fit.best)
    logits = logits_of(network, patches, cells.rows[40:])
    assert logits[cells.label[40:] == 1].min() > logits[cells.label[40:] == 0].max()


def train_on(share, **settings):
    """Train as `train`, the loss computed with these shares of votes by label."""
    patches, cells = toy()
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    network, _ = build_classifier(encoder, "r", Path(), side=32, seed=1, head=settings)
    both = training_data(patches, part(cells, slice(0, 40)), part(cells, slice(40, 64)))
    roles = both.roles.assign(share=np.where(both.roles["label"] == 1, share[1], share[0]))
    both = TrainingData(patches, roles, both.stamps)
    loader = BatchLoader(patches, CPU)
    fit = train_endtoend(network, both, head(**settings), seed=1, loader=loader, checkpoint=None)
    return network, fit, patches, cells


def test_shares_of_unanimous_raters_train_bit_for_bit_as_labels_do():
    _, hard, *_ = train(steps=20)
    _, soft, *_ = train_on((0.0, 1.0), steps=20)
    assert all(torch.equal(soft.last[name], value) for name, value in hard.last.items())
    assert soft.curve.equals(hard.curve)


def test_shares_of_raters_who_disagree_keep_scores_near_them():
    network, fit, patches, cells = train_on((1 / 3, 2 / 3))
    scores = 1 / (1 + np.exp(-logits_of(network, patches, cells.rows[40:])))
    _, sure, *_ = train()
    least = min(fit.curve["validation_loss"])
    entropy = -(np.log(1 / 3) / 3 + np.log(2 / 3) * 2 / 3)  # the least that is possible
    assert entropy <= least < entropy + 0.03 and min(sure.curve["validation_loss"]) < least
    assert scores[cells.label[40:] == 1].mean() > scores[cells.label[40:] == 0].mean()


def test_the_best_checkpoint_is_a_copy_and_really_the_best():
    """The public code of Ganz et al. 2024 keeps a live reference, and so tests the last weights."""
    network, fit, patches, cells = train(steps=60, learning_rate=0.05, every=5)
    losses = {}
    for name, state in (("best", fit.best), ("last", fit.last)):
        network.load_state_dict(state)
        logits = logits_of(network, patches, cells.rows[40:])
        losses[name] = float((np.logaddexp(0, logits) - cells.label[40:] * logits).mean())
    history = fit.curve["validation_loss"].tolist()
    assert losses["best"] == pytest.approx(min(history), rel=1e-4)
    assert losses["last"] == pytest.approx(history[-1], rel=1e-4)
    assert losses["best"] < losses["last"]


def test_one_cycle_reaches_its_maximum_once_and_ends_at_nothing(monkeypatch):
    rates = []

    class Spied(torch.optim.lr_scheduler.OneCycleLR):
        def step(self, *arguments):
            super().step(*arguments)
            rates.append(self.get_last_lr()[0])

    monkeypatch.setattr(torch.optim.lr_scheduler, "OneCycleLR", Spied)
    train(steps=20, learning_rate=1e-4, every=20)
    assert rates[0] == pytest.approx(4e-6)  # torch's own start, a 25th
    assert max(rates) == pytest.approx(1e-4, rel=1e-3)
    top = rates.index(max(rates))
    assert 4 <= top <= 7  # three tenths of the way
    assert sorted(rates[: top + 1]) == rates[: top + 1]
    assert rates[19] == pytest.approx(4e-10, rel=1e-2)  # the last step's, a 10,000th of the start


@pytest.mark.parametrize("settings", [{}, ADAPTED], ids=["endtoend", "lora"])
def test_equal_seeds_give_equal_weights_and_others_do_not(settings):
    """Dropout of adapters included, whatever was drawn before."""
    first, second, other = (train(steps=4, seed=seed, **settings)[1] for seed in (1, 1, 2))
    assert all(torch.equal(first.last[name], second.last[name]) for name in first.last)
    assert not all(torch.equal(first.last[name], other.last[name]) for name in first.last)


def test_scoring_sees_the_centre_only():
    network, _, patches, cells = train(steps=1, every=1)
    noisy = patches.clone()
    noisy[:, :4] = 255
    both = [logits_of(network, p, cells.rows) for p in (patches, noisy)]
    assert (both[0] == both[1]).all()


def test_the_curve_has_a_row_a_look_and_says_what_was_seen():
    curve = train(steps=25, every=10)[1].curve
    assert curve["step"].tolist() == [10, 20, 25]
    assert list(curve.columns) == [
        "step", "learning_rate", "training_loss", "validation_loss", "validation_auroc"
    ]  # fmt: skip
    assert curve["learning_rate"].iloc[-1] < curve["learning_rate"].iloc[0]
    assert curve["training_loss"].iloc[-1] < curve["training_loss"].iloc[0]
    assert curve["validation_auroc"].between(0, 1).all()


def test_no_validation_cells_is_an_error():
    patches, cells = toy()
    both = training_data(patches, cells, part(cells, slice(0, 0)))
    with pytest.raises(SplitError, match="No validation cells"):
        train_endtoend(
            torch.nn.Linear(1, 1), both, head(), seed=0, loader=BatchLoader(patches, CPU)
        )


def test_training_cells_of_one_class_are_refused():
    patches, cells = toy()
    one = part(cells, np.flatnonzero(cells.label == 1))
    with pytest.raises(SplitError, match="training cells are of one class. Raise the fraction"):
        both = training_data(patches, one, cells)
        train_endtoend(
            torch.nn.Linear(1, 1), both, head(), seed=0, loader=BatchLoader(patches, CPU)
        )


def test_frozen_weights_stay_and_are_in_no_checkpoint():
    patches, cells = toy()
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    network, _ = build_classifier(encoder, "r", Path(), side=32, seed=1)
    network[0].requires_grad_(False)
    before = {name: value.clone() for name, value in network.named_parameters()}
    both = training_data(patches, part(cells, slice(0, 40)), part(cells, slice(40, 64)))
    fit = train_endtoend(network, both, head(steps=5), seed=1, loader=BatchLoader(patches, CPU))
    moved = [n for n, value in network.named_parameters() if not torch.equal(value, before[n])]
    assert moved == ["1.weight", "1.bias"]
    assert {"1.weight", "1.bias"} <= set(fit.best)
    assert not set(fit.best) & {name for name in before if name.startswith("0.")}


@pytest.mark.skipif(not multiplies_bf16(CPU), reason="no bf16 units here")
def test_bf16_ends_near_fp32():
    fits = [train(steps=30, precision=precision)[1] for precision in ("fp32", "bf16")]
    losses = [fit.curve["validation_loss"].to_numpy() for fit in fits]
    assert losses[0] != pytest.approx(losses[1], rel=1e-6)
    assert losses[0] == pytest.approx(losses[1], abs=0.15)
    assert all(value.dtype == torch.float32 for n, value in fits[1].best.items() if "weight" in n)
