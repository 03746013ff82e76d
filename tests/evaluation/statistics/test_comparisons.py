import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from cryotome.evaluation.statistics.comparisons import comparisons, intervals, variances
from cryotome.evaluation.statistics.learning_curves import crossings, learning_curves
from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.rows import read_blocks

ABOUT = {"draws": 300, "alpha": 0.05, "margin": 0.02}

KNOWN = ["dataset", "effective_slides", "what", "share", "folds", "tested"]
NONE = pd.DataFrame(columns=KNOWN)

KEYS = ("d", "random", "1.0", "all")


def block(
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
    found.trained = dict.fromkeys(found.rows, trained.get("n", 100))
    found.places = {"random"}
    return found


def one(**how) -> dict:
    return read_blocks({("d", "random", "1.0", "all"): block(**how)}, ABOUT, NONE)


def test_intervals_hold_their_auroc_and_name_what_they_assume():
    table = intervals(one(), 0.05)
    assert (table["low"] < table["auroc"]).all()
    assert (table["auroc"] < table["high"]).all()
    assert table["slides"].tolist() == [20] * 4
    assert "delong_patches_independent_low" in table
    assert table["note"].eq("").all()


def test_every_row_is_compared_with_the_reference_and_holm_corrected():
    table = comparisons(one(), "good", ABOUT).set_index("row")
    assert list(table.index) == ["alike", "bad", "worse"]
    assert table.loc["worse", "difference"] > table.loc["bad", "difference"] > 0.05
    assert (table.loc[["bad", "worse"], "low"] > 0).all()
    known = table["p_slides"].dropna()
    expected = multipletests(known, method="holm")[1]
    assert table.loc[known.index, "p_slides_holm"].to_numpy() == pytest.approx(expected)
    assert table["p_slides_holm"].max() >= table["p_slides"].max()
    assert table.loc["worse", "verdict"] == "different"


def test_rows_that_score_alike_are_equivalent_and_have_no_p_value():
    line = comparisons(one(), "good", ABOUT).set_index("row").loc["alike"]
    assert line["difference"] == 0
    assert line["verdict"] == "equivalent"
    assert np.isnan(line["p_slides"])
    assert np.isnan(line["p_folds_these_slides"])
    assert "the two rows score alike" in line["note"]


def test_a_test_that_cannot_reach_significance_says_so_instead_of_a_p_value():
    line = comparisons(one(slides=4, folds=5), "good", ABOUT).set_index("row").loc["worse"]
    assert np.isnan(line["p_slides"])
    assert np.isnan(line["p_obuchowski"])
    assert np.isnan(line["p_signed_rank_folds"])
    assert line["verdict"] == "undecided"
    assert "4 slides: no test can reach 0.05 (least p 0.125)" in line["note"]
    assert "5 folds: a signed-rank test cannot reach 0.05 (least p 0.0625)" in line["note"]
    assert intervals(one(slides=4), 0.05)["note"].str.startswith("4 slides").all()
    six = comparisons(one(folds=6), "good", ABOUT).set_index("row").loc["worse"]
    assert six["p_signed_rank_folds"] == 0.03125


def test_folds_that_test_the_same_cells_are_no_test_of_other_cells():
    same = block()
    for part in same.parts:
        part["id"] = np.arange(len(part))
    blocks = read_blocks({("d", "random", "1.0", "all"): same}, ABOUT, NONE)
    line = comparisons(blocks, "good", ABOUT).set_index("row").loc["worse"]
    assert np.isnan(line["p_folds_these_slides"])
    assert "every fold tests the same cells" in line["note"]
    assert one()[("d", "random", "1.0", "all")].block.tests_the_same is False


def test_schemes_pooled_over_domains_take_the_ratio_of_one():
    blocks = read_blocks({("d", "from_*", "1.0", "in"): block()}, ABOUT, NONE)
    assert len(comparisons(blocks, "good", ABOUT)) == 3


def test_without_the_reference_there_is_nothing_to_compare():
    assert comparisons(one(), "absent", ABOUT).empty


def test_variances_apart():
    families = {"good": ["good", "bad"], "worse": []}
    table = variances(one(), families).set_index("row")
    assert table.loc["good", "seeds"] == 2
    assert table.loc["good", "sd_seed"] > 0.05  # good and bad differ much
    assert table.loc["worse", "sd_seed"] == 0  # no seed
    assert table.loc["worse", "sd_draw"] == pytest.approx(table.loc["worse", "sd_folds"])
    assert (table["error_slides"] > 0).all()


def curve(fractions: list[float]) -> dict:
    blocks = {
        ("d", "random", str(f), "all"): block(shift=np.log10(f), seed=i, n=1000 * f)
        for i, f in enumerate(fractions)
    }
    return read_blocks(blocks, ABOUT, NONE)


def test_learning_curves_have_limits_with_intervals(monkeypatch):
    with monkeypatch.context() as patch:
        law = lambda n, y: (min(y.max() + 0.01, 0.99), 0.5, 0.3)  # noqa: E731
        patch.setattr("cryotome.evaluation.statistics.comparisons.fit_curve", law)
        table = learning_curves(curve([0.001, 0.01, 0.1, 1.0])).set_index("row")
    assert table.loc["good", "low"] <= table.loc["good", "limit"] <= table.loc["good", "high"]
    few = learning_curves(curve([0.1, 1.0]))
    assert few["note"].str.contains("2 fractions: no law is fitted").all()
    assert learning_curves(curve([1.0])).empty


def test_a_limit_at_the_edge_of_the_law_is_no_finding(monkeypatch):
    monkeypatch.setattr(
        "cryotome.evaluation.statistics.comparisons.fit_curve", lambda n, y: (1.0, 0.5, 0.1)
    )
    table = learning_curves(curve([0.001, 0.01, 0.1, 1.0]))
    assert table[["limit", "low", "high"]].isna().all(axis=None)
    assert (table["doubled"] > 0).all()
    assert table["note"].str.contains("AUROC 1 is not excluded").all()


def test_crossings_say_what_equals_what():
    table = crossings(curve([0.01, 0.1, 1.0]), "good")
    whole = table[(table["fraction"] == 1.0)].set_index("row")
    bad = whole.loc["bad"]
    assert 0.01 < bad["low"] <= bad["equal_fraction"] <= bad["high"] < 1.0
    assert bad["text"].startswith("bad at 100 % equals good at ")
    assert whole.loc["worse", "equal_fraction"] == 0
    assert "less than good at 1 %" in whole.loc["worse", "text"]
    turned = crossings(curve([0.01, 0.1, 1.0]), "worse")
    assert "more than worse at 100 %" in turned["text"].iloc[0]


def test_intervals_that_are_known_to_cover_too_little_say_so():
    what = "covered by the clustered interval"
    lines = [
        ("few", 18.0, what, 0.89, "random", "all"),
        ("many", 100.0, what, 0.95, "random", "all"),
    ]
    lines.append(("few", 18.0, what, 0.80, "grouped", "all"))  # another design
    known = pd.DataFrame(lines, columns=KNOWN)
    note = intervals(read_blocks({KEYS: block()}, ABOUT, known), 0.05)["note"]
    # 20 slides are a little more than 18, and count as 18
    assert note.str.contains(
        r"about 18 \(simulated, random folds, slides of few\).*cover 89 %"
    ).all()
    note = intervals(read_blocks({KEYS: block(slides=60)}, ABOUT, known), 0.05)["note"]
    assert note.eq("").all()


def test_a_row_without_a_difference_in_a_part_hides_no_other_note():
    known = pd.DataFrame(
        [("few", 18.0, "covered by the clustered interval", 0.89, "random", "all")], columns=KNOWN
    )
    flat = block()
    flat.parts[0]["good"] = 0.5
    note = intervals(read_blocks({KEYS: flat}, ABOUT, known), 0.05).set_index("row")["note"]
    assert note["good"].startswith("all scores are equal in 1 of 3 parts; ")
    assert "cover 89 %" in note["good"]


def test_the_corrected_t_takes_the_ratio_from_the_cells_themselves():
    flat = block(n=1000)
    assert flat.ratio("good", "1.0") == pytest.approx(0.4)  # 400 tested, 1,000 trained on
    assert flat.ratio("good", "0.1") == pytest.approx(0.04)  # these were a tenth of the pool


def test_where_slides_are_not_known_no_number_of_them_is_given_and_every_note_says_so():
    known = read_blocks({KEYS: block()}, ABOUT, NONE)
    unknown = read_blocks({KEYS: block()}, ABOUT, NONE, ["d"])
    mine, as_ever = intervals(unknown, 0.05), intervals(known, 0.05)
    counts = ["slides", "effective_slides"]
    assert mine[counts].isna().all(axis=None)
    assert mine["note"].str.startswith("20 images, slides not known").all()
    same = [column for column in mine if column not in [*counts, "note"]]
    pd.testing.assert_frame_equal(mine[same], as_ever[same])
    few = read_blocks({KEYS: block(slides=4)}, ABOUT, NONE, ["d"])
    note = comparisons(few, "good", ABOUT)["note"]
    assert note.str.startswith("4 images, slides not known: no test can reach 0.05").all()
