import math

import pandas as pd
import pytest

from cryotome.report.page.grids import (
    Grid,
    as_text,
    missing_cell,
    number,
    p_value,
    span,
    split_columns,
    verdict,
    words,
)
from cryotome.report.page.results import FileLink

SOURCE = FileLink("table2.csv", "table2", "../../studies/s/table2.csv")


def test_a_number_links_to_its_file_and_names_its_rule():
    cell = number(0.91234, SOURCE, sd=0.0521)
    assert (cell.text, cell.value) == ("0.912 ± 0.052", 0.91234)
    assert (cell.href, cell.rule) == ("../../studies/s/table2.csv", "table2")
    assert number(1234567, digits=0).text == "1,234,567"


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "0.5", True])
def test_what_is_no_number_is_an_empty_cell(value):
    assert number(value, SOURCE).text == ""
    assert number(value, SOURCE).value is None
    assert span(value, 1.0).text == ""
    assert p_value(value).text == ""


def test_verdicts_have_a_sign_that_needs_no_colour():
    signs = [verdict(said).text for said in ("agrees", "differs", "not comparable", math.nan)]
    assert signs == ["✓ agrees", "≠ differs", "– not comparable", ""]


def test_what_is_missing_says_why_and_the_command():
    cell = missing_cell("embed: no token", "snakemake --cores 8 results/x.csv")
    assert cell.text == "missing"
    assert cell.why == "embed: no token. snakemake --cores 8 results/x.csv"


def test_columns_in_which_nothing_stands_are_left_out():
    lines = [[words("a"), words(None), number(1.0)], [words("b"), words(""), number(2.0)]]
    grid = Grid("", ["Row", "Published", "Measured"], lines)
    assert grid.columns == ["Row", "Measured"]
    assert [[cell.text for cell in line] for line in grid.lines] == [["a", "1.000"], ["b", "2.000"]]


def test_the_table_behind_a_figure_keeps_every_number():
    table = pd.DataFrame({"row": ["a", "b"], "n_cells": [12, 1500], "mean": [0.5, 0.8125]})
    grid = as_text(table, "x", SOURCE)
    assert grid.columns == ["row", "n cells", "mean"]
    assert [cell.value for cell in grid.lines[1]] == ["b", 1500.0, 0.8125]
    assert grid.lines[1][1].text == "1,500"


def test_parts_come_in_the_order_of_the_table():
    table = pd.DataFrame({"a": ["y", "x", "y"], "b": [1, 2, 3]})
    assert [(name, part["b"].tolist()) for name, part in split_columns(table, "a")] == [
        ("y", [1, 3]),
        ("x", [2]),
    ]
    assert [name for name, _ in split_columns(table, "a", "b")] == [("y", 1), ("x", 2), ("y", 3)]
