"""The demo's known signal, and its control: read from the results of `make demo`.

`.ci/run` runs the demo and the control before the tests. Where they have not been run, skipped.
"""

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, ROOT

from cryotome.core.cards import read_yaml
from cryotome.core.files import RunPath
from cryotome.report.after_failure import write_partial_table2
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import row_facts

STUDIES = ROOT / "results" / "studies"
E2E = "efficientnet_lite0 + endtoend_brief"
PRETRAINED = [f"efficientnet_lite0 + {head}" for head in ("linear_probe", "ridge_cv", "knn")]
TRAINED = ["efficientnet_lite0 + lora_brief", E2E]
RANDOM = "vit_tiny_random + ridge"


def of_study(study: str, table: str = "intervals") -> pd.DataFrame:
    path = STUDIES / study / f"{table}.csv"
    if not path.exists():
        pytest.skip(f"{path} is not there: run the study {study} first")
    return pd.read_csv(path).set_index("row")


def crossed() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Intervals of models that are trained on one domain: tested in it, and in the others."""
    table = of_study("demo")
    table = table[table["scheme"] == "from_*"]
    return table[table["tested"] == "in"], table[table["tested"] == "out"]


def test_pretrained_weights_beat_random_ones_in_and_out_of_domain():
    for tested in crossed():
        assert tested.loc[PRETRAINED + TRAINED, "auroc"].min() > tested.loc[RANDOM, "auroc"]
    assert crossed()[1].loc[RANDOM, "auroc"] < crossed()[1].loc[PRETRAINED, "auroc"].min() - 0.05


def test_another_domain_costs_but_inverts_nothing():
    inside, outside = crossed()
    for row in (E2E, "efficientnet_lite0 + ridge_cv", "colour_histogram + ridge"):
        assert inside.loc[row, "auroc"] - outside.loc[row, "auroc"] > 0.03
    assert outside["auroc"].min() > 0.45


def test_colour_tells_something_at_home_and_next_to_nothing_elsewhere():
    inside, outside = crossed()
    assert inside.loc["colour_histogram + ridge", "low"] > 0.6
    assert outside.loc["colour_histogram + ridge", "auroc"] == pytest.approx(0.5, abs=0.1)


def test_table2_and_intervals_agree():
    table = of_study("demo")
    table2 = pd.read_csv(STUDIES / "demo" / "table2.csv").set_index(["model", "head"])
    for where in ("in", "out"):
        mine = table[(table["scheme"] == "from_*") & (table["tested"] == where)]["auroc"]
        for (model, head), value in table2[f"{where}_mean"].items():
            assert mine[f"{model} + {head}"] == pytest.approx(value, abs=1e-9)


def test_with_permuted_labels_every_row_is_at_chance():
    table = of_study("demo_permuted").query("tested == 'all'")
    assert len(table) == 7
    cells = pd.read_csv(ROOT / "results" / "cells" / "demo_rois_permuted.csv")
    positive = cells["label"].mean() * 0.2 * len(cells)
    negative = 0.2 * len(cells) - positive
    folds = 2
    # SD of the AUROC at chance (Mann-Whitney), of a mean over folds
    error = np.sqrt((positive + negative + 1) / (12 * positive * negative) / folds)
    assert (table["auroc"] - 0.5).abs().max() <= 3 * error


def test_the_partial_table_of_a_whole_study_is_its_table2(tmp_path):
    of_study("demo")  # skips where the demo has not been made
    results, table = ROOT / "results", tmp_path / "partial.csv"
    study = checked_study(read_yaml(CONFIG / "config.yaml"), CONFIG)
    listed = {(row.model, row.head) for row in study.rows}
    made = sorted((results / "predictions" / "demo_rois").glob("from_*/*/*/*/*/fold=*.csv"))
    predictions = [p for p in made if (RunPath.of(p).model, RunPath.of(p).head) in listed]
    write_partial_table2(
        [results / "cells" / "demo_rois.csv"],
        predictions,
        CONFIG / "published" / "ganz2024_table2.csv",
        table,
        logs=tmp_path,
        facts=row_facts(study),
    )
    whole, partial = pd.read_csv(STUDIES / "demo" / "table2.csv"), pd.read_csv(table)
    pd.testing.assert_frame_equal(partial[whole.columns], whole)
    assert (partial["in_found"] == partial["in_expected"]).all()
    assert (partial["out_found"] == partial["out_expected"]).all()
    assert partial["why"].isna().all()


def test_the_demo_shows_roth2024_whole_and_says_that_it_is_synthetic():
    of_study("demo")  # skips where the demo has not been made
    folder = STUDIES / "demo" / "colorectal"
    slides, patches, sizes = (pd.read_csv(folder / f"table{n}.csv") for n in (1, 2, 3))
    models = ["dinov2_tiny_random", "dinov2_tiny_demo", "colour_histogram"]
    assert slides["model"].tolist() == sizes["model"].tolist() == models
    assert slides["synthetic"].all() and patches["synthetic"].all()
    assert slides[["cohort", "external"]].notna().all(axis=None)
    # nine classes: colour alone is above chance level, a very short finetuning below it
    low = patches.set_index(["model", "head"])["balanced_accuracy_low"]
    assert low["colour_histogram", "logreg"] > 1 / 9
    course = pd.read_csv(folder / "figure2.csv")
    assert sorted(set(course["iteration"])) == [0, 8, 16]
    assert set(course["panel"]) == {"patches", "slides"}
    cost = pd.read_csv(folder / "figure1.csv").set_index("model")
    assert (cost.loc["dinov2_tiny_demo", "source"] == "measured").all()
    assert "synthetic demo cohort" in (folder / "tables.md").read_text(encoding="utf-8")
