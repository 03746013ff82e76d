import numpy as np
import pandas as pd
import pytest
from atlas_by_hand import SCORES, by_hand
from PIL import Image
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score

from cryotome.core.charts import save_chart
from cryotome.report.atlas.agreement import draw_agreement, pairwise_agreement
from cryotome.report.atlas.errors import Atlas


def test_the_pairs_of_three_rows_by_hand():
    table = pairwise_agreement(by_hand()).set_index(["row", "other"])
    counts = ["both_right", "only_row", "only_other", "both_wrong"]
    assert table[counts].T.to_dict("list") == {
        ("a + h", "b + h"): [2, 1, 3, 0],
        ("a + h", "c + h"): [1, 2, 2, 1],
        ("b + h", "c + h"): [3, 2, 0, 1],
    }
    assert table["kappa"].round(6).tolist() == [-0.2, 0, 0]
    assert table["spearman"].round(6).fillna(9).tolist() == [-0.428571, 9, 9]  # c is constant


def test_cells_that_one_row_lacks_do_not_count_for_its_pairs():
    scores = SCORES | {"b + h": [0.1, 0.2, np.nan, 0.9, np.nan, 0.4]}
    table = pairwise_agreement(by_hand(scores)).set_index(["row", "other"])
    counts = ["both_right", "only_row", "only_other", "both_wrong"]
    assert table.loc[("a + h", "b + h"), counts].tolist() == [1, 1, 2, 0]
    assert table.loc[("a + h", "c + h"), counts].tolist() == [1, 2, 2, 1]


def test_45_rows_of_40000_cells_agree_with_two_libraries():
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=40_000)
    scores = pd.DataFrame({f"m{n} + h": rng.random(40_000) + label / 3 for n in range(45)}) / 2
    atlas = by_hand()
    cells = pd.DataFrame({"label": label})
    large = Atlas("d", cells, scores, atlas.card, {}, cells, "random", "1.0", 1)
    table = pairwise_agreement(large)
    assert len(table) == 45 * 44 / 2
    line = table[(table["row"] == "m3 + h") & (table["other"] == "m17 + h")].iloc[0]
    one, other = scores["m3 + h"], scores["m17 + h"]
    assert line["kappa"] == pytest.approx(cohen_kappa_score(one > 0.5, other > 0.5))
    assert line["spearman"] == pytest.approx(spearmanr(one, other).statistic)


def test_the_matrix_has_kappa_above_and_spearman_below_the_diagonal():
    atlas = by_hand(synthetic="synthetic demo cohort")
    figure = draw_agreement(pairwise_agreement(atlas), atlas)
    (squares,) = figure["datasets"].values()
    value = {(one["row"], one["other"]): one["value"] for one in squares}
    a, b, _ = (atlas.labels[row] for row in atlas.rows)
    assert value[a, b] == pytest.approx(-0.2)
    assert value[b, a] == pytest.approx(-0.428571, abs=1e-6)
    assert value[b, b] is None
    assert figure["title"]["text"] == "SYNTHETIC DEMO COHORT"


def test_a_study_of_one_row_has_a_picture_too(tmp_path):
    atlas = by_hand({"a + h": SCORES["a + h"]})
    pairs = pairwise_agreement(atlas)
    assert pairs.empty
    for name in ("a.png", "b.png"):
        save_chart(draw_agreement(pairs, atlas), tmp_path / name)
    assert Image.open(tmp_path / "a.png").size[0] > 300
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
