import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tests.learners.probes.test_kept_head import FACTS, fitted, head, store

from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.learners.apply import apply_models
from cryotome.learners.kept import load_kept
from cryotome.learners.kept_file import read_kept, write_kept


@pytest.fixture
def trained(tmp_path):
    """A fitted ridge, and a target of 30 cells with the same embeddings as some of its own."""
    kept, x, _ = fitted(tmp_path, head("ridge"))
    x = x[:30]
    cells = pd.DataFrame({"id": np.arange(30) * 2, "image": "i", "slide": "i", "x": 1.0, "y": 1.0})
    cells = cells.assign(domain="d", label=np.arange(30) % 2, source_row=0)
    cells.to_csv(tmp_path / "there.csv", index=False)
    shutil.copy(tmp_path / "here.h5", tmp_path / "own.h5")
    store(tmp_path, "there", x)
    return tmp_path, kept, x


def applied(trained, **changes):
    folder, kept, _ = trained
    target = folder / "there.h5", folder / "there.csv", FACTS | changes
    scores = folder / "external" / "fold=0.csv"
    apply_models([kept], target, [scores])
    return pd.read_csv(scores), json.loads(scores.with_suffix(".json").read_text(encoding="utf-8"))


def test_every_cell_has_the_score_of_the_model_and_the_hashes_of_what_made_it(trained):
    folder, kept, x = trained
    table, about = applied(trained)
    assert table.columns.tolist() == ["id", "label", "score"]
    assert table["id"].tolist() == list(range(0, 60, 2))
    assert table["label"].tolist() == [0, 1] * 15
    assert table["score"].to_numpy() == pytest.approx(load_kept(kept).score(x), abs=1e-12)
    assert about["model_sha256"] == sha256(kept)
    assert about["cells_sha256"] == sha256(folder / "there.csv")
    assert about["patches_sha256"] == "p there"
    assert about["csv_sha256"] == sha256(folder / "external" / "fold=0.csv")
    assert (about["dataset"], about["scheme"], about["fold"]) == ("d", "random", 0)
    assert about["labelled"] is True


def test_classes_are_matched_by_name_whatever_their_order(trained):
    straight, _ = applied(trained)
    turned, _ = applied(trained, classes=["yes", "no"])
    assert turned["label"].tolist() == [1, 0] * 15
    assert (turned["score"] == straight["score"]).all()


def test_cells_without_labels_are_scored(trained):
    table, about = applied(trained, classes=[])
    assert table["label"].isna().all()
    assert np.isfinite(table["score"]).all()
    assert about["labelled"] is False


PATCH = FACTS["patch"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch": PATCH | {"side": 16}}, "patch side, px: 8 in training, 16 here"),
        ({"patch": PATCH | {"border": "black"}}, "border policy: reflect in training, black here"),
        ({"patch": PATCH | {"resolution": 0.56}}, "µm/px: 0.5 to 0.5 in training, 0.56 to 0.56"),
        ({"patch": PATCH | {"resolution": "native"}, "mpp": 0.25}, "µm/px: 0.5 to 0.5 in training"),
        ({"classes": ["no", "maybe"]}, r"classes: \['no', 'yes'\] in training, \['no', 'maybe'\]"),
    ],
)
def test_cells_that_look_otherwise_are_refused_with_both_values(trained, changes, said):
    with pytest.raises(StoreError, match=rf"fold=0.safetensors cannot score .*there.h5.*{said}"):
        applied(trained, **changes)


def test_µm_that_differ_by_less_than_a_tenth_or_are_not_known_are_taken(trained, capsys):
    applied(trained, patch=PATCH | {"resolution": 0.54})
    assert "not known" not in capsys.readouterr().err
    applied(trained, patch=PATCH | {"resolution": "native"})
    assert "there.h5 are not known, and so not compared" in capsys.readouterr().err


def test_another_order_of_channels_or_other_weights_are_refused(trained):
    folder, kept, x = trained
    arrays, about = read_kept(kept)
    turned = about | {"patch": about["patch"] | {"channels": "BGR"}}
    write_kept(kept, arrays, about["kind"], turned)
    with pytest.raises(StoreError, match="order of channels: BGR in training, RGB here"):
        applied(trained)
    write_kept(kept, arrays, about["kind"], about)
    store(folder, "there", x, weights="others")
    with pytest.raises(StoreError, match="encoder's weights: w in training, others here"):
        applied(trained)
