import json

import numpy as np
import pandas as pd
import pytest

from cryotome.evaluation.ranks import mean_ranks, rank_models, read_fit_notes, values_by_block

MULTI_HEAD = ["uni + linear_probe", "uni + ridge", "phikon + linear_probe", "phikon + ridge"]


def table2(**means) -> pd.DataFrame:
    lines = [("s", "d", *name.split("__"), value, value - 0.1) for name, value in means.items()]
    return pd.DataFrame(lines, columns=["study", "dataset", "model", "head", "in_mean", "out_mean"])


TURNED = table2(
    uni__linear_probe=0.6,
    phikon__linear_probe=0.7,
    uni__ridge=0.9,
    phikon__ridge=0.8,
    net__endtoend=1.0,
)


def test_models_are_ranked_under_each_head_and_end_to_end_is_not():
    table = rank_models(TURNED, pd.DataFrame(columns=["dataset", "model", "head"]), MULTI_HEAD)
    inside = table[table["where"] == "in"].set_index(["head", "model"])
    assert inside["rank"].to_dict() == {
        ("linear_probe", "uni"): 2, ("linear_probe", "phikon"): 1, ("ridge", "uni"): 1, ("ridge", "phikon"): 2,
    }  # fmt: skip
    assert inside.loc["ridge", "tau"].tolist() == [-1, -1]  # the order turns round
    assert inside.loc["linear_probe", "tau"].tolist() == [1, 1]
    assert len(table) == 8


def test_what_the_fits_noted_stands_beside_their_rank(tmp_path):
    paths = []
    for fold, (sd, c, zero) in enumerate([(0.5, 10.0, True), (0.7, 20.0, False)]):
        path = (
            tmp_path
            / f"predictions/d/from_a/view=v/model=uni/head=linear_probe/fraction=1.0/fold={fold}.csv"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        said = {"feature_sd": sd, "effective_c": c, "zero": zero}
        path.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")
        paths.append(path)
    notes = read_fit_notes(paths)
    assert notes.to_dict("records") == [
        {"dataset": "d", "model": "uni", "head": "linear_probe", "feature_sd": 0.6,
         "effective_c": 15.0, "zero": 0.5},
    ]  # fmt: skip
    table = rank_models(TURNED, notes, MULTI_HEAD)
    assert table.query("model == 'uni' and head == 'linear_probe'")["feature_sd"].tolist() == [
        0.6,
        0.6,
    ]


def measured(domains: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    lines = [
        ("d", f"from_{letter}", tested, row, mean + rng.normal(scale=0.01))
        for letter in "abcdefg"[:domains]
        for tested in ("in", "out")
        for row, mean in (("good", 0.9), ("fair", 0.8), ("bad", 0.6))
    ]
    # lines that pool domains, or train on a scanner, are no block
    lines += [("d", s, "in", "good", 0.0) for s in ("from_*", "from_scanner_a", "from_scanner_*")]
    return pd.DataFrame(lines, columns=["dataset", "scheme", "tested", "row", "auroc"])


def test_ranks_over_five_domains_have_a_friedman_test():
    table = mean_ranks(measured(5), ["good", "fair", "bad"])
    inside = table[table["tested"] == "in"].set_index("row")
    assert inside["mean_rank"].to_dict() == {"good": 1, "fair": 2, "bad": 3}
    assert inside["friedman_p"].iloc[0] == pytest.approx(np.exp(-5))  # chi² of 10, two degrees
    assert values_by_block(measured(5), "in").shape == (5, 3)


def test_fewer_domains_say_why_there_is_no_critical_difference():
    table = mean_ranks(measured(4), ["good", "fair", "bad"])
    assert table["friedman_p"].isna().all()
    assert table["note"].unique().tolist() == [
        "4 training domains, 3 rows: a critical difference needs 5 and 3"
    ]
