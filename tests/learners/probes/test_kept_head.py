import numpy as np
import pandas as pd
import pytest
from tests.learners.probes.test_labelled import store
from tests.learners.probes.test_linear import features
from tests.learners.probes.test_probe import HEADS, head

from cryotome.core.errors import StoreError
from cryotome.learners.kept import load_kept
from cryotome.learners.probes.kept_head import write_head
from cryotome.learners.probes.labelled import read_labelled
from cryotome.learners.probes.probe import fit_and_score_folds

PLACE = "d/random/view=v/model=m/head=h/fraction=1.0/fold=0"
PATCH = {"side": 8, "resolution": 0.5, "border": "reflect"}
FACTS = {"classes": ["no", "yes"], "patch": PATCH, "mpp": None}


def fitted(folder, card, scale=10.0):
    """Fit one fold of a store as the rule does; return its kept file, embeddings and scores."""
    x, y = features(240, 20, scale=scale)
    cells = pd.DataFrame({"id": np.arange(240) * 2, "image": "i", "slide": "i", "x": 0.0, "y": 0.0})
    cells.assign(domain="d", label=y).to_csv(folder / "here.csv", index=False)
    store(folder, "here", x + np.float32(3))
    known = read_labelled([folder / "here.h5"], [folder / "here.csv"], [], model="m", view="v")
    split = folder / "split.csv"
    role = np.repeat(["train", "validation", "test"], [120, 40, 80])
    pd.DataFrame({"id": known.ids[::-1], "role": role}).to_csv(split, index=False)
    fold = known.fold(split)
    ((scores, _, arrays),) = fit_and_score_folds(card, known.x, known.y, [fold.rows])
    kept, predictions = folder / f"models/{PLACE}.safetensors", folder / f"predictions/{PLACE}.csv"
    write_head([kept], predictions, known, fold, arrays, known.notes | {"head": card} | FACTS)
    return kept, known.x[fold.rows.scored], scores


CARDS = [*HEADS, "linear_probe_sd2", "ridge_permuted", "slide_prevalence"]


@pytest.mark.parametrize("name", CARDS)
def test_a_head_scores_from_its_file_as_it_was_scored(tmp_path, name):
    kept, x, scores = fitted(tmp_path, head(name))
    again = load_kept(kept, embeddings=tmp_path / "here.h5")
    assert again.score(x) == pytest.approx(scores, abs=1e-9)
    about = again.about
    assert about["head_card"]["learner"] == head(name)["learner"]
    assert about["patch"] == PATCH | {"channels": "RGB", "mpp": [0.5, 0.5]}
    assert about["encoder"] == {"dim": 20}
    assert {"split_sha256", "cells_sha256", "patches_sha256", "weights_sha256"} < about.keys()


def test_coefficients_are_in_units_of_the_embeddings_as_they_are_stored(tmp_path):
    """By hand, from the arrays, without the code that wrote them."""
    kept, x, scores = fitted(tmp_path, head("linear_probe_sd2"))
    found = load_kept(kept).arrays
    logits = x.astype(float) * float(found["factor"]) @ found["weights"] + found["bias"]
    assert 1 / (1 + np.exp(-logits)) == pytest.approx(scores, abs=1e-6)


def test_neighbours_are_a_reference_that_is_small_and_checked(tmp_path):
    kept, x, _ = fitted(tmp_path, head("knn"))
    assert kept.stat().st_size < 120 * 16 + 5000  # ids and labels, no features
    with pytest.raises(StoreError, match=r"refers to 120 training cells.*embeddings/d/v/m.h5"):
        load_kept(kept)
    other = tmp_path / "models"  # where the workflow writes it, as seen from the file
    inner = other.parent / "embeddings" / "d" / "v"
    inner.mkdir(parents=True)
    (tmp_path / "here.h5").rename(inner / "m.h5")
    assert len(load_kept(kept).score(x)) == 120
    store(tmp_path, "here", np.zeros((240, 20)))
    with pytest.raises(StoreError, match="was fitted on other embeddings than those of .*here.h5"):
        load_kept(kept, embeddings=tmp_path / "here.h5")


def test_embeddings_of_another_length_are_refused(tmp_path):
    kept, x, _ = fitted(tmp_path, head("ridge"))
    for wrong in (x[:, :19], x[0], x[:0]):
        with pytest.raises(StoreError, match="were given to a head of 20 features"):
            load_kept(kept).score(wrong)
