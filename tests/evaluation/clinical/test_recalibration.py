import importlib.util
import typing

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from scipy.special import expit
from some_facts import some

from cryotome.core.errors import SplitError
from cryotome.core.files import sha256
from cryotome.evaluation.clinical.calibration import summarise_calibration
from cryotome.evaluation.clinical.recalibration import (
    COLUMNS,
    recalibrate_part,
    recalibrate_rows,
    recalibration_lines,
)
from cryotome.learners.predictions import write_predictions
from cryotome.runtime.job import parse_argument
from cryotome.study.facts import RowFacts
from cryotome.study.row import Row
from cryotome.study.styles import Style

HEADS = ["ridge", "knn", "logreg"]
ROWS = [Row("net", head, "v") for head in HEADS]
LOOK = Style("#000", "circle", [])
FACTS = some(
    RowFacts, rows=ROWS, datasets={"two": "Two: a against b"}, styles={r.key: LOOK for r in ROWS},
    labels={row.key: row.key for row in ROWS}, study="s",
)  # fmt: skip
SHIFT = 1.5  # of the scores in the domain that does not train
LABELS = [0, 20, 60]


@pytest.fixture
def made(tmp_path):
    """Cells of two domains; rows trained on each, two folds, too sure and shifted elsewhere."""
    rng = np.random.default_rng(0)
    count = 800
    true = rng.normal(scale=1.5, size=count)
    cells = pd.DataFrame({"id": np.arange(count), "image": "i", "x": 0, "y": 0})
    cells["domain"] = np.where(cells["id"] < count // 2, "a", "b")
    cells["slide"] = [f"{domain}{n % 20}" for n, domain in enumerate(cells["domain"])]
    cells["label"] = (rng.random(count) < expit(true)).astype(int)
    table = tmp_path / "two.csv"
    cells.to_csv(table, index=False)
    paths = []
    for scheme in ("from_a", "from_b", "slide_grouped"):
        for fold in range(2):
            split = tmp_path / f"splits/two/{scheme}/fraction=1.0/fold={fold}.csv"
            split.parent.mkdir(parents=True, exist_ok=True)
            split.touch()
            split.with_suffix(".json").write_text('{"drawn": "x"}', encoding="utf-8")
            home = cells["domain"] == scheme[-1] if "from" in scheme else cells["id"] >= 0
            used = home & (np.arange(count) % 4 < 2)
            role = np.where(used, "validation", "test")
            about = {"n_train": 100, "cells_sha256": sha256(table)}
            for head, warm in zip(HEADS, (1.0, 2.0, 3.0), strict=True):
                score = expit(warm * true + SHIFT * ~home.to_numpy())
                place = f"view=v/model=net/head={head}/fraction=1.0/fold={fold}.csv"
                paths.append(tmp_path / "predictions/two" / scheme / place)
                scored = cells.assign(role=role)[["id", "role", "label"]]
                write_predictions(paths[-1], scored, score, split=split, notes=about)
    return table, paths


def table_of(made, labels=LABELS):
    table, paths = made
    parts = [
        recalibration_lines(*found) for found in recalibrate_rows([table], paths, labels, FACTS)
    ]
    return pd.concat(parts, ignore_index=True)


def test_every_row_method_number_of_labels_and_measure_has_a_line(made):
    table = table_of(made)
    assert list(table.columns) == COLUMNS
    kinds = table.groupby(["scheme", "where"], sort=False).size().to_dict()
    measures, inside, outside = 4, 1 + 2, 1 + 2 * 3
    assert kinds == {
        ("from_*", "in"): 3 * (inside * measures + 1),
        ("from_*", "out"): 3 * (outside * measures + 1),
        ("slide_grouped", "in"): 3 * (inside * measures + 1),
    }
    after = table[table["method"] != "none"]
    assert after["change"].notna().all() and table["change"].notna().sum() == len(after)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


def test_before_recalibration_stand_the_numbers_of_calibration_csv(made):
    keys = ["scheme", "where", "row", "method", "measure"]
    table = table_of(made, [0]).set_index(keys).sort_index()
    cells = pd.read_csv(made[0]).set_index("id")
    paths = [path for path in made[1] if "slide_grouped" in str(path) and "head=knn" in str(path)]
    parts = [pd.read_csv(path).join(cells[["slide"]], on="id") for path in paths]
    parts = [part[part["role"] == "test"].astype({"slide": "category"}) for part in parts]
    expected = summarise_calibration(parts, FACTS.statistics.draws)
    line = table.loc["slide_grouped", "in", "net + knn", "none"]
    for name in ("brier", "ece"):
        assert line.loc[name, "value"] == pytest.approx(expected[name], rel=1e-12)
    for end in ("low", "high"):
        assert line.loc["ece", end] == pytest.approx(expected[f"ece_{end}"], rel=1e-12)


def test_a_temperature_fixes_what_is_too_sure_and_labels_of_the_target_what_is_shifted(made):
    keys = ["scheme", "where", "row", "method", "labels_spent", "measure"]
    table = table_of(made).set_index(keys).sort_index()
    value = table["value"]
    sure = value["slide_grouped", "in", "net + logreg"]
    assert sure["temperature", 0, "log_loss"] < sure["none", 0, "log_loss"] - 0.1
    even = table.loc["slide_grouped", "in", "net + ridge"]
    assert even.loc[("temperature", 0, "log_loss"), "change"] == pytest.approx(0, abs=0.005)
    away = value["from_*", "out", "net + ridge"]
    home = away["none", 0, "log_loss"] - away["logistic", 0, "log_loss"]
    assert home < 0.05  # validation cells do not show the shift
    assert away["logistic", 60, "log_loss"] < away["none", 0, "log_loss"] - 0.1
    assert away["logistic", 60, "ece"] < away["logistic", 0, "ece"] / 2


def test_labels_are_counted_and_no_method_is_tested_on_them(made):
    table = table_of(made)
    out = table[(table["where"] == "out")]
    assert set(out["n"]) == {2 * 2 * (400 - 60)}  # two folds, two domains
    assert set(out["models"]) == {4}
    assert set(out["labels"] - out["labels_spent"]) == {100 + 200}
    assert set(out["labels_spent"]) == set(LABELS)
    assert set(table.loc[table["where"] == "in", "labels_spent"]) == {0}


def test_draws_of_labels_are_nested_and_the_same_for_every_row():
    rng = np.random.default_rng(0)
    cells = pd.DataFrame({"label": rng.integers(0, 2, 300), "slide": "s"})
    cells["score"] = np.linspace(0.01, 0.99, 300)
    one = recalibrate_part(cells, cells, [0, 20, 60], fold=1, used=5)
    other = recalibrate_part(cells, cells, [60], fold=1, used=5)
    assert one.scores["none", 0].tolist() == other.scores["none", 0].tolist()
    assert one.maps["logistic", 60] == other.maps["logistic", 60]
    third = recalibrate_part(cells, cells, [60], fold=2, used=5)
    assert one.scores["none", 0].tolist() != third.scores["none", 0].tolist()


def test_validation_of_one_class_leaves_the_scores_and_says_so(made):
    table, paths = made
    for path in paths:
        scored = pd.read_csv(path)
        scored = scored[(scored["role"] == "test") | (scored["label"] == 1)]
        split = table.parent / f"splits/two/{path.parts[-6]}/fraction=1.0/{path.name}"
        about = {"n_train": 100, "cells_sha256": sha256(table)}
        scores = scored["score"].to_numpy()
        write_predictions(path, scored[["id", "role", "label"]], scores, split=split, notes=about)
    found = table_of((table, paths), [0])
    after = found[(found["method"] != "none") & (found["scheme"] == "from_*")]
    assert set(after["change"]) == {0.0}
    assert set(after["note"]) == {"left as scored in 4 of 4: labels of one class"}


def test_more_labels_than_half_of_a_target_are_refused(made):
    with pytest.raises(
        SplitError, match=r"201 labelled cells of b leave less than half of the 400"
    ):
        table_of(made, [0, 201])


def test_the_script_writes_the_tables_and_the_figure(made, tmp_path):
    spec = importlib.util.spec_from_file_location("s", ROOT / "workflow/scripts/recalibrate.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    out = {name: tmp_path / f"recalibration.{name}" for name in ("table", "pdf", "png", "orders")}
    hints = typing.get_type_hints(script.main)
    labels = parse_argument(LABELS, hints["labels"])  # as Snakemake hands it over
    script.main(cells=[made[0]], predictions=made[1], labels=labels, facts=FACTS, **out)
    table, orders = pd.read_csv(out["table"]), pd.read_csv(out["orders"])
    assert set(table["study"]) == set(orders["study"]) == {"s"}
    assert set(orders["rows"]) == {3}
    assert out["png"].stat().st_size > 10_000 and out["pdf"].stat().st_size > 5_000
