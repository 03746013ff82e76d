import numpy as np
import pandas as pd
import pytest
from some_facts import STATISTICS
from statsmodels.stats.multitest import multipletests

from cryotome.evaluation.statistics.comparisons import comparisons, intervals, variances
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import prepare_rows

KNOWN = ["dataset", "effective_slides", "what", "share", "folds", "tested"]
NONE = pd.DataFrame(columns=KNOWN)

KEYS = ("d", "random", "1.0", "all")


def paired(
    slides: int = 20, folds: int = 3, seed: int = 0, shift: float = 0.0, **trained
) -> PairedScores:
    """Cells of many slides scored by a good row, the same again, a bad and a worse one."""
    rng = np.random.default_rng(seed)
    found = PairedScores()
    for fold in range(folds):
        slide = np.repeat(np.arange(slides), 20)
        ids = np.arange(len(slide)) + fold  # every fold tests other cells
        label = rng.integers(2, size=len(slide))
        noise = rng.normal(size=len(slide))
        part = pd.DataFrame({"id": ids, "slide": slide.astype(str), "label": label})
        part["good"] = (2 + shift) * label + noise
        part["alike"] = part["good"] * 3 + 1
        part["bad"] = (1 + shift) * label + rng.normal(size=len(slide))
        part["worse"] = -0.5 * label + rng.normal(size=len(slide))
        found.parts.append(part)
        found.folds.append(fold)
    found.training_cells = dict.fromkeys(found.rows, trained.get("n", 100))
    found.schemes = {"random"}
    return found


def one(**how) -> dict:
    return prepare_rows({("d", "random", "1.0", "all"): paired(**how)}, STATISTICS.draws, NONE)


def test_intervals_hold_their_auroc_and_name_what_they_assume():
    table = intervals(one(), 0.05)
    assert (table["low"] < table["auroc"]).all()
    assert (table["auroc"] < table["high"]).all()
    assert table["slides"].tolist() == [20] * 4
    assert "delong_patches_independent_low" in table
    assert table["note"].eq("").all()


def test_every_row_is_compared_with_the_reference_and_holm_corrected():
    table = comparisons(one(), "good", STATISTICS).set_index("row")
    assert list(table.index) == ["alike", "bad", "worse"]
    assert table.loc["worse", "difference"] > table.loc["bad", "difference"] > 0.05
    assert (table.loc[["bad", "worse"], "low"] > 0).all()
    known = table["p_slides"].dropna()
    expected = multipletests(known, method="holm")[1]
    assert table.loc[known.index, "p_slides_holm"].to_numpy() == pytest.approx(expected)
    assert table["p_slides_holm"].max() >= table["p_slides"].max()
    assert table.loc["worse", "verdict"] == "different"


def test_rows_that_score_alike_are_equivalent_and_have_no_p_value():
    line = comparisons(one(), "good", STATISTICS).set_index("row").loc["alike"]
    assert line["difference"] == 0
    assert line["verdict"] == "equivalent"
    assert np.isnan(line["p_slides"])
    assert np.isnan(line["p_folds_these_slides"])
    assert "the two rows score alike" in line["note"]


def test_a_test_that_cannot_reach_significance_says_so_instead_of_a_p_value():
    line = comparisons(one(slides=4, folds=5), "good", STATISTICS).set_index("row").loc["worse"]
    assert np.isnan(line["p_slides"])
    assert np.isnan(line["p_obuchowski"])
    assert np.isnan(line["p_signed_rank_folds"])
    assert line["verdict"] == "undecided"
    assert "4 slides: no test can reach 0.05 (least p 0.125)" in line["note"]
    assert "5 folds: a signed-rank test cannot reach 0.05 (least p 0.0625)" in line["note"]
    assert intervals(one(slides=4), 0.05)["note"].str.startswith("4 slides").all()
    six = comparisons(one(folds=6), "good", STATISTICS).set_index("row").loc["worse"]
    assert six["p_signed_rank_folds"] == 0.03125


def test_folds_that_test_the_same_cells_are_no_test_of_other_cells():
    same = paired()
    for part in same.parts:
        part["id"] = np.arange(len(part))
    settings = prepare_rows({("d", "random", "1.0", "all"): same}, STATISTICS.draws, NONE)
    line = comparisons(settings, "good", STATISTICS).set_index("row").loc["worse"]
    assert np.isnan(line["p_folds_these_slides"])
    assert "every fold tests the same cells" in line["note"]
    assert one()[("d", "random", "1.0", "all")].scores.folds_test_same_cells is False


def test_schemes_pooled_over_domains_take_the_ratio_of_one():
    settings = prepare_rows({("d", "from_*", "1.0", "in"): paired()}, STATISTICS.draws, NONE)
    assert len(comparisons(settings, "good", STATISTICS)) == 3


def test_without_the_reference_there_is_nothing_to_compare():
    assert comparisons(one(), "absent", STATISTICS).empty


def test_variances_apart():
    families = {"good": ["good", "bad"], "worse": []}
    table = variances(one(), families).set_index("row")
    assert table.loc["good", "seeds"] == 2
    assert table.loc["good", "sd_seed"] > 0.05  # good and bad differ much
    assert table.loc["worse", "sd_seed"] == 0  # no seed
    assert table.loc["worse", "sd_draw"] == pytest.approx(table.loc["worse", "sd_folds"])
    assert (table["error_slides"] > 0).all()


def curve(fractions: list[float]) -> dict:
    settings = {
        ("d", "random", str(f), "all"): paired(shift=np.log10(f), seed=i, n=1000 * f)
        for i, f in enumerate(fractions)
    }
    return prepare_rows(settings, STATISTICS.draws, NONE)
