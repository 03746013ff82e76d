from dataclasses import replace

import numpy as np
import pytest
from chart_specs import marked, panels, rows_of, title_of, words
from tests.evaluation.clinical.test_row_summary import FACTS as ORDERED
from tests.evaluation.clinical.test_row_summary import make, read

from cryotome.evaluation.clinical.row_summary import summarise_rows
from cryotome.report.figures.clinical import draw_bland_altman, draw_reliability

FACTS = replace(
    ORDERED,
    labels={"m + good": "Model + good head", "m + poor": "Model + poor head"},
    datasets={"d": "Dataset: mitotic figure against look-alike"},
    domains={"d": {"a": "lung", "b": "skin"}},
    schemes={
        "from_a": "one training domain", "from_b": "one training domain", "random": "random cells",
        "except_a": "all domains but one", "slide_grouped": "whole slides",
    },
    figure2=["m + poor"],
)  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("charts")
    _, predictions = make(folder)
    return summarise_rows({"d": read(folder, {"a": 2.0, "b": 2.0})}, predictions, FACTS)


def test_every_row_has_its_reliability_diagram_in_and_out_of_domain(tables):
    figure = draw_reliability(tables, replace(FACTS, notice="synthetic tissue"))
    said = words(figure)
    titles = [" ".join(title_of(panel)).strip() for panel in panels(figure)]
    assert titles == list(FACTS.labels.values())
    assert "one training domain, in domain" in said and "one training domain, out of domain" in said
    assert "random cells" not in said  # the table has them
    assert "SYNTHETIC TISSUE" in said
    line = tables["calibration"].query("scheme == 'from_*' and head == 'poor' and where == 'out'")
    assert f"{line['brier'].iloc[0]:.3f} · {line['ece'].iloc[0]:.3f}" in said


def test_a_row_whose_scores_are_all_equal_is_marked(tables):
    noted = tables["calibration"].assign(note="all scores are equal in 1 of 2 folds")
    said = words(draw_reliability(tables | {"calibration": noted}, FACTS))
    assert "*: all scores of a fold are equal" in said


def test_seventeen_rows_stand_in_three_lines(tables):
    labels = FACTS.labels | {f"m{k} + linear_probe": f"Model {k} + linear_probe" for k in range(15)}
    figure = draw_reliability(tables, replace(FACTS, labels=labels))
    (grid,) = figure["concat"][0]["concat"]
    assert len(panels(figure)) == len(grid["concat"]) == 17 and grid["columns"] == 6


def test_bland_altman_plots_show_a_point_a_region_and_print_bias_and_limits(tables):
    figure = draw_bland_altman(tables, FACTS)
    shown = panels(figure)
    assert len(shown) == 2 + 2 + 1  # whole slides and from_* in two domains, except_a in one
    assert {"".join(title_of(panel)[:-1]) for panel in shown} == {"lung", "skin"}
    for panel in shown:
        points = rows_of(figure, marked(panel, "point")[0])
        assert title_of(panel)[-1].endswith(f"n = {len(points)}")
    found = (
        tables["agreement"].query("head == 'poor' and scheme == 'from_*' and domain == 'a'").iloc[0]
    )
    title = next(t for t in map(title_of, shown) if f"{found['bias']:+.2f}" in t[-1])[-1]
    assert f"{found['upper']:+.2f}), n = 12" in title
    rules = [[layer["encoding"]["y"]["field"], layer["mark"].get("strokeDash")]
             for layer in marked(shown[0], "rule")]  # fmt: skip
    assert ["bias", [1, 0]] in rules and ["upper", [5, 3]] in rules and ["lower_low", None] in rules
    said = words(figure)
    assert "Model + poor head" in said.replace("\n", " ") and "Model + good head" not in said
    assert "counted − annotated, per mm²" in said


def test_the_points_are_differences_against_means_over_folds(tables):
    figure = draw_bland_altman(tables, FACTS)
    counts = tables["counts"].query("head == 'poor' and scheme == 'except_a'")
    mean = counts.groupby("image", observed=True)[["counted", "annotated"]].mean() / 2
    expected = {(round((c + a) / 2, 9), round(c - a, 9)) for c, a in mean.to_numpy()}
    drawn = [rows_of(figure, marked(panel, "point")[0]) for panel in panels(figure)]
    drawn = [points[["middle", "gap"]].to_numpy() for points in drawn]
    assert any({tuple(np.round(xy, 9)) for xy in points} == expected for points in drawn)


def test_a_study_that_tests_no_region_whole_says_so(tables):
    empty = {name: table.iloc[:0] for name, table in tables.items()}
    assert "No scheme of this study tests a region whole" in words(draw_bland_altman(empty, FACTS))
