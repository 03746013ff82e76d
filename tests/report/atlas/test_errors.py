import json

import numpy as np
import pandas as pd
import pytest
from atlas_by_hand import CARD, by_hand, voted, windows
from conftest import CONFIG, windows_of

from cryotome.core.cards import load_card
from cryotome.core.errors import StoreError
from cryotome.data.cells import read_cells
from cryotome.learners.predictions import write_predictions
from cryotome.report.atlas.errors import (
    contains_mitosis,
    disagreement,
    find_errors,
    load_scores,
    most_confident_errors,
    read_atlas,
)

DOMAIN = pd.Series(["left", "left", "right", "right"])


def predicted(folder, scheme, model, fold, scores, role="test"):
    """Write a file of predictions as a learner does, of the cells whose scores are given."""
    end = f"fraction=1.0/fold={fold}.csv"
    split = folder / "splits" / "d" / scheme / end
    split.parent.mkdir(parents=True, exist_ok=True)
    if not split.exists():
        split.write_text("id,role\n", encoding="utf-8")
        split.with_suffix(".json").write_text(json.dumps({"drawn": {}}), encoding="utf-8")
    path = folder / "predictions" / "d" / scheme / "view=v" / f"model={model}" / "head=h" / end
    roles = pd.DataFrame({"id": list(scores), "role": role})
    values = np.array(list(scores.values()))
    cells = roles.assign(label=0)
    write_predictions(path, cells, values, split=split, notes={"cells_sha256": "of"})
    return path


def test_a_cell_of_several_folds_has_its_mean_score(tmp_path):
    paths = [
        predicted(tmp_path, "random", "a", 0, {0: 0.2, 1: 0.4}),
        predicted(tmp_path, "random", "a", 1, {1: 0.8, 3: 1.0}),
        predicted(tmp_path, "random", "b", 0, {0: 0.5, 1: 0.5}),
        predicted(tmp_path, "random", "b", 1, {1: 0.6, 3: 0.7}),
    ]
    scores, folds = load_scores(paths, DOMAIN, "of")
    assert scores.round(12).to_dict("list") == {"a + h": [0.2, 0.6, 1.0], "b + h": [0.5, 0.55, 0.7]}
    assert folds.to_dict() == {0: 1, 1: 2, 3: 1}  # cell 2 is tested nowhere


def test_validation_is_no_test(tmp_path):
    paths = [predicted(tmp_path, "random", "a", 0, {0: 0.2}, role="validation")]
    with pytest.raises(StoreError, match=r"None of 1 files of predictions tests a cell, first .*h"):
        load_scores(paths, DOMAIN, "of")


def test_what_trained_on_a_domain_is_judged_on_the_others(tmp_path):
    every = {0: 0.1, 2: 0.2, 3: 0.3}
    paths = [
        predicted(tmp_path, "from_left", "a", 0, every),
        predicted(tmp_path, "from_right", "a", 0, {0: 0.9, 1: 0.8, 2: 0.7}),
    ]
    scores, folds = load_scores(paths, DOMAIN, "of")
    assert scores["a + h"].to_dict() == {0: 0.9, 1: 0.8, 2: 0.2, 3: 0.3}
    assert set(folds) == {1}


def test_rows_may_be_absent_and_cells_that_a_row_lacks_are_no_errors(tmp_path):
    paths = [
        predicted(tmp_path, "random", "a", 0, {0: 0.9, 1: 0.4}),
        predicted(tmp_path, "random", "b", 0, {1: 0.6}),
    ]
    cells = pd.DataFrame(
        {"id": [0, 1, 2], "image": "1.tiff", "slide": "1.tiff", "x": 0.0, "y": 0.0,
         "domain": "left", "label": 0}
    )  # fmt: skip
    labels = {name: name for name in ("gone + h", "b + h", "a + h")}
    atlas = read_atlas(cells, windows_of(cells), paths, CARD, labels, "of")
    assert atlas.rows == ["b + h", "a + h"]  # in table order
    assert atlas.cells.index.tolist() == [0, 1]
    assert atlas.errors.to_numpy().tolist() == [[0, 1], [1, 0]]
    assert atlas.disagreement.round(12).tolist()[1] == 0.1
    assert np.isnan(atlas.disagreement[0])
    assert (atlas.scheme, atlas.fraction, atlas.trainings) == ("random", "1.0", 1)


def test_votes_of_three_folds_that_tie_in_the_mean_tie(tmp_path):
    """11, 18 and 1 of 20 are half, and their floating-point mean is more."""
    votes = [0.55, 0.9, 0.05]
    paths = [predicted(tmp_path, "random", "a", fold, {0: vote}) for fold, vote in enumerate(votes)]
    scores, _ = load_scores(paths, DOMAIN, "of")
    assert find_errors(scores, pd.Series([0]))["a + h"].tolist() == [0]


def test_predictions_of_other_cells_are_refused(tmp_path):
    paths = [predicted(tmp_path, "random", "a", 0, {0: 0.2})]
    with pytest.raises(StoreError, match="was made from other cells. Delete it and rerun"):
        load_scores(paths, DOMAIN, "others")


def test_errors_of_six_cells_and_three_rows():
    atlas = by_hand()
    assert atlas.errors.to_dict("list") == {
        "a + h": [1, 0, 1, -1, 0, 0],
        "b + h": [0, 0, 0, 0, 0, -1],
        "c + h": [0, 0, 0, -1, -1, -1],  # 0.5 ties, and is called the first class
    }
    one = atlas.scores["a + h"], atlas.errors["a + h"]
    assert most_confident_errors(*one, 1, 6) == [0, 2]
    assert most_confident_errors(*one, 1, 1) == [0]
    assert most_confident_errors(*one, -1, 6) == [3]
    assert most_confident_errors(atlas.scores["c + h"], atlas.errors["c + h"], -1, 2) == [3, 4]


def test_disagreement_is_the_sd_over_rows():
    found = by_hand().disagreement.round(6).tolist()
    assert found == [0.326599, 0.141421, 0.124722, 0.326599, 0.141421, 0.124722]
    halves = pd.DataFrame([[0.0, 1.0, 0.0, 1.0], [0.3, 0.3, 0.3, 0.3]])
    assert disagreement(halves).tolist() == [0.5, 0.0]


def test_a_row_without_a_score_does_not_err():
    scores = pd.DataFrame({"a": [np.nan, 0.9]})
    assert find_errors(scores, pd.Series([1, 0]))["a"].tolist() == [0, 1]


def test_the_table_says_what_each_score_is_the_mean_of():
    atlas = by_hand()
    assert atlas.score_description == (
        "score of mitotic figure: mean over 1 to 2 of 2 test folds; scheme slide_grouped, "
        "training fraction 1.0"
    )
    line = atlas.table().iloc[1].to_dict()
    assert line == {
        "id": 1, "slide": "1.tiff", "image": "1.tiff", "x": 110.5, "y": 100.0, "domain": "left",
        "scanner": "", "label": 0, "holds_figure": True, "disagreement": 0.141421,
        "scheme": "slide_grouped", "fraction": "1.0", "folds": 2,
        "score a + h": 0.2, "score b + h": 0.2, "score c + h": 0.5,
    }  # fmt: skip


def test_a_window_that_holds_the_centre_of_a_figure_is_flagged():
    """Windows of 32 px: left edge at the centre's -16, right edge not included."""
    cells = pd.DataFrame(
        [(0, "1", 100, 0), (1, "1", 116, 1), (2, "1", 132, 0), (3, "1", 133, 0), (4, "2", 116, 0)],
        columns=["id", "image", "x", "label"],
    ).assign(y=50.0)
    found = contains_mitosis(cells, windows_of(cells, 32, 4))
    # 0 ends before 116; 2 begins at 116; 3 begins behind it; 4 lies in another image
    assert found.tolist() == [False, False, True, False, False]
    assert contains_mitosis(cells, windows_of(cells, 34, 4)).tolist() == [
        True,
        False,
        True,
        True,
        False,
    ]


def test_six_in_a_hundred_look_alikes_of_midog_hold_a_figure(shared):
    """658 within less than 112 px along both axes; ten more by the window's whole corner, and 2."""
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / "midogpp/MIDOG++.json", shared, card, "midog2022")
    found = contains_mitosis(cells, windows_of(cells))
    assert found.sum() == 670
    assert (cells["label"] == 0).sum() == 11051
    assert not found[cells["label"] == 1].any()


def test_cells_whose_window_is_not_known_hold_nothing():
    atlas = by_hand()
    cells = atlas.cells.reset_index()
    unknown = windows(atlas).assign(left=np.nan, top=np.nan)
    assert not contains_mitosis(cells, unknown).any()


def test_raters_who_contradict_the_label_are_counted_where_there_are_raters():
    plain, table = by_hand().table(), voted().table().set_index("id")
    assert "raters" not in plain and [*voted().table()] == [
        *[c for c in plain if not c.startswith("score ")], "raters", "raters_against",
        *[c for c in plain if c.startswith("score ")],
    ]  # fmt: skip
    assert (table["raters"] == 3).all()
    assert table["raters_against"].tolist() == [1, 0, 0, 1, 0, 0]
