import json

import numpy as np
import pandas as pd
import pytest
from some_facts import some

from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.core.metrics import auroc
from cryotome.evaluation.external import (
    COLUMNS,
    drop_between,
    external_pairs,
    external_table,
    load_external,
)
from cryotome.evaluation.statistics.clustered_auroc import influence
from cryotome.evaluation.statistics.rows import load_rows
from cryotome.learners.predictions import write_predictions
from cryotome.study.facts import RowFacts, Statistics

LEVELS = Statistics(draws=200, alpha=0.05, margin=0.02)
FACTS = some(RowFacts, statistics=LEVELS, unknown_slides=[], reference="net + trained")
CALIBRATION = pd.DataFrame(columns=["what", "folds", "tested", "effective_slides", "share"])
STRENGTH = {"frozen": 0.4, "trained": 1.2}  # how far the scores of positives lie above


def some_cells(path, seed, slides=30):
    """Cells of `slides` slides, a third of them positive."""
    rng = np.random.default_rng(seed)
    label = rng.permutation(np.arange(10 * slides) % 3 == 0).astype(int)
    table = pd.DataFrame({"id": np.arange(len(label)), "image": "i", "label": label, "domain": "d"})
    table["slide"] = [f"{path.stem}{n % slides}" for n in range(len(label))]
    table.assign(x=0, y=0).to_csv(path, index=False)
    return table


@pytest.fixture
def made(tmp_path):
    """Predictions of two heads, two folds, in domain and on another dataset; cells of both."""
    cells = {
        name: some_cells(tmp_path / f"{name}.csv", n) for n, name in enumerate(("here", "there"))
    }
    inside, outside = [], []
    for head, strength in STRENGTH.items():
        for fold in range(2):
            rng = np.random.default_rng([fold, len(head)])
            run = f"slide_grouped/view=v/model=net/head={head}/fraction=1.0/fold={fold}.csv"
            split = tmp_path / f"splits/here/slide_grouped/fraction=1.0/fold={fold}.csv"
            split.parent.mkdir(parents=True, exist_ok=True)
            split.touch()
            split.with_suffix(".json").write_text('{"drawn": "x"}', encoding="utf-8")
            table = cells["here"].assign(role="test")[["id", "role", "label"]]
            score = rng.normal(size=len(table)) + strength * table["label"]
            path = tmp_path / f"predictions/here/{run}"
            write_predictions(path, table, score.to_numpy(), split=split, notes={"n_train": 100})
            inside.append(path)
            table = cells["there"][["id", "label"]]
            score = rng.normal(size=len(table)) + strength / 2 * table["label"]
            path = tmp_path / f"external/there/here/{run}"
            path.parent.mkdir(parents=True, exist_ok=True)
            put(path, table.assign(score=score))
            outside.append(path)
    files = [tmp_path / "here.csv", tmp_path / "there.csv"]
    (tmp_path / "calibration.csv").write_text(CALIBRATION.to_csv(index=False), encoding="utf-8")
    return files, inside, outside


def put(path, table):
    """Write scores as `apply_models` does, with the hashes that tie them to their cells."""
    table.to_csv(path, index=False)
    there = path.parents[8] / "there.csv"
    about = {"csv_sha256": sha256(path), "cells_sha256": sha256(there)}
    path.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")


def table_of(made, left_out=frozenset()):
    files, inside, outside = made
    without = {("here", "there"): set(left_out)}
    rows = load_external(outside, files, without, CALIBRATION, FACTS)
    home = load_rows(files, inside, files[0].parent / "calibration.csv", FACTS)
    return external_table(rows, home, without, FACTS)


def test_a_row_has_its_auroc_outside_and_inside_and_what_it_loses(made):
    table = table_of(made).set_index("row")
    assert list(table.reset_index().columns.sort_values()) == sorted(COLUMNS)
    for head in STRENGTH:
        line = table.loc[f"net + {head}"]
        outside = [pd.read_csv(path) for path in made[2] if f"head={head}" in str(path)]
        values = [auroc(t["label"].to_numpy(), t["score"].to_numpy()) for t in outside]
        assert line["auroc"] == pytest.approx(np.mean(values))
        assert line["low"] < line["auroc"] < line["high"]
        assert line["drop"] == pytest.approx(line["inside"] - line["auroc"])
        assert line["drop_low"] < line["drop"] < line["drop_high"]
        assert (line["n"], line["slides"], line["folds"]) == (300, 30, 2)
    frozen = table.loc["net + frozen"]
    assert frozen["difference"] == pytest.approx(
        table.loc["net + trained", "auroc"] - frozen["auroc"]
    )
    assert frozen["p_slides_holm"] < 0.05
    assert table.loc["net + trained", "reference"] is None or pd.isna(
        table.loc["net + trained", "reference"]
    )


def test_cells_of_both_datasets_are_not_tested_and_are_counted(made):
    gone = range(0, 60)
    line = table_of(made, gone).set_index("row").loc["net + frozen"]
    assert (line["n"], line["left_out"]) == (240, 60)
    outside = [pd.read_csv(path).iloc[60:] for path in made[2] if "head=frozen" in str(path)]
    values = [auroc(t["label"].to_numpy(), t["score"].to_numpy()) for t in outside]
    assert line["auroc"] == pytest.approx(np.mean(values))


def test_rows_that_were_scored_on_other_cells_are_refused(made):
    path = made[2][-1]
    whole = pd.read_csv(path)
    whole.iloc[1:].to_csv(path, index=False)
    with pytest.raises(StoreError, match="was edited, or scores other cells"):
        table_of(made)
    put(path, whole.iloc[1:])
    with pytest.raises(StoreError, match="was not scored on the cells of the other rows"):
        table_of(made)


def test_the_pairs_are_read_from_the_paths(made):
    assert external_pairs(made[2]) == [("here", "there")]


def test_the_interval_of_a_loss_covers_what_was_planted():
    """Slides differ in their own shift of the scores: 95 % of 300 intervals hold the truth."""
    rng = np.random.default_rng(0)

    def draw(effect, slides=40, each=12):
        place = np.repeat(np.arange(slides), each)
        label = rng.integers(0, 2, size=slides * each)
        score = rng.normal(size=slides * each) + effect * label + rng.normal(size=slides)[place]
        return influence([place], [label], [score], slides)

    truth = np.mean([draw(1.5, slides=4000).auroc - draw(0.8, slides=4000).auroc for _ in range(3)])
    held = 0
    for _ in range(300):
        _, low, high = drop_between(draw(1.5), draw(0.8))
        held += low <= truth <= high
    assert 0.91 <= held / 300 <= 0.985
