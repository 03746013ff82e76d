"""All metrics of all rows, in which a reader chooses metric, dataset and scheme."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryotome.report.page.grids import Cell, Grid, is_number, number, span, split_columns
from cryotome.report.page.results import FileLink, StudyResults
from cryotome.report.page.sections import Section, cells_of, panel, place_of, row_cell, units
from cryotome.study.schemes import Scheme, strictest_scheme

METRICS = "metrics.csv"
TITLES = {
    "auroc": "AUROC",
    "balanced_accuracy": "Balanced accuracy",
    "average_precision": "Average precision",
    "f1_weighted": "F1, weighted",
    "sensitivity_at_specificity": "Sensitivity at 90 % specificity",
    "brier": "Brier score",
    "ece": "ECE",
}
SHOWN = ("auroc", "balanced_accuracy")  # until a reader chooses, and without JavaScript
LOWER = ("brier", "ece")  # less is better
DIGITS = 5  # of the numbers that a reader downloads


@dataclass(frozen=True)
class Choice:
    """What a reader chooses from, as JSON, and what is shown without JavaScript.

    Attributes
    ----------
    grids
        One per dataset, scheme and tested cells, with the metrics of `SHOWN`.
    data
        `titles` of metrics, which of them are `shown` and for which `lower` is better, `labels` of
        rows, and `blocks`: dataset, scheme, `lines` of a row and, per metric, value, low and high.
    """

    grids: list[Grid]
    data: dict[str, Any]
    source: FileLink

    @property
    def json(self) -> str:
        """The data for a script; no text of a table may end or begin one."""
        return json.dumps(self.data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def metrics(g: StudyResults) -> Section:
    """List every metric of every row, on its largest fraction, with intervals."""
    table, missing, title = g.table(METRICS), g.missing(METRICS), "All metrics"
    if table is None:
        return Section("metrics", title, missing=missing)
    blocks, grids = [], []
    for dataset, name, part in _ordered(table, g):
        wide = {
            str(row): {line["metric"]: line for line in of_row.to_dict("records")}
            for row, of_row in split_columns(part, "row")
        }
        wide = dict(sorted(wide.items(), key=lambda item: -_value(item[1].get(SHOWN[0]))))
        grids.append(_grid(wide, f"{panel(dataset, g)}, {name}", g))
        lines = [[row, *(_rounded(found.get(one)) for one in TITLES)]
                 for row, found in wide.items()]  # fmt: skip
        blocks.append({"dataset": panel(dataset, g), "scheme": name, "lines": lines})
    data = {"titles": TITLES, "shown": SHOWN, "lower": LOWER, "blocks": blocks}
    data["labels"] = {row: g.facts.labels.get(row, row) for row in table["row"].unique()}
    said = ["Trained on the largest share of each scheme. Choose what is shown; a click on a "
            "heading sorts. File and text are of the table as it stands.", *units(g)]  # fmt: skip
    choice = Choice(grids, data, g.source(METRICS))
    return Section("metrics", title, said, choice=choice)


def _ordered(table: pd.DataFrame, g: StudyResults) -> list[Any]:
    """Return dataset, name of the block and its lines; of a dataset the strictest scheme first."""
    found = []
    for (dataset, scheme, tested), part in split_columns(table, "dataset", "scheme", "tested"):
        schemes = table.loc[table["dataset"] == dataset, "scheme"].unique()
        pooled = sorted(name for name in schemes if Scheme.parse(name).is_pooled)
        first = bool(pooled) and (scheme, tested) == (strictest_scheme(pooled)[0], "all")
        place = place_of({"dataset": dataset, "scheme": scheme, "tested": tested}, g)
        name = f"{cells_of(dataset, scheme, g)}, tested: {place}"
        order = list(g.facts.datasets).index(dataset) if dataset in g.facts.datasets else -1
        found.append(((order, not first), dataset, name, part))
    return [one[1:] for one in sorted(found, key=lambda one: one[0])]


def _value(line: dict[Any, Any] | None) -> float:
    return line["value"] if line and is_number(line["value"]) else -1.0


def _rounded(line: dict[Any, Any] | None) -> list[float | None]:
    values: list[Any] = [(line or {}).get(name) for name in ("value", "low", "high")]
    return [round(value, DIGITS) if is_number(value) else None for value in values]


def _grid(wide: dict[str, dict[str, dict[Any, Any]]], name: str, g: StudyResults) -> Grid:
    heads = ["Row", *(head for one in SHOWN for head in (TITLES[one], f"{TITLES[one]}: 95 %"))]
    lines: list[list[Cell]] = []
    for row, found in wide.items():
        shown: list[dict[Any, Any]] = [found.get(one, {}) for one in SHOWN]
        cells = ((number(one.get("value")), span(one.get("low"), one.get("high")))
                 for one in shown)  # fmt: skip
        lines.append([row_cell(row, g), *(cell for pair in cells for cell in pair)])
    return Grid(name, heads, lines, g.source(METRICS))
