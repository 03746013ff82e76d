from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import CONFIG

from cryotome.cards import load_card
from cryotome.encoders import build_classifier
from cryotome.endtoend import (
    Material,
    read_material,
    score_cells,
    train_endtoend,
)
from cryotome.errors import SplitError
from cryotome.samplers import Cells

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


def material(patches, train, watch):
    """The patches as one job reads them, the first cells to train on, the next to validate."""
    roles = ["train"] * len(train.rows) + ["validation"] * len(watch.rows)
    rows = np.concatenate([train.rows, watch.rows])
    label = np.concatenate([train.label, watch.label])
    slide = np.concatenate([train.slide, watch.slide])
    table = pd.DataFrame({"id": rows, "role": roles, "label": label, "slide": slide, "row": rows})
    return Material(patches, table, {"seen": 32})


def train(steps=40, learning_rate=0.003, seed=1, every=10, checkpoint=None):
    card = load_card(CONFIG, "heads", "e2e_short")
    card |= {"steps": steps, "evaluate_every": every, "learning_rate": learning_rate, "batch": 8}
    patches, cells = toy()
    encoder = load_card(CONFIG, "models", "resnet10t_random")
    network, _ = build_classifier(encoder, "r", Path(), side=32, seed=seed, device=CPU)
    both = material(patches, part(cells, slice(0, 40)), part(cells, slice(40, 64)))
    fit = train_endtoend(network, both, card, seed=seed, device=CPU, checkpoint=checkpoint)
    return network, fit, patches, cells


def test_it_learns_a_bright_bar():
    network, fit, patches, cells = train()
    network.load_state_dict(fit.best)
    logits = score_cells(network, patches, cells.rows[40:], side=32, device=CPU)
    assert logits[cells.label[40:] == 1].min() > logits[cells.label[40:] == 0].max()


def test_the_best_checkpoint_is_a_copy_and_really_the_best():
    """The public code of paper 001's group keeps a live reference, and so tests the last weights."""
    network, fit, patches, cells = train(steps=60, learning_rate=0.05, every=5)
    losses = {}
    for name, state in (("best", fit.best), ("last", fit.last)):
        network.load_state_dict(state)
        logits = score_cells(network, patches, cells.rows[40:], side=32, device=CPU)
        losses[name] = float((np.logaddexp(0, logits) - cells.label[40:] * logits).mean())
    history = [loss for _, loss in fit.history]
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


def test_equal_seeds_give_equal_weights_and_others_do_not():
    first, second, other = (train(steps=4, seed=seed)[1] for seed in (1, 1, 2))
    assert all(torch.equal(first.last[name], second.last[name]) for name in first.last)
    assert not all(torch.equal(first.last[name], other.last[name]) for name in first.last)


def test_scoring_sees_the_centre_only():
    network, _, patches, cells = train(steps=1, every=1)
    noisy = patches.clone()
    noisy[:, :4] = 255
    both = [score_cells(network, p, cells.rows, side=32, device=CPU) for p in (patches, noisy)]
    assert (both[0] == both[1]).all()


def test_material_brings_patches_labels_and_slides_of_a_split_together(store, cohort, tmp_path):
    split = tmp_path / "fold=0.csv"
    split.write_text("id,role\n3,test\n7,train\n40,validation\n41,train\n")
    material = read_material(store, cohort / "cells.csv", split)
    cells = pd.read_csv(cohort / "cells.csv").set_index("id")
    train = material.cells("train")
    assert train.rows.tolist() == [7, 41]
    assert train.label.tolist() == cells.loc[[7, 41], "label"].tolist()
    assert train.slide.tolist() == ["001.tiff", "018.tiff"]
    assert material.cells("validation", "test").rows.tolist() == [3, 40]
    assert material.pixels.shape == (48, 40, 40, 3)


def test_losses_that_are_never_finite_are_an_error():
    with pytest.raises(SplitError, match="No validation loss was finite"):
        train(steps=2, learning_rate=1e30, every=1)


def test_no_validation_cells_is_an_error():
    patches, cells = toy()
    empty = part(cells, slice(0, 0))
    with pytest.raises(SplitError, match="No validation cells"):
        card = load_card(CONFIG, "heads", "e2e_short")
        both = material(patches, cells, empty)
        train_endtoend(torch.nn.Identity(), both, card, seed=0, device=CPU)
