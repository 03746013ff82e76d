import numpy as np
import pandas as pd
import pytest

from cryotome.evaluation.statistics.paired_scores import PairedScores
from cryotome.evaluation.statistics.row_ranks import COLUMNS, rank_rows_with_intervals
from cryotome.evaluation.statistics.rows import Rows

SETTING = ("d", "random", "1.0", "all")
CALIBRATION = pd.DataFrame(columns=["what", "folds", "tested", "effective_slides", "share"])


def rows_of(effects, *, slides=40, each=20, seed=0, draws=400):
    """Rows whose scores of positives lie higher by these effects, on the same cells."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(slides), each)
    label = rng.integers(0, 2, size=len(place))
    part = pd.DataFrame({"id": np.arange(len(place)), "slide": place.astype(str), "label": label})
    for name, effect in effects.items():
        shift = rng.normal(size=slides)[place] / 2
        part[name] = rng.normal(size=len(place)) + shift + effect * label
    scores = PairedScores([part], [0], dict.fromkeys(effects, 100.0), {"random"})
    return {SETTING: Rows(scores, draws=draws, calibration=CALIBRATION)}


def test_a_row_that_is_far_ahead_is_first_in_every_draw():
    table = rank_rows_with_intervals(rows_of({"weak": 0.1, "strong": 3.0, "middle": 1.2}), 0.05)
    assert list(table.columns) == COLUMNS
    assert table["row"].tolist() == ["strong", "middle", "weak"]
    assert table["first"].tolist() == [1, 0, 0]
    assert table[["rank", "rank_low", "rank_high"]].to_numpy().tolist() == [
        [n] * 3 for n in (1, 2, 3)
    ]
    assert table["group"].tolist() == ["a", "b", "c"]


def test_equal_rows_share_a_letter_and_the_first_place():
    table = rank_rows_with_intervals(rows_of({"one": 1.0, "other": 1.0, "none": 0.0}), 0.05)
    assert table["group"].tolist() == ["a", "a", "b"]
    assert table["rank_low"].tolist()[:2] == [1, 1] and table["rank_high"].tolist()[:2] == [2, 2]
    assert table["first"].sum() == pytest.approx(1)
    settings = rows_of({"one": 1.0})
    same = settings[SETTING].scores.parts[0]
    same["twin"] = same["one"]
    twins = rank_rows_with_intervals(settings, 0.05)
    assert twins["first"].tolist() == [0.5, 0.5] and twins["rank"].tolist() == [1.5, 1.5]


def test_few_slides_give_ranks_and_no_letters():
    table = rank_rows_with_intervals(rows_of({"one": 1.0, "other": 2.0}, slides=4), 0.05)
    assert table["group"].tolist() == ["", ""]
    assert "4 slides: no test can reach 0.05" in table["note"].iloc[0]


def test_rows_of_no_difference_are_told_apart_no_more_often_than_the_level_says():
    """80 studies of three rows that differ in nothing."""
    apart = 0
    for seed in range(80):
        settings = rows_of(dict.fromkeys("abc", 1.0), slides=30, each=10, seed=seed, draws=200)
        apart += rank_rows_with_intervals(settings, 0.05)["group"].nunique() > 1
    assert apart <= 9  # 5 % of 80 is 4; 10 or more happen once in 150
