import json
import runpy

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, ROOT

from cryotome.core import step_versions
from cryotome.core.cards import load_card
from cryotome.core.errors import SplitError, StoreError
from cryotome.core.files import sha256
from cryotome.core.store import EMBEDDINGS, VERSION, finalise_store
from cryotome.data.splits.predefined import assign_roles
from cryotome.learners.kept import load_kept
from cryotome.learners.predictions import read_predictions
from cryotome.learners.probes.labelled import read_labelled

SETS = ["here", "there"]
NAMES = ["a", "b", "c"]


def script(name: str):
    return runpy.run_path(str(ROOT / "workflow" / "scripts" / f"{name}.py"))["main"]


def cards(names: list[str] = NAMES) -> dict:
    classes = [{"name": name, "id": name} for name in names]
    return {dataset: {"classes": classes} for dataset in SETS}


@pytest.fixture
def sets(tmp_path):
    """Tables of cells and stores of embeddings of two datasets, 60 and 30 cells of 3 classes."""
    rng, middles = np.random.default_rng(0), np.random.default_rng(1).normal(size=(3, 8))
    for dataset, count in zip(SETS, (60, 30), strict=True):
        label = np.arange(count) % 3
        cells = pd.DataFrame({"id": np.arange(count) * 2, "image": "i", "slide": "i"})
        cells = cells.assign(x=0.0, y=0.0, domain="d", label=label)
        cells.to_csv(tmp_path / f"{dataset}.csv", index=False)
        store(tmp_path, dataset, middles[label] + 0.5 * rng.normal(size=(count, 8)))
    return tmp_path


def store(folder, dataset: str, x: np.ndarray, weights: str = "w") -> None:
    about = {"format": EMBEDDINGS, "version": VERSION, "recipe": 1, "model": "m", "view": "v"}
    about |= {"weights_sha256": weights, "patches_sha256": f"p {dataset}"}
    about["cells_sha256"] = sha256(folder / f"{dataset}.csv")
    path = folder / f"{dataset}.h5"
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        file["embedding"], file["id"] = x.astype(np.float32), np.arange(len(x)) * 2
    finalise_store(path, "embedding", about | {"card": json.dumps({"dim": x.shape[1]})})


def split_of(sets):
    """Write the split of the two sets."""
    split = sets / "splits/here/predefined/fraction=1.0/fold=0.csv"
    made = *files(sets, "csv"), split, split.with_suffix(".json")
    script("split_predefined")(*made, step_versions.SPLITS, *SETS)
    return split


def files(folder, ending: str) -> list:
    return [folder / f"{dataset}.{ending}" for dataset in SETS]


def joined(folder):
    stores, tables = (files(folder, end) for end in ("h5", "csv"))
    return read_labelled(stores, tables, SETS, model="m", view="v")


def test_both_sets_stand_in_one_matrix_and_the_notes_tell_them_apart(sets):
    both = joined(sets)
    assert both.x.shape == (90, 8)
    assert (both.ids[0], both.ids[59], both.ids[60]) == ("here:0", "here:118", "there:0")
    assert both.y[58:62].tolist() == [1, 2, 0, 1]
    assert both.notes["patches_sha256"] == ["p here", "p there"]
    assert both.notes["cells_sha256"] == [sha256(path) for path in files(sets, "csv")]


def test_sets_that_were_embedded_with_different_weights_are_refused(sets):
    store(sets, "there", np.zeros((30, 8)), weights="others")
    with pytest.raises(StoreError, match=r"there.h5 were made with different weights"):
        joined(sets)


def test_one_set_keeps_its_ids_and_a_hash_of_each_file(sets):
    alone = read_labelled([sets / "here.h5"], [sets / "here.csv"], [], model="m", view="v")
    assert (alone.ids[0], alone.ids[59]) == (0, 118)
    assert (alone.notes["patches_sha256"], alone.notes["recipe"]) == ("p here", 1)


def test_a_split_of_other_cells_is_refused(sets):
    tables = {dataset: pd.read_csv(sets / f"{dataset}.csv") for dataset in SETS}
    other = assign_roles({"here": tables["here"], "other": tables["there"]})
    other.to_csv(sets / "other.csv", index=False)
    with pytest.raises(SplitError, match=r"no row for 30 cells of the split, first other:0"):
        joined(sets).fold(sets / "other.csv")


def test_two_classes_have_a_score_each(sets):
    split, two = split_of(sets), cards(NAMES[:2])
    for dataset in SETS:  # the third class becomes the second
        path = sets / f"{dataset}.csv"
        table = pd.read_csv(path)
        table.assign(label=np.minimum(table["label"], 1)).to_csv(path, index=False)
        with h5py.File(sets / f"{dataset}.h5") as file:
            x = file["embedding"][:]
        store(sets, dataset, x)
    predictions = sets / "predictions" / "p.csv"
    card = load_card(CONFIG, "heads", "logreg")
    inputs = files(sets, "h5"), files(sets, "csv"), [split], [predictions]
    script("probe")(*inputs, [], card, two, {}, "m", "v")
    table = pd.read_csv(predictions)
    scores = table[["score_a", "score_b"]].to_numpy()
    assert scores.sum(axis=1) == pytest.approx(1)
    assert (scores.argmax(axis=1) == table["label"]).mean() > 0.8


@pytest.mark.parametrize("head", ["logreg", "knn", "knn_plain", "ridge"])
def test_two_sets_go_through_split_head_and_scores(sets, head, capsys):
    split, csvs = split_of(sets), files(sets, "csv")
    about = json.loads(split.with_suffix(".json").read_text(encoding="utf-8"))
    assert (about["drawn"], about["counts"]) == ("predefined", {"train": 60, "test": 30})
    place = f"here/predefined/view=v/model=m/head={head}"
    predictions = sets / "predictions" / place / "fraction=1.0" / "fold=0.csv"
    card = load_card(CONFIG, "heads", head)
    kept = [sets / "models" / place / "fraction=1.0" / "fold=0.safetensors"]
    facts = {"classes": NAMES, "patch": {"side": 32, "resolution": "native"}, "mpp": None}
    script("probe")(
        files(sets, "h5"), csvs, [split], [predictions], kept, card, cards(), facts, "m", "v"
    )
    assert "fold=0.csv: n 60" in capsys.readouterr().err
    table = read_predictions(predictions, classes=NAMES)
    assert table["id"].tolist() == [f"there:{2 * n}" for n in range(30)]
    assert set(table["role"]) == {"test"}
    assert table.filter(like="score_").sum(axis=1).to_numpy() == pytest.approx(1)
    again = load_kept(kept[0], embeddings=sets / "here.h5")
    with h5py.File(sets / "there.h5") as file:
        found = again.score(file["embedding"][:])
    assert found == pytest.approx(table.filter(like="score_").to_numpy(), abs=1e-9)
    assert again.about["classes"] == NAMES
    scores, confused = sets / "s.csv", sets / "s.confusion.csv"
    script("score_patches")(csvs, predictions, scores, confused, cards())
    lines = pd.read_csv(scores).set_index("metric")
    assert lines.index.tolist() == [
        "balanced_accuracy", "weighted_f1", "accuracy", "recall_a", "recall_b", "recall_c",
    ]  # fmt: skip
    assert lines.loc["balanced_accuracy", "value"] > 0.8
    assert lines[["train_domain", "test_domain"]].iloc[0].tolist() == SETS
    assert lines["n"].tolist() == [30, 30, 30, 10, 10, 10]
    assert lines["note"].str.contains("intervals are too narrow").all()
    counts = pd.read_csv(confused, index_col="class")
    assert (counts.columns.tolist(), counts.sum(axis=1).tolist()) == (NAMES, [10] * 3)
    assert np.trace(counts) / 30 == lines.loc["accuracy", "value"]
    csvs[1].write_text(
        csvs[1].read_text(encoding="utf-8").replace(",d,1", ",d,2", 1), encoding="utf-8"
    )
    with pytest.raises(StoreError, match="was made from other cells"):
        script("score_patches")(csvs, predictions, scores, confused, cards())
