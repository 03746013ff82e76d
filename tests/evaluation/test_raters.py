import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from cryotome.core.metrics import auroc
from cryotome.evaluation.raters import CEILING, COLUMNS, MAJORITY, MEAN, compare_raters
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import Rows

CALIBRATION = pd.DataFrame(columns=["what", "folds", "tested", "effective_slides", "share"])
SETTING = ("d", "slide_grouped", "1.0", "all")
NAMES = ["first", "second", "third"]
KEY = ["measure", "cells", "row", "against"]


def some_votes(cells=400, slides=40, seed=0, raters=3):
    """Cells of two folds, whose raters err where their share of votes is near a half."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.beta(0.4, 0.9, size=cells) + rng.normal(0, 0.05, slides).repeat(
        cells // slides), 0, 1)  # fmt: skip
    votes = (rng.random((cells, raters)) < share[:, None]).astype(int)
    label = (2 * votes.sum(axis=1) > raters).astype(int)
    table = pd.DataFrame({"id": np.arange(cells), "label": label})
    table["slide"] = np.repeat([f"s{n:03d}" for n in range(slides)], cells // slides)
    table["net + good"] = np.clip(share + rng.normal(0, 0.15, cells), 0, 1)
    table["net + blind"] = rng.random(cells)
    return table, pd.DataFrame(votes, columns=NAMES[:raters])


def rows_of(table, folds=2, draws=200):
    place = table["slide"].rank(method="dense").astype(int) % folds
    parts = [table[place == fold].reset_index(drop=True) for fold in range(folds)]
    scores = PairedScores(parts=parts, folds=list(range(folds)), schemes={"slide_grouped"})
    return Rows(scores, draws=draws, calibration=CALIBRATION)


def measured(raters=3, **how):
    table, votes = some_votes(raters=raters, **how)
    found = compare_raters({SETTING: rows_of(table)}, {"d": votes}, 0.05)
    return table, votes, found


def test_kappa_of_rows_and_of_raters_is_that_of_scikit_learn():
    table, votes, found = measured()
    assert [*found] == COLUMNS
    by = found.set_index(KEY)
    called = (table["net + good"] > 0.5).astype(int)
    of_row = [cohen_kappa_score(called, votes[name]) for name in NAMES]
    for name, value in zip(NAMES, of_row, strict=True):
        assert by.loc[("kappa", "all", "net + good", name), "value"] == pytest.approx(value)
    assert by.loc[("kappa", "all", "net + good", MEAN), "value"] == pytest.approx(np.mean(of_row))
    between = cohen_kappa_score(votes["first"], votes["third"])
    for one, other in (("first", "third"), ("third", "first")):
        assert by.loc[("kappa", "all", one, other), "value"] == pytest.approx(between)
    said = by.loc[("kappa", "all", "net + good", "first"), "note"]
    shares = 100 * called.mean(), 100 * votes.to_numpy().mean()
    assert said == "calls {:.1f} % of cells, raters {:.1f} %".format(*shares)
    assert (found["low"] < found["value"]).all() and (found["value"] < found["high"]).all()
    assert set(found["who"]) == {"row", "rater", "ceiling"}
    assert (found.loc[found["cells"] == "all", "n"] == 400).all()


def test_a_row_and_a_rater_are_held_against_the_same_majority_of_others():
    _, votes, found = measured()
    by = found.set_index(KEY)["value"]
    pair = votes[["second", "third"]].sum(axis=1)
    sure, own = pair != 1, votes["first"]
    tied = pair[~sure].index  # such a cell is half a cell in each class
    both = np.r_[own[sure], own[tied], own[tied]], np.r_[pair[sure] // 2, tied * 0, tied * 0 + 1]
    weight = np.r_[np.ones(sure.sum()), np.full(2 * len(tied), 0.5)]
    for measure, function in (("kappa", cohen_kappa_score),
                              ("balanced_accuracy", lambda a, b, sample_weight:
                               balanced_accuracy_score(b, a, sample_weight=sample_weight))):  # fmt: skip
        value = function(*both, sample_weight=weight)
        assert by[measure, "all", "first", MAJORITY] == pytest.approx(value)
    good, blind = (by["kappa", "all", f"net + {row}", MAJORITY] for row in ("good", "blind"))
    raters = [by["kappa", "all", name, MAJORITY] for name in NAMES]
    assert good > max(raters) > 0.3 > 0.15 > abs(blind)


def test_unanimous_and_disputed_cells_are_measured_apart():
    table, votes, found = measured()
    by = found.set_index(KEY)
    disputed = votes.sum(axis=1).isin([1, 2])
    for cells, mine in (("unanimous", ~disputed), ("disputed", disputed)):
        line = by.loc[("auroc", cells, "net + good", "label")]
        folds = table["slide"].rank(method="dense").astype(int) % 2
        parts = [table[mine & (folds == fold)] for fold in range(2)]
        values = [auroc(p["label"].to_numpy(), p["net + good"].to_numpy()) for p in parts]
        assert line["value"] == pytest.approx(np.mean(values))
        assert line["n"] == mine.sum()
        value = balanced_accuracy_score(table["label"][mine], table["net + good"][mine] > 0.5)
        line = by.loc[("balanced_accuracy", cells, "net + good", "label")]
        assert line["value"] == pytest.approx(value)
    apart = by["value"].loc["auroc", ["unanimous", "disputed"], "net + good", "label"]
    assert apart.iloc[0] > apart.iloc[1] + 0.1


def test_the_ceiling_is_above_every_row_and_names_its_assumption():
    _, _, found = measured()
    best = found[found["who"] == "ceiling"].set_index("measure")
    assert set(best["row"]) == {CEILING}
    assert best["note"].str.contains("drawn from a pool .* the model knows this share").all()
    by = found.set_index(KEY)["value"]
    assert best.loc["auroc", "value"] > by["auroc", "all", "net + good", "label"]
    assert best.loc["kappa", "value"] > by["kappa", "all", "net + good", MEAN]


def test_two_readers_tie_with_no_one_and_one_fold_without_disputes_is_left_out():
    _, votes, found = measured(raters=2)
    by = found.set_index(KEY)["value"]
    between = cohen_kappa_score(votes["first"], votes["second"])
    assert by["kappa", "all", "first", MAJORITY] == pytest.approx(between)
    table, votes = some_votes()
    votes[:] = table["label"].to_numpy()[:, None]
    alike = compare_raters({SETTING: rows_of(table)}, {"d": votes}, 0.05).set_index(KEY)
    none = alike.loc[("auroc", "disputed", "net + good", "label")]
    assert none["n"] == 0 and np.isnan([none["value"], none["low"]]).all()
    assert alike.loc[("kappa", "all", "first", "third"), "value"] == 1


def test_only_the_largest_fraction_of_all_domains_of_datasets_with_raters_is_measured():
    table, votes = some_votes()
    rows = rows_of(table, draws=20)
    settings = {
        SETTING: rows, ("d", "slide_grouped", "0.1", "all"): rows,
        ("d", "slide_grouped", "1.0", "domains"): rows, ("d", "from_*", "1.0", "out"): rows,
        ("d", "from_a", "1.0", "out"): rows, ("other", "slide_grouped", "1.0", "all"): rows,
    }  # fmt: skip
    found = compare_raters(settings, {"d": votes}, 0.05)
    kept = set(map(tuple, found[["dataset", "scheme", "fraction", "tested"]].to_numpy()))
    assert kept == {SETTING, ("d", "from_*", "1.0", "out")}
    assert list(compare_raters(settings, {}, 0.05)) == COLUMNS


def test_few_slides_are_noted_at_every_line():
    table, votes = some_votes(slides=4)
    found = compare_raters({SETTING: rows_of(table)}, {"d": votes}, 0.05)
    assert found["note"].str.contains("4 slides: no test can reach 0.05").all()
