import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG
from some_facts import some

from cryotome.core.cards import load_card
from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.data.splits.cells import draw_split
from cryotome.evaluation.clinical.row_summary import (
    COLUMNS,
    read_dataset,
    read_scored_fold,
    summarise_rows,
)
from cryotome.evaluation.scores import choose_threshold
from cryotome.study.facts import RowFacts, Statistics
from cryotome.study.row import Row

FACTS = some(
    RowFacts, rows=[Row("m", "good"), Row("m", "poor")], statistics=Statistics(50, 0.05, 0.02)
)
NO_AUDIT = "finding,id,other,left_out,other_left_out\n"
KINDS = {"from_a": "from_domain", "from_b": "from_domain", "except_a": "except_domain"}
KINDS |= {"random": "random", "slide_grouped": "slide_grouped"}
SHARE = "fraction=1.0"


def make(folder: Path, schemes=tuple(KINDS), *, domains: str = "ab", rows=("good", "poor")):
    """Write cells, an audit, splits and predictions as the workflow does: 12 regions a domain."""
    rng = np.random.default_rng(0)
    slide = np.repeat(np.arange(12 * len(domains)), 15)
    cells = pd.DataFrame(
        {"id": np.arange(len(slide)), "image": "", "slide": "", "x": 1.0, "y": 1.0}
    )
    cells["image"] = cells["slide"] = [f"s{k:02d}" for k in slide]
    cells["domain"] = [domains[k // 12] for k in slide]
    cells["label"] = rng.integers(2, size=len(slide))
    folder.mkdir(parents=True, exist_ok=True)
    cells.to_csv(folder / "d.csv", index=False)
    (folder / "audit.csv").write_text(NO_AUDIT, encoding="utf-8")
    predictions = []
    for scheme in schemes:
        card = load_card(CONFIG, "schemes", KINDS[scheme])
        for fold in (0, 1):
            roles = draw_split(cells, card, scheme=scheme, fraction="1.0", fold=fold).roles
            split = folder / "splits" / "d" / scheme / SHARE / f"fold={fold}.csv"
            split.parent.mkdir(parents=True, exist_ok=True)
            roles.to_csv(split, index=False)
            predictions += [predict(folder, scheme, fold, row, cells, roles) for row in rows]
    return cells, predictions


def predict(folder: Path, scheme: str, fold: int, head: str, cells, roles) -> Path:
    kept = roles[roles["role"] != "train"]
    label = cells["label"].to_numpy()[kept["id"]]
    rng = np.random.default_rng([fold, len(scheme), head == "good"])
    skill = 2.0 if head == "good" else 0.5
    score = 1 / (1 + np.exp(-(skill * (2 * label - 1) + rng.normal(size=len(label)))))
    parts = ("predictions", "d", scheme, "view=v", "model=m", f"head={head}", SHARE)
    path = folder.joinpath(*parts, f"fold={fold}.csv")
    path.parent.mkdir(parents=True, exist_ok=True)
    text = kept.assign(label=label, score=score).to_csv(index=False).encode()
    path.write_bytes(text)
    split = folder / "splits" / "d" / scheme / SHARE / f"fold={fold}.csv"
    notes = {"split_sha256": sha256(split), "cells_sha256": sha256(folder / "d.csv")}
    notes["csv_sha256"] = hashlib.sha256(text).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(notes), encoding="utf-8")
    return path


def read(folder: Path, areas=None):
    splits = sorted((folder / "splits").glob("d/*/*/fold=*.csv"))
    return read_dataset(folder / "d.csv", folder / "audit.csv", splits, areas or {})


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    cells, predictions = make(folder)
    return (
        cells,
        predictions,
        summarise_rows({"d": read(folder, {"a": 2.0, "b": 2.0})}, predictions, FACTS),
    )


def test_tables_have_the_columns_that_are_promised(study):
    for name, table in study[2].items():
        assert list(table.columns) == COLUMNS[name]
        assert len(table)
        assert set(table["head"]) == {"good", "poor"}


def test_regions_are_counted_in_folds_that_leave_them_out_and_in_no_other(study):
    counts = study[2]["counts"]
    found = counts.groupby("scheme", observed=True)[["domain", "where"]].agg(lambda v: set(v))
    assert "random" not in found.index  # its cells lie on both sides
    assert found.loc["slide_grouped"].tolist() == [{"a", "b"}, {"in"}]
    assert found.loc["from_a"].tolist() == [
        {"b"},
        {"out"},
    ]  # at home a fifth of the cells is tested
    assert found.loc["except_a"].tolist() == [{"a"}, {"out"}]
    assert (counts["cells"] == 15).all()
    assert (counts["area_mm2"] == 2.0).all()


def test_counts_and_their_threshold_are_recomputed_from_the_files(study):
    cells, predictions, tables = study
    path = next(p for p in predictions if "from_b" in str(p) and "head=poor" in str(p))
    table = pd.read_csv(path)
    watched, test = table[table["role"] == "validation"], table[table["role"] == "test"]
    threshold = choose_threshold(watched["label"].to_numpy(), watched["score"].to_numpy())
    called = test.assign(
        image=cells["image"].to_numpy()[test["id"]], called=test["score"] >= threshold
    )
    expected = called[test["id"].to_numpy() < 180].groupby("image")[["label", "called"]].sum()
    counts = tables["counts"].query("scheme == 'from_b' and head == 'poor' and fold == 0")
    counts = counts.set_index("image").loc[expected.index]
    assert counts["annotated"].tolist() == expected["label"].tolist()
    assert counts["counted"].tolist() == expected["called"].tolist()
    assert (counts["threshold"] == threshold).all()


def test_bland_altman_of_a_study_is_recomputed_with_numpy(study):
    tables = study[2]
    line = (
        tables["agreement"].query("scheme == 'from_a' and head == 'good' and domain == 'b'").iloc[0]
    )
    counts = tables["counts"].query("scheme == 'from_a' and head == 'good'")
    by_fold = [counts[counts["fold"] == fold].sort_values("image") for fold in (0, 1)]
    each = np.array([(part["counted"] - part["annotated"]) / 2.0 for part in by_fold])
    gaps, inside = each.mean(axis=0), each.var(axis=0, ddof=1).mean()
    sd = np.sqrt(gaps.var(ddof=1) + inside / 2)  # of one fold's count
    assert line["rois"] == len(gaps) == 12  # each once, though two folds test it
    assert line["bias"] == pytest.approx(gaps.mean())
    assert line["sd"] == pytest.approx(sd)
    assert line["lower"] == pytest.approx(gaps.mean() - 1.96 * sd)
    assert line["unit"] == "per mm2"


def test_schemes_of_domains_are_pooled_under_one_name_too(study):
    tables = study[2]
    pooled = tables["calibration"].query("scheme == 'from_*' and head == 'good'").set_index("where")
    single = tables["calibration"].query("scheme in ('from_a', 'from_b') and head == 'good'")
    for where, part in single.groupby("where"):
        assert pooled.loc[where, "n"] == part["n"].sum()
        mean = np.average(part["brier"], weights=part["n"])
        assert pooled.loc[where, "brier"] == pytest.approx(mean)
    assert (
        tables["agreement"].query("scheme == 'from_*' and domain == 'all'")["rois"].tolist()
        == [24] * 2
    )


def test_operating_points_name_the_domains_trained_and_tested(study):
    table = study[2]["operating"].query("what == 'carried' and head == 'good'")
    pairs = set(zip(table["scheme"], table["train_domain"], table["test_domain"]))
    assert {("from_a", "a", "b"), ("from_a", "a", "a"), ("random", "all", "b")} <= pairs
    assert ("except_a", "b", "a") in pairs  # of two domains, all but one is the other
    assert table["promised_sensitivity"].between(0, 1).all()


def test_one_domain_one_row_and_no_area_leave_out_what_cannot_be_said(tmp_path):
    _, predictions = make(tmp_path, ["random"], domains="a", rows=["good"])
    tables = summarise_rows({"d": read(tmp_path)}, predictions, FACTS)
    assert tables["counts"].empty and list(tables["counts"].columns) == COLUMNS["counts"]
    assert tables["agreement"].empty
    assert tables["calibration"]["where"].tolist() == ["in"]
    assert tables["operating"][["train_domain", "test_domain", "what"]].to_numpy().tolist() == [
        ["a", "a", "carried"]
    ]


def test_folds_and_rows_that_lack_are_left_out(tmp_path):
    _, predictions = make(tmp_path, ["slide_grouped"])
    some = [p for p in predictions if "good" in str(p) and p.name == "fold=1.csv"]
    tables = summarise_rows({"d": read(tmp_path)}, some, FACTS)
    assert set(tables["counts"]["fold"]) == {1}
    assert set(tables["agreement"]["unit"]) == {"per region"}


def test_predictions_of_other_cells_are_refused(tmp_path):
    _, predictions = make(tmp_path, ["slide_grouped"], rows=["good"])
    scored = pd.read_csv(predictions[0])["id"].iloc[0]
    (tmp_path / "audit.csv").write_text(
        NO_AUDIT + f"near,{scored},-1,True,False\n", encoding="utf-8"
    )
    with pytest.raises(StoreError, match="scores cells that the audit left out"):
        read_scored_fold(predictions[0], read(tmp_path))
    cells = pd.read_csv(tmp_path / "d.csv")
    cells.assign(label=0).to_csv(tmp_path / "d.csv", index=False)
    with pytest.raises(StoreError, match="was made from other cells"):
        read_scored_fold(predictions[0], read(tmp_path))


def test_a_study_of_one_domain_runs_whole_and_its_empty_tables_have_headers(tiny_study):
    folder = tiny_study / "results" / "studies" / "tiny"
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv") if path.stem in COLUMNS}
    assert set(tables) == set(COLUMNS)
    for name, table in tables.items():
        assert list(table.columns) == ["study", *COLUMNS[name], "synthetic"]
    assert tables["counts"].empty and tables["agreement"].empty  # random cells
    assert len(tables["calibration"]) == 2  # rows
    for name in ("reliability", "bland_altman"):
        assert (folder / f"{name}.png").stat().st_size > 5000
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
