import json

import pandas as pd

from cryotome.report.page.metrics import TITLES, metrics


def test_the_strictest_scheme_comes_first_and_every_metric_is_there(g):
    choice = metrics(g).choice
    first, *others = choice.data["blocks"]
    assert first["scheme"] == "random cells, tested: all cells"
    assert len(others) == 13  # per domain; six schemes of one domain and all, in and out
    assert list(choice.data["titles"]) == list(TITLES)
    assert all(len(line) == 1 + len(TITLES) for line in first["lines"])
    table = pd.read_csv(g.folder / "metrics.csv")
    row = first["lines"][0][0]
    named = (table["row"] == row) & (table["scheme"] == "random") & (table["tested"] == "all")
    value = table[named & (table["metric"] == "brier")]["value"].iloc[0]
    assert first["lines"][0][1 + list(TITLES).index("brier")][0] == round(value, 5)


def test_without_javascript_each_choice_is_a_table_of_two_metrics(g):
    choice = metrics(g).choice
    assert len(choice.grids) == len(choice.data["blocks"])
    assert choice.grids[0].columns == [
        "Row", "AUROC", "AUROC: 95 %", "Balanced accuracy", "Balanced accuracy: 95 %",
    ]  # fmt: skip
    values = [line[1].value for line in choice.grids[0].lines]
    assert values == sorted(values, reverse=True)


def test_what_cannot_be_computed_is_no_number_and_texts_end_no_script(g):
    path = g.folder / "metrics.csv"
    table = pd.read_csv(path)
    table.loc[table["metric"] == "auroc", ["value", "low", "high"]] = None
    table.to_csv(path, index=False)
    g.facts.labels[table["row"].iloc[0]] = "</script><b>"
    said = metrics(g).choice.json
    assert "<" not in said and "NaN" not in said
    assert json.loads(said)["blocks"][0]["lines"][0][1] == [None, None, None]


def test_a_study_without_the_table_says_what_makes_it(g):
    (g.folder / "metrics.csv").unlink()
    (gap,) = metrics(g).missing
    assert (gap.file, gap.rule) == ("metrics.csv", "compare")
