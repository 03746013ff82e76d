"""The page's part on recalibration: a temperature, or slope and intercept, on labelled cells."""

from typing import Any

import pandas as pd

from cryotome.evaluation.clinical.recalibrated import BEFORE, BY_MODEL
from cryotome.report.figures.recalibration import (
    BLOCK,
    WORDS,
    fitted_labels,
    fitted_on,
    recalibration_panel,
)
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import (
    Cell,
    Grid,
    as_text,
    number,
    span,
    split_columns,
    text_of,
    words,
)
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, named, panel, row_cell, units

NAMES = {"brier": "Brier score", "log_loss": "log loss", "ece": "calibration error, all models",
         BY_MODEL: "calibration error of a model"}  # fmt: skip
SAID = (
    "Scores as probabilities, before and after a map was fitted on validation cells, or on "
    "labelled cells of the target, which are not tested. Labelled cells: of training, validation "
    "and target. Floor: what perfect calibration would show on as many cells."
)


def recalibration(g: StudyResults) -> Section:
    """Draw calibration against labels, and list what recalibration changes."""
    table, title = g.table("recalibration.csv"), "Probabilities after recalibration"
    missing = g.missing("recalibration.csv", "recalibration_orders.csv")
    if table is None:
        return Section("recalibration", title, missing=missing)
    table = named(table, g)
    grids = [_changes(table, g), *_orders(g)]
    return Section("recalibration", title, [SAID, *units(g)], grids, _pictures(table, g), missing)


def _block(line: Any, g: StudyResults) -> str:
    dataset, scheme, where = (str(line[name]) for name in BLOCK)
    return panel(dataset, g, cells_of(dataset, scheme, g), PLACES[where])


def _method(line: Any) -> str:
    how = WORDS[line["method"]]
    return how if line["method"] == BEFORE[0] else f"{how}, {fitted_on(line['labels_spent'])}"


def _pictures(table: pd.DataFrame, g: StudyResults) -> list[Picture]:
    """Draw the calibration error of each method, and AUROC, over labels."""
    source = g.source("recalibration.csv")
    pictures: list[Picture] = []
    known = table["labels_spent"].isin([0, *fitted_labels(table)])  # the others are in the file
    shown = table[table["measure"].isin([BY_MODEL, "auroc"]) & known]
    for _, part in split_columns(shown, *BLOCK, "measure", "method", "labels_spent"):
        first = part.iloc[0]
        what = NAMES.get(first["measure"], "AUROC")
        name = f"{_block(first, g)}, {what}, {_method(first)}"
        tip = tips(Row="row", Labels="labels:,.0f", Value="value:.3f", From="low:.3f",
                   To="high:.3f", Floor="floor:.3f", Note="note")  # fmt: skip
        spec = with_theme(recalibration_panel(part, g.facts.styles, title=what), tip=tip)
        behind = as_text(part[["row", "labels", "value", "low", "high", "floor"]], name, source)
        said = f"{what} against labelled cells: {name}, {part['key'].nunique()} rows."
        pictures.append(Picture(f"recalibration-{len(pictures)}", name, spec, said, behind))
    return pictures


def _changes(table: pd.DataFrame, g: StudyResults) -> Grid:
    """List what every method changes at the largest fraction."""
    source = g.source("recalibration.csv")
    top = table[(table["fraction"] == table["fraction"].max()) & table["measure"].isin(NAMES)]
    lines = [
        [row_cell(line["key"], g), words(_block(line, g)), words(_method(line)),
         words(NAMES[line["measure"]]), number(line["value"], source),
         span(line["low"], line["high"], source), number(line["floor"], source),
         number(line["change"], source), span(line["change_low"], line["change_high"], source),
         number(line["labels"], source, digits=0), words(text_of(line["note"]))]
        for line in top.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Tested", "Method", "Measure", "Value", "95 % interval", "Floor", "Change"]
    heads += ["Change: 95 % interval", "Labelled cells", "Note"]
    return Grid("Before and after, largest fraction", heads, lines, source, folded=True)


def _orders(g: StudyResults) -> list[Grid]:
    """List how the order of rows by calibration fits that by AUROC."""
    table, source = g.table("recalibration_orders.csv"), g.source("recalibration_orders.csv")
    if table is None:
        return []
    shown = table[table["measure"].isin([BY_MODEL, "brier"])]
    lines: list[list[Cell]] = [
        [words(_block(line, g)), words(_method(line)), words(NAMES[line["measure"]]),
         number(100 * line["fraction"], source, text=f"{100 * line['fraction']:g} %"),
         number(line["rho"], source, digits=2), span(line["low"], line["high"], source, digits=2),
         number(line["rows"], source, digits=0)]
        for line in shown.to_dict("records")
    ]  # fmt: skip
    heads = ["Tested", "Method", "Measure", "Share", "Rank correlation with AUROC"]
    return [Grid("Does the order by calibration fit the order by AUROC?",
                 [*heads, "95 % interval", "Rows"], lines, source, folded=True)]  # fmt: skip
