import numpy as np
import pandas as pd
import pytest
import torch
from conftest import cut
from tests.learners.endtoend.test_train import head, part, toy, training_data

from cryotome.core.errors import SplitError, StoreError
from cryotome.learners.endtoend.training_data import (
    ValidationSet,
    centre_crops,
    copy_weights,
    load_weights,
    read_training_data,
)


def test_material_brings_patches_labels_and_slides_of_a_split_together(store, cohort, tmp_path):
    split = tmp_path / "fold=0.csv"
    split.write_text("id,role\n3,test\n7,train\n40,validation\n41,train\n", encoding="utf-8")
    data = read_training_data(store, cohort / "cells.csv", split)
    cells = pd.read_csv(cohort / "cells.csv").set_index("id")
    train = data.cells("train")
    assert train.rows.tolist() == [7, 41]
    assert train.label.tolist() == cells.loc[[7, 41], "label"].tolist()
    assert train.slide.tolist() == ["001.tiff", "018.tiff"]
    assert data.cells("validation", "test").rows.tolist() == [3, 40]
    assert data.pixels.shape == (48, 40, 40, 3)


def test_shares_of_votes_are_the_target_and_labels_stay_labels(store, cohort, demo_card, tmp_path):
    split = tmp_path / "fold=0.csv"
    split.write_text("id,role\n3,test\n7,train\n40,validation\n41,train\n", encoding="utf-8")
    with pytest.raises(StoreError, match="has no votes, which a head with `labels: soft`"):
        read_training_data(store, cohort / "cells.csv", split, soft=True)
    cells = pd.read_csv(cohort / "cells.csv")
    voted = cells.assign(**{"vote a": cells["label"], "vote b": 1 - cells["label"], "vote c": 1})
    patches, table = tmp_path / "voted.h5", tmp_path / "voted.csv"
    voted.to_csv(table, index=False)
    cut(patches, table, cohort / "images", demo_card)
    data = read_training_data(patches, table, split, soft=True)
    train, label = data.cells("train"), voted.loc[[7, 41], "label"]
    assert train.label.tolist() == label.tolist()
    assert train.target == pytest.approx(np.full(2, 2 / 3))
    plain = read_training_data(patches, table, split).cells("train")
    assert plain.share is None and plain.target is plain.label


def test_the_centre_is_what_is_seen():
    patches, _ = toy()
    seen = centre_crops(patches, 32)
    assert seen.shape == (64, 3, 32, 32)
    assert torch.equal((seen * 255).round().byte(), patches[:, 4:36, 4:36].permute(0, 3, 1, 2))


def watched(**more):
    patches, cells = toy()
    both = training_data(patches, part(cells, slice(0, 40)), part(cells, slice(40, 64)))
    return ValidationSet(both, head(**more), seed=1), patches


def test_every_validation_cell_is_looked_at_once_and_centred():
    watch, patches = watched()
    assert watch.rows.tolist() == list(range(40, 64))
    views = watch.views(patches[watch.rows], slice(0, 24))
    assert torch.equal(views, centre_crops(patches[40:64], 32))


def test_draws_of_the_validation_cells_are_shifted_balanced_and_the_same_every_time():
    watch, patches = watched(validation_draws=200)
    again, _ = watched(validation_draws=200)
    assert len(watch.rows) == 200
    assert set(watch.rows) <= set(range(40, 64))
    assert (watch.rows == again.rows).all()
    assert watch.label.mean() == pytest.approx(0.5, abs=0.12)
    views = [w.views(patches[w.rows[:50]], slice(0, 50)) for w in (watch, again)]
    assert torch.equal(*views)
    moved = [
        not torch.allclose(a, b, atol=1e-4)
        for a, b in zip(views[0], centre_crops(patches[watch.rows[:50]], 32))
    ]
    assert 0.8 < np.mean(moved) < 1
    part_views = watch.views(patches[watch.rows[30:50]], slice(30, 50))
    assert torch.allclose(part_views, views[0][30:], atol=1e-6)


def test_no_validation_cells_is_an_error():
    patches, cells = toy()
    with pytest.raises(SplitError, match="No validation cells"):
        ValidationSet(training_data(patches, cells, part(cells, slice(0, 0))), head(), seed=0)


def test_weights_of_another_network_are_refused():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(StoreError, match="of another network: 1 names differ, first 0.bias"):
        load_weights(network, {"0.weight": torch.ones(2, 2)})


def test_weights_are_copies_and_come_back():
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1)
    )
    network[0].requires_grad_(False)
    kept = copy_weights(network)
    assert not [name for name in kept if name.startswith("0.")]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        for value in network.state_dict().values():
            value += 1
    load_weights(network, kept)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] + (1 if name.startswith("0.") else 0)), name
