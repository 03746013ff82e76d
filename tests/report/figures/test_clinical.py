import matplotlib.pyplot as plt
import numpy as np
import pytest
from tests.evaluation.clinical.test_row_summary import ABOUT as ORDERED
from tests.evaluation.clinical.test_row_summary import make, read
from tests.report.figures.test_statistics import words

from cryotome.evaluation.clinical.row_summary import summarise_rows
from cryotome.report.figures.clinical import draw_bland_altman, draw_reliability

ABOUT = ORDERED | {
    "labels": {"m + good": "Model + good head", "m + poor": "Model + poor head"},
    "datasets": {"d": "Dataset: mitotic figure against look-alike"},
    "domains": {"d": {"a": "lung", "b": "skin"}},
    "schemes": {
        "from_a": "one training domain", "from_b": "one training domain", "random": "random cells",
        "except_a": "all domains but one", "slide_grouped": "whole slides",
    },
    "figure2": [["m", "poor"]],
    "notice": "",
}  # fmt: skip


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charts")
    _, predictions = make(folder)
    return summarise_rows({"d": read(folder, {"a": 2.0, "b": 2.0})}, predictions, ABOUT)


def panels(figure) -> list:
    return [axis for axis in figure.axes if axis.axison]


def test_every_row_has_its_reliability_diagram_in_and_out_of_domain(tables):
    figure = draw_reliability(tables, ABOUT | {"notice": "synthetic tissue"})
    said = words(figure)
    assert [axis.get_title() for axis in panels(figure)] == list(ABOUT["labels"].values())
    assert "one training domain, in domain" in said and "one training domain, out of domain" in said
    assert "random cells" not in said  # the table has them
    assert "SYNTHETIC TISSUE" in said
    line = tables["calibration"].query("scheme == 'from_*' and head == 'poor' and where == 'out'")
    assert f"{line['brier'].iloc[0]:.3f} · {line['ece'].iloc[0]:.3f}" in said


def test_a_row_whose_scores_are_all_equal_is_marked(tables):
    noted = tables["calibration"].assign(note="all scores are equal in 1 of 2 folds")
    said = words(draw_reliability(tables | {"calibration": noted}, ABOUT))
    assert "*: all scores of a fold are equal" in said


def test_seventeen_rows_stand_in_three_lines(tables):
    labels = ABOUT["labels"] | {
        f"m{k} + linear_probe": f"Model {k} + linear_probe" for k in range(15)
    }
    figure = draw_reliability(tables, ABOUT | {"labels": labels})
    lines = {axis.get_subplotspec().rowspan.start for axis in figure.axes}
    assert len(panels(figure)) == 17 and len(lines) == 3


def test_bland_altman_plots_show_a_point_a_region_and_print_bias_and_limits(tables):
    figure = draw_bland_altman(tables, ABOUT)
    shown = panels(figure)
    assert len(shown) == 2 + 2 + 1  # whole slides and from_* in two domains, except_a in one
    points = {
        axis.get_title().split("\n")[0]: len(axis.collections[0].get_offsets()) for axis in shown
    }
    assert set(points) == {"lung", "skin"}
    found = (
        tables["agreement"].query("head == 'poor' and scheme == 'from_*' and domain == 'a'").iloc[0]
    )
    title = next(t for t in (axis.get_title() for axis in shown) if f"{found['bias']:+.2f}" in t)
    assert f"{found['upper']:+.2f}), n = 12" in title
    said = words(figure)
    assert "Model + poor head" in said.replace("\n", " ") and "Model + good head" not in said
    assert "counted − annotated, per mm²" in said


def test_the_points_are_differences_against_means_over_folds(tables):
    figure = draw_bland_altman(tables, ABOUT)
    counts = tables["counts"].query("head == 'poor' and scheme == 'except_a'")
    mean = counts.groupby("image", observed=True)[["counted", "annotated"]].mean() / 2
    expected = {(round((c + a) / 2, 9), round(c - a, 9)) for c, a in mean.to_numpy()}
    drawn = [axis.collections[0].get_offsets().data for axis in panels(figure)]
    assert any({tuple(np.round(xy, 9)) for xy in points} == expected for points in drawn)


def test_a_study_that_tests_no_region_whole_says_so(tables):
    empty = {name: table.iloc[:0] for name, table in tables.items()}
    assert "No scheme of this study tests a region whole" in words(draw_bland_altman(empty, ABOUT))
