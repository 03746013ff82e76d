from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from chart_specs import layers, marked, panels, rows_of, words
from some_facts import some
from tests.evaluation.statistics.test_comparisons import curve
from tests.evaluation.test_leakage_ladder import made
from tests.evaluation.test_ranks import MULTI_HEAD, TURNED, measured

from cryotome.evaluation.ranks import mean_ranks, rank_models, values_by_block
from cryotome.evaluation.statistics.comparisons import intervals
from cryotome.evaluation.statistics.learning_curves import crossings, learning_curves
from cryotome.report.figures.statistics import (
    dodge_labels,
    draw_ladder,
    draw_learning,
    draw_orders,
    draw_ranks,
)
from cryotome.study.facts import RowFacts
from cryotome.study.styles import model_styles

ROWS = ["good", "alike", "bad", "worse"]
NAMED = [*ROWS, "fair", "row", "uni", "phikon"]
FACTS = some(
    RowFacts,
    labels={row: row.upper() for row in [*ROWS, "fair", "row"]},
    datasets={"d": "Dataset"},
    schemes={"random": "random cells"},
    models={"uni": "UNI", "phikon": "Phikon"},
    heads={"linear_probe": "linear probe", "ridge": "ridge probe"},
    styles=model_styles(NAMED, {}),
)


def test_learning_curves_show_each_row_and_where_the_reference_equals_it():
    blocks = curve([0.001, 0.01, 0.1, 1.0])
    table = intervals(blocks, 0.05).assign(fraction=lambda t: t["fraction"].astype(float))
    figure = draw_learning(table, learning_curves(blocks), crossings(blocks, "good"), FACTS)
    said = words(figure)
    assert all(row.upper() in said for row in ROWS)
    (panel,) = panels(figure)
    cross = next(layer for layer in marked(panel, "point") if layer["mark"].get("stroke"))
    assert 1 <= len(rows_of(figure, cross)) <= 3


def test_orders_print_the_rank_of_every_model():
    table = rank_models(TURNED, pd.DataFrame(columns=["dataset", "model", "head"]), MULTI_HEAD)
    figure = draw_orders(table, replace(FACTS, notice="synthetic tissue"))
    assert len(panels(figure)) == 2
    shown = rows_of(figure, marked(panels(figure)[0], "text")[0])
    assert sorted(shown["rank"]) == [1, 1, 2, 2]
    assert "SYNTHETIC TISSUE" in words(figure)


def test_ranks_of_models_that_score_alike_do_not_overlap():
    table = rank_models(TURNED, pd.DataFrame(columns=["dataset", "model", "head"]), MULTI_HEAD)
    part = table.assign(auroc=0.8)
    figure = draw_orders(part, FACTS)
    texts = rows_of(figure, marked(panels(figure)[0], "text")[0])
    first = texts.loc[texts["first"], "height"].tolist()
    assert len(set(first)) == len(first) == 2
    assert dodge_labels(np.array([1.0, 1.0, 1.0]), 1.0).tolist() == [0.0, 1.0, 2.0]
    assert dodge_labels(np.array([0.0, 3.0]), 1.0).tolist() == [0.0, 3.0]


@pytest.mark.parametrize(("domains", "drawn"), [(5, True), (4, False)])
def test_a_critical_difference_needs_five_domains(domains, drawn):
    table = measured(domains)
    values = {tested: values_by_block(table, tested) for tested in ("in", "out")}
    figure = draw_ranks(mean_ranks(table, ["good", "fair", "bad"]), values, FACTS)
    assert ("a critical difference needs 5" in words(figure)) is not drawn
    assert "FAIR" in words(figure)
    bars = [
        layer
        for panel in panels(figure)
        for layer in layers(panel)
        if layer["mark"]["type"] == "rule"
    ]
    assert bool(bars) is drawn


def test_the_ladder_shows_every_rung_and_its_cells():
    figure = draw_ladder(made(), FACTS)
    said = words(figure)
    assert all(name in said for name in ("apart", "slides", "domains", "500 cells"))
    points = rows_of(figure, marked(panels(figure)[0], "point")[0])
    line = points[points["key"] == points["key"].iloc[0]]
    assert np.diff(line["auroc"])[1] < -0.1
