import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from tests.evaluation.robustness.planted import planted

from cryotome.evaluation.robustness.indices import Index
from cryotome.evaluation.robustness.table import (
    COLUMNS,
    INDICES,
    correlate_with_loss,
    measure_stores,
    out_of_domain_losses,
    robustness_table,
)
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import Rows
from cryotome.study.robustness import RobustnessFacts

PLANTED = {"good": (2, 0), "fair": (1, 1), "poor": (0.5, 2), "bad": (0, 3)}
DRAWS = 40


def facts(models: list[str], **changes: object) -> RobustnessFacts:
    given = {
        "confounders": ["slide", "domain"], "neighbours": 3, "max_cells": 10**6, "view": "v",
        "stores": [("d", name) for name in models], "heads": {name: ["ridge"] for name in models},
        "cards": {"d": {}}, "identities": ["slide_identity"],
    }  # fmt: skip
    return RobustnessFacts(**given | changes)


def loss_of(model: str) -> Index:
    """A loss that grows with what is planted of the confounder, alike in every draw."""
    value = 0.05 * PLANTED[model][1]
    return Index(value, np.full(DRAWS, value))


@pytest.fixture(scope="module")
def measured():
    """Four models and the slide alone, on the same cells of the dataset d."""
    cells, _ = planted(of_class=0, of_confounder=0)
    names = [*PLANTED, "slide_identity"]
    stores = [
        ("d", name, planted(of_class=a, of_confounder=b)[1], cells["id"].to_numpy())
        for name, (a, b) in PLANTED.items()
    ]
    stores.append(("d", "slide_identity", np.zeros((len(cells), 1)), cells["id"].to_numpy()))
    how = facts(names)
    return how, list(measure_stores(stores, {"d": cells}, how, DRAWS))


def test_there_is_a_line_for_every_confounder_index_and_model(measured):
    how, found = measured
    table = robustness_table(found, {("d", "good + ridge"): loss_of("good")}, how)
    assert list(table) == COLUMNS
    assert len(table) == 2 * len(INDICES) * 5
    whole = table[table["index"] != "nIPD"].dropna(subset="value")
    assert len(whole) == 2 * 4 * 5
    assert (whole["low"] <= whole["value"]).all() and (whole["value"] <= whole["high"]).all()
    assert table.groupby("confounder")["n"].unique().map(list).to_dict() == {
        "domain": [144],
        "slide": [132],  # one slide has two cells of a class
    }
    assert not table["sampled"].any() and set(table["seed"]) == {0}
    assert table.dropna(subset="loss")["model"].unique().tolist() == ["good"]


def test_the_slide_alone_is_at_the_worst_end_of_all_models(measured):
    how, found = measured
    table = robustness_table(found, {}, how).query("index != 'nIPD'")
    for _, part in table.groupby(["confounder", "index"]):
        assert part.set_index("model")["value"]["slide_identity"] == part["value"].min()
    alone = table[table["model"] == "slide_identity"].set_index(["confounder", "index"])["value"]
    assert alone["domain", "CRoMa"] == alone["slide", "CRoMa"] == -1
    assert alone["domain", "RI"] == alone["slide", "RI"] == 0


def test_the_order_of_a_store_is_its_own(measured):
    """Embeddings in another order than the table of cells give the same numbers."""
    how, found = measured
    cells, x = planted(of_class=1, of_confounder=1)
    turned = np.random.default_rng(1).permutation(len(cells))
    store = ("d", "fair", x[turned], cells["id"].to_numpy()[turned])
    again = list(measure_stores([store], {"d": cells}, how, DRAWS))
    before = [of for about, of in found if about["model"] == "fair"]
    for (_, now), then in zip(again, before, strict=True):
        assert now["CRoMa"].value == pytest.approx(then["CRoMa"].value, abs=1e-6)
        assert now["RI"].value == pytest.approx(then["RI"].value)


def test_dealt_embeddings_know_neither_class_nor_confounder(measured):
    how, found = measured
    table = robustness_table(found, {}, how)
    ri = table.query("index == 'CRoMa' and confounder == 'domain' and model != 'slide_identity'")
    assert ri["chance"].abs().max() < 0.05
    assert ri.set_index("model")["value"]["good"] > 0.1


def test_the_correlation_is_that_over_models_and_blank_under_four(measured):
    how, found = measured
    losses = {("d", f"{name} + ridge"): loss_of(name) for name in PLANTED}
    table = robustness_table(found, losses, how)
    lines = correlate_with_loss(table, found, losses).set_index(["confounder", "index"])
    part = table.query("index == 'CRoMa' and confounder == 'domain'").dropna(subset="loss")
    expected = spearmanr(part["value"], part["loss"]).statistic
    assert lines["spearman"]["domain", "CRoMa"] == pytest.approx(expected) == -1
    assert lines["low"]["domain", "CRoMa"] <= -1 + 1e-9
    assert np.isnan(lines["spearman"]["slide", "nIPD"])
    fewer = {key: loss for key, loss in losses.items() if key[1] != "bad + ridge"}
    short = correlate_with_loss(robustness_table(found, fewer, how), found, fewer)
    assert short["spearman"].isna().all() and set(short["note"]) == {"under 4 models"}
    assert set(short["models"]) == {3, 0}


def test_a_large_store_is_sampled_and_says_so():
    cells, x = planted(of_class=1, of_confounder=1, cells=20)
    how = facts(["one"], max_cells=100, confounders=["domain"])
    (found,) = measure_stores([("d", "one", x, cells["id"].to_numpy())], {"d": cells}, how, DRAWS)
    table = robustness_table([found], {}, how)
    assert table["sampled"].all() and set(table["n"]) == {96}


def test_the_loss_is_that_of_the_intervals_and_its_slides_are_drawn_together():
    """Outside all scores are inverted: AUROC 1 less 0 in every draw, and for all slides."""
    label = np.tile([0, 1], 20)
    cells = pd.DataFrame({"id": range(40), "slide": np.repeat(list("abcd"), 10), "label": label})
    settings = {}
    for tested, score in (("in", label), ("out", 1 - label)):
        scores = PairedScores([cells.assign(row=score)], [0], {"row": 10.0}, {"from_lung"})
        columns = ["what", "folds", "tested", "effective_slides", "share", "dataset"]
        rows = Rows(scores, draws=DRAWS, calibration=pd.DataFrame(columns=columns))
        settings["d", "from_*", "1.0", tested] = settings["d", "from_lung", "1.0", tested] = rows
    losses = out_of_domain_losses(settings, {"d": np.array(list("abcd"))}, DRAWS)
    assert list(losses) == [("d", "row")]
    assert losses["d", "row"].value == 1
    assert set(losses["d", "row"].draws) == {1.0}
