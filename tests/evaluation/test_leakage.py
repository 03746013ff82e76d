import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, windows_of
from sklearn.metrics import roc_auc_score

from cryotome.core.cards import load_card
from cryotome.core.errors import StoreError
from cryotome.data.audit import near_pairs
from cryotome.data.cells import read_cells
from cryotome.data.splits.cells import draw_split
from cryotome.evaluation.leakage import gather_evidence, measure_leakage, slide_scores, summary_line

NOTHING = pd.DataFrame(columns=["finding", "id", "other"])


def findings(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["finding", "id", "other"])


def measured(cells, split, *found, side=32, margin=4) -> pd.DataFrame:
    evidence = gather_evidence(cells, windows_of(cells, side, margin), findings(*found))
    return measure_leakage(split, evidence).set_index("measure")


def hand(*rows) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells and their roles from (slide, x, label, role); all lie on one row of their image."""
    table = pd.DataFrame(rows, columns=["slide", "x", "label", "role"])
    table = table.assign(id=table.index * 10, image=table["slide"], y=50.0)
    return table.drop(columns="role"), table[["id", "role"]]


def test_each_way_to_leak_is_counted_on_its_own():
    cells, split = hand(
        ("a", 100, 1, "train"),
        ("a", 135, 0, "test"),  # 35 px: the margin of the stored window reaches it, no more
        ("b", 100, 1, "train"),
        ("b", 120, 1, "test"),  # 20 px: seen of both, less than half, centre not seen
        ("c", 100, 1, "train"),
        ("c", 115, 0, "test"),  # 15 px: more than half, and the centre, of another label
        ("d", 100, 0, "validation"),
        ("d", 110, 0, "test"),
        ("e", 100, 0, "test"),
    )
    found = measured(cells, split)
    assert found["cells"].to_dict() == {
        "test_cells": 5, "on_training_slide": 3, "shared_slides": 3, "pixels_with_training": 3,
        "pixels_with_validation": 1, "seen_with_training": 2, "half_seen_with_training": 1,
        "centre_of_training": 1, "centre_of_other_label": 1, "duplicate_of_training": 0,
        "near_training": 0, "near_training_of_other_label": 0, "slide_prevalence_auroc": 5,
    }  # fmt: skip
    assert found.loc["pixels_with_training", "share"] == 0.6
    assert found.loc["shared_slides", "share"] == 0.6  # of five slides tested


def test_equal_patches_are_groups_and_near_pairs_count_both_ways():
    cells, split = hand(
        ("a", 0, 1, "train"),  # 0
        ("b", 0, 1, "test"),  # 10
        ("c", 0, 0, "test"),  # 20
        ("d", 0, 1, "validation"),  # 30
        ("e", 0, 0, "test"),  # 40
        ("f", 0, 1, "test"),  # 50
        ("g", 0, 0, "train"),  # 60
    )
    equal = [("duplicate", 10, 30), ("conflict", 20, 30), ("conflict", 0, 20), ("conflict", 10, 20)]
    found = measured(cells, split, *equal, ("near", 40, 0), ("near", 60, 40), ("near", 50, 10))
    assert found.loc["duplicate_of_training", "cells"] == 2  # 10 and 20 are as 0, through others
    assert found.loc["near_training", "cells"] == 1
    assert found.loc["near_training_of_other_label", "cells"] == 1


def test_the_slide_alone_is_scored_by_its_shrunk_prevalence():
    train = pd.DataFrame({"slide": ["a", "a", "b"], "label": [1, 1, 0]})
    assert slide_scores(train, pd.Series(["a", "b", "x"])).tolist() == pytest.approx(
        [(2 + 2 / 3) / 3, (0 + 2 / 3) / 2, 2 / 3]
    )


def test_one_class_in_test_has_no_auroc():
    cells, split = hand(("a", 0, 1, "train"), ("a", 9, 0, "train"), ("a", 50, 1, "test"))
    assert np.isnan(measured(cells, split).loc["slide_prevalence_auroc", "share"])


@pytest.mark.parametrize("scheme", ["random", "slide_grouped", "no_overlap"])
def test_shares_are_those_of_brute_force(placed, scheme):
    windows = windows_of(placed, side=32, margin=4)
    card = load_card(CONFIG, "schemes", scheme)
    split = draw_split(placed, card, scheme=scheme, fraction="1.0", fold=1, windows=windows).roles
    found = measured(placed, split)["share"]
    at = placed.merge(windows, on="id").set_index("id").to_dict("index")
    role = split.groupby("role")["id"].apply(list)
    counts = dict.fromkeys(("stored", "seen", "half", "centre", "other"), 0)
    for one in role["test"]:
        a, hits = at[one], dict.fromkeys(counts, False)
        for two in role["train"]:
            b = at[two]
            if a["image"] != b["image"]:
                continue
            gaps = [abs(a[axis] - b[axis]) for axis in ("left", "top")]
            inner = [max(0, 32 - gap) for gap in gaps]
            hits["stored"] |= all(gap < 36 for gap in gaps)
            hits["seen"] |= all(inner)
            hits["half"] |= inner[0] * inner[1] >= 512
            inside = all(0 <= b[c] - a[e] < 32 for c, e in (("x", "left"), ("y", "top")))
            hits["centre"] |= inside
            hits["other"] |= inside and a["label"] != b["label"]
        for name, hit in hits.items():
            counts[name] += hit
    names = {"stored": "pixels", "seen": "seen", "half": "half_seen"}
    for name, count in counts.items():
        measure = f"{names[name]}_with_training" if name in names else {"centre": "centre_of_training", "other": "centre_of_other_label"}[name]  # fmt: skip
        assert found[measure] == pytest.approx(count / len(role["test"])), measure
    assert (found["pixels_with_training"] > 0.1) == (scheme == "random")
    assert (found["on_training_slide"] > 0) == (scheme != "slide_grouped")


def test_stale_windows_and_splits_are_refused():
    cells, split = hand(("a", 0, 1, "train"), ("a", 9, 0, "train"), ("a", 50, 1, "test"))
    windows = windows_of(cells, 32, 4)
    with pytest.raises(StoreError, match="1 cells have no window, first 20"):
        gather_evidence(cells, windows[:2], NOTHING)
    with pytest.raises(StoreError, match="2 cells of the split are no cells .* first 20"):
        more = pd.concat([split, pd.DataFrame({"id": [777], "role": ["test"]})])
        measure_leakage(more, gather_evidence(cells[:2], windows[:2], NOTHING))


def test_the_summary_is_one_line_of_mean_shares():
    tables = [
        pd.DataFrame({"measure": ["test_cells", "a"], "cells": [9, 2], "share": [1, share]})
        for share in (0.5, 0.7)
    ]
    assert summary_line(tables) == "a 0.600"


def test_midog2022_leaks_as_the_reference_says(shared):
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / card["annotations"], shared, card, "midog2022")
    near = near_pairs(cells, 25)
    found = pd.DataFrame({"finding": "near", "id": near[:, 1], "other": near[:, 0]})
    evidence = gather_evidence(cells, windows_of(cells), found)
    random = load_card(CONFIG, "schemes", "random")
    shares = pd.concat(
        measure_leakage(
            draw_split(cells, random, scheme="random", fraction="1.0", fold=fold).roles, evidence
        )
        for fold in range(5)
    )
    mean = shares.groupby("measure")["share"].mean()
    print(mean.round(4).to_string())
    assert mean["on_training_slide"] > 0.999
    assert mean["seen_with_training"] == pytest.approx(0.379, abs=0.001)
    assert mean["pixels_with_training"] == pytest.approx(0.432, abs=0.001)
    assert mean["slide_prevalence_auroc"] == pytest.approx(0.676, abs=0.006)


def test_as_many_cells_as_ccmct_has_take_seconds(shared):
    table = pd.read_csv(shared / "ccmct_per_slide.csv")
    counts = table[["laO", "mfO"]].sum(axis=1).to_numpy()
    slide = np.repeat(table["fn"].to_numpy(), counts)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 40_000, size=(2, len(slide)))  # crowded: a fifth lies on one slide
    cells = pd.DataFrame(
        {"id": np.arange(len(slide)), "slide": slide, "image": slide, "x": x, "y": y}
    )
    cells = cells.assign(label=rng.integers(0, 2, len(slide)))
    roles = rng.choice(["train", "test", "validation"], size=len(slide), p=[0.64, 0.2, 0.16])
    found = measured(cells, pd.DataFrame({"id": cells["id"], "role": roles}), side=224, margin=24)
    test, scores = (
        cells[roles == "test"],
        slide_scores(cells[roles == "train"], slide[roles == "test"]),
    )
    assert found.loc["slide_prevalence_auroc", "share"] == pytest.approx(
        roc_auc_score(test["label"], scores)
    )


def test_what_is_said_of_slides_is_empty_where_none_is_known():
    cells, split = hand(("a", 0, 1, "train"), ("b", 0, 0, "train"), ("c", 0, 1, "test"))
    evidence = gather_evidence(cells, windows_of(cells, 32, 4), NOTHING)
    found = measure_leakage(split, evidence, slides_known=False)
    empty = found[found["share"].isna()]
    assert set(empty["measure"]) == {"on_training_slide", "shared_slides", "slide_prevalence_auroc"}
    assert empty["cells"].isna().all()
    assert "slide" not in summary_line([found])
