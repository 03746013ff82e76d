from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from some_facts import some

from cryotome.report.tables.ganz2024 import read_scores, table1, table2, table2_sd
from cryotome.study.facts import RowFacts
from cryotome.study.row import Row

FACTS = some(
    RowFacts,
    study="s",
    rows=[Row("uni", "linear_probe"), Row("r", "endtoend")],
    labels={"uni + linear_probe": "UNI", "r + endtoend": "E2E"},
)


def scores(head="linear_probe", model="uni", shift=0.0) -> pd.DataFrame:
    """Two domains, two folds: in domain .8 .9 .6 .7, out of domain .5 everywhere but one .7."""
    values = {
        ("a", "a"): [0.8, 0.9],
        ("b", "b"): [0.6, 0.7],
        ("a", "b"): [0.5, 0.5],
        ("b", "a"): [0.5, 0.7],
    }
    rows = [
        {"dataset": "d", "scheme": f"from_{t}", "model": model, "head": head, "fold": fold, "train_domain": t,
         "test_domain": s, "value": value + shift}
        for (t, s), pair in values.items() for fold, value in enumerate(pair)
    ]  # fmt: skip
    return pd.DataFrame(rows)


PUBLISHED = pd.DataFrame(
    [
        {
            "dataset": "d",
            "model": "uni",
            "head": "linear_probe",
            "in_mean": 0.76,
            "in_sd": 0.03,
            "out_mean": 0.64,
            "out_sd": 0.05,
            "source": "x",
        }
    ]
)


def test_table2_pools_folds_and_domains_with_population_sd():
    table = table2(pd.concat([scores("endtoend", "r", 0.1), scores()]), PUBLISHED, FACTS)
    assert table.columns.tolist() == [
        "study", "dataset", "model", "head", "in_mean", "in_sd", "out_mean", "out_sd", "published_in",
        "published_in_sd", "published_out", "published_out_sd", "synthetic",
    ]  # fmt: skip
    assert table["model"].tolist() == ["uni", "r"]  # the study's order
    first = table.iloc[0]
    assert [first["in_mean"], first["out_mean"]] == pytest.approx([0.75, 0.55])
    assert first["in_sd"] == pytest.approx(np.std([0.8, 0.9, 0.6, 0.7]))
    assert first["published_out_sd"] == 0.05
    assert np.isnan(table.iloc[1]["published_in"])


def test_table2_sd_gives_the_other_readings():
    table = table2_sd(scores(), study="s").set_index(["where", "reading"])["sd"]
    assert table["in", "repeats_of_mean"] == pytest.approx(0.05)
    assert table["in", "pair_means"] == pytest.approx(0.1)
    assert table["out", "mean_over_pairs"] == pytest.approx(0.05)
    assert table["out", "train_domain_means"] == pytest.approx(0.05)


def test_synthetic_rows_are_marked():
    table = table2(scores(), PUBLISHED, replace(FACTS, study="demo", synthetic=["d"]))
    assert table["synthetic"].all()


def test_scores_are_read_with_the_keys_of_their_paths_and_the_studys_draws_only(tmp_path):
    path = (
        tmp_path
        / "midog2022"
        / "random"
        / "view=paper-fp16"
        / "model=uni"
        / "head=linear_probe.csv"
    )
    path.parent.mkdir(parents=True)
    path.write_text(
        "fraction,fold,metric,value\n0.1,0,auroc,0.5\n0.1,1,auroc,0.6\n1.0,0,auroc,0.7\n1.0,0,ece,0.1\n",
        encoding="utf-8",
    )
    table = read_scores([path], some(RowFacts, fractions=[1.0, 0.01], folds=[0]))
    assert table["value"].tolist() == [0.7]
    keys = table.iloc[0][["dataset", "scheme", "view", "model", "head"]]
    assert keys.tolist() == ["midog2022", "random", "paper-fp16", "uni", "linear_probe"]


def test_single_domains_are_read_whatever_the_fractions(tmp_path):
    path = tmp_path / "d" / "from_a" / "view=v" / "model=uni" / "head=linear_probe.csv"
    path.parent.mkdir(parents=True)
    path.write_text("fraction,fold,metric,value\n1.0,0,auroc,0.7\n", encoding="utf-8")
    assert len(read_scores([path], some(RowFacts, fractions=[0.1], folds=[0]))) == 1


def test_table1_is_a_view_of_the_cards():
    card = {"title": "UNI", "weights": {"hub": "x"}, "dim": 1024, "parameters": 5, "licence": "l", "source": "s",
            "published": {"table1": {"name": "UNI", "algorithm": "DINOv2", "slides": "100K", "tiles": "100M", "type": "ViT-L", "size": "307M"}}}  # fmt: skip
    null = {
        "title": "T (random weights)",
        "weights": {"random": 0},
        "dim": 1,
        "licence": "l",
        "source": "s",
    }
    table = table1({"uni": card, "t": null}, {"uni": {"parameters": 6, "dim": 1024}}, study="s")
    assert table["published_size"].tolist() == ["307M", ""]
    assert table["parameters"].tolist() == [5, pd.NA]
    assert table["measured_parameters"].tolist() == [6, pd.NA]
    assert table["measured_dim"].tolist() == [1024, pd.NA]
    assert table["random_weights"].tolist() == [False, True]


def test_a_domain_called_01_stays_text(tmp_path):
    path = tmp_path / "d/from_01/view=v/model=m/head=h.csv"
    path.parent.mkdir(parents=True)
    path.write_text(
        "fraction,fold,train_domain,test_domain,metric,value\n1.0,0,01,01,auroc,0.5\n",
        encoding="utf-8",
    )
    found = read_scores([path], some(RowFacts, fractions=[1.0], folds=[0]))
    assert found[["train_domain", "test_domain"]].to_numpy().tolist() == [["01", "01"]]
