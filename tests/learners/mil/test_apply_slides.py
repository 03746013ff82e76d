import json
import re
import zlib

import h5py
import numpy as np
import pytest
from tests.learners.mil.test_train import CPU, fold_of, head, invented

from cryotome.core.errors import StoreError
from cryotome.core.store import LAYOUT, VERSION, finalise_store
from cryotome.encoders.bag_store import BAGS
from cryotome.learners.kept import load_kept
from cryotome.learners.kept_file import write_kept
from cryotome.learners.mil.apply_slides import load_classifiers, score_slides
from cryotome.learners.mil.kept_aggregator import AGGREGATOR
from cryotome.learners.mil.train import fit_patients

PLACE = "models/d/patient_folds/view=v/model=m/head=h/fraction=1.0/fold={}.safetensors"
TILING = {"mpp": 1.0, "side": 32}
ENCODER = {"dim": 16, "weights": {"sha256": "a"}}


def write_bag(path, features, coords, **changes):
    """Write a bag as the workflow does."""
    about = {"format": BAGS, "version": VERSION, "recipe": 1, "model": "m", "view": "v"}
    about |= {"card": json.dumps(ENCODER), "coords_crc32": zlib.crc32(coords.tobytes())}
    about |= {"dataset": "there", "slide": path.stem, "status": "ok", "reason": "", "mpp": 0.5}
    about |= {"level0_side": 64.0, "tiles_sha256": "t", "slide_stamp": "s", "versions": "{}"}
    with h5py.File(path, "w", libver=LAYOUT) as file:
        file["features"], file["coords"] = features, coords
        file["id"] = np.arange(len(coords))
    finalise_store(path, "features", {"weights_sha256": "a"} | about | changes)
    return path


@pytest.fixture
def trained(tmp_path):
    """Two folds' classifiers, and the bags of a slide of 9 tiles and of one without any."""
    (people, bags), (others, more) = invented(40, 0, "p"), invented(12, 1, "x")
    table, card = fold_of(people, others, bags | more), head("abmil") | {"epochs": 1}
    models = []
    for fold in (0, 1):
        fit = fit_patients(bags | more, table, card, seed=fold, device=CPU)
        about = {"head_card": card, "encoder": ENCODER, "patch": TILING}
        models.append(tmp_path / PLACE.format(fold))
        write_kept(models[-1], fit.arrays, AGGREGATOR, about)
    features = np.random.default_rng(0).normal(size=(9, 16)).astype("f4")
    coords = np.stack(np.meshgrid(np.arange(3), np.arange(3)), -1).reshape(-1, 2) * 64
    one = write_bag(tmp_path / "one.h5", features, coords)
    none = {"status": "no tissue", "reason": "white", "weights_sha256": "none"}
    empty = write_bag(tmp_path / "none.h5", features[:0], coords[:0], **none)
    return models, [one, empty], features


def test_a_slide_has_the_scores_and_the_mean_attention_of_every_fold(trained):
    models, bags, features = trained
    one, none = score_slides(load_classifiers(models, TILING), bags)
    loaded = [load_kept(path) for path in models]
    assert one.name == "one"
    assert one.scores == pytest.approx([model.score(features) for model in loaded])
    each = [model.attention(features) for model in loaded]
    assert one.attention == pytest.approx(np.mean(each, axis=0))
    assert not np.allclose(*each)
    assert (none.scores.size, none.attention.size, none.bag.attributes["reason"]) == (0, 0, "white")


def test_tiles_of_another_size_are_refused_with_both_values(trained):
    models, _, _ = trained
    said = "µm/px of a tile: 1 in training, 0.5 here"
    with pytest.raises(StoreError, match=rf"fold=0.safetensors cannot score .*{re.escape(said)}"):
        load_classifiers(models, TILING | {"mpp": 0.5})


def test_bags_of_another_encoder_are_refused(trained, tmp_path):
    models, _, features = trained
    card = json.dumps(ENCODER | {"weights": {"sha256": "b"}})
    bag = write_bag(tmp_path / "other.h5", features, np.zeros((9, 2), "i8"), card=card)
    with pytest.raises(StoreError, match=r"weights: .*'a'.* in training, .*'b'.* here"):
        list(score_slides(load_classifiers(models, TILING), [bag]))


def test_a_model_of_cells_is_no_classifier_of_slides(trained, tmp_path):
    path = tmp_path / PLACE.format(7)
    write_kept(path, {"weights": np.zeros(16)}, "linear", {"encoder": ENCODER})
    with pytest.raises(StoreError, match="is of kind 'linear': no classifier of slides"):
        load_classifiers([path], TILING)
