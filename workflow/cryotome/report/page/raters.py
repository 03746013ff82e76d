"""The page's part on raters: rows beside the raters whose votes made the labels."""

from typing import Any

import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.raters import AGAINST_LABEL, AS_GOOD, CEILING, MAJORITY, MEAN
from cryotome.evaluation.statistics.rows import SETTING
from cryotome.report.figures.raters import disputed_panel, kappa_panel, with_raters
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import Cell, Grid, number, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, panel, row_cell, units

LABELLED = ["unanimous", "disputed", "all"]
Key = tuple[str, str, str]  # measure, cells, against


def raters(g: StudyResults) -> Section:
    """Draw and list how rows agree with raters, and where raters do not agree."""
    table, missing = g.table("raters.csv"), g.missing("raters.csv")
    title = "Rows and raters"
    if table is None:
        return Section("raters", title, missing=missing)
    pictures: list[Picture] = []
    said = [_explained(g)]
    for (dataset, scheme, _, tested), part in split_columns(
        with_raters(table, g.facts.labels), *SETTING
    ):
        where = [cells_of(str(dataset), str(scheme), g)]
        where += [PLACES[str(tested)]] * (tested != "all")
        name, place = panel(str(dataset), g, *where), len(pictures) // 2
        pictures.append(_agreement(part, name, place, g))
        pictures.append(_apart(part, name, place, g))
        said.append(f"{name}: {_ceilings(part)}")
    return Section("raters", title, [*said, *units(g)], [], pictures, missing)


def _explained(g: StudyResults) -> str:
    return (
        "Labels are the majority of raters who do not always agree. A row and a rater are held "
        f"against the majority of the other raters, none of them themselves: {AS_GOOD}. "
        f"Intervals: 95 %, {g.facts.as_unit}."
    )


def _ceilings(part: pd.DataFrame) -> str:
    """Say what a model may reach at most, and by which assumption."""
    best: Any = part[part["who"] == CEILING].set_index("measure")
    names = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy", "kappa": "kappa"}
    values = [
        f"{name} {best.loc[key, 'value']:.3f} ({best.loc[key, 'low']:.3f} to "
        f"{best.loc[key, 'high']:.3f})"
        for key, name in names.items()
    ]
    return (
        f"a model may reach at most {', '.join(values[:2])} against labels and {values[2]} with "
        f"one rater, {best['note'].iloc[0]}."
    )


def _lines(part: pd.DataFrame, keys: list[Key], g: StudyResults) -> list[list[Cell]]:
    """Return a line for every row and rater: its values by measure, cells and against."""
    source, lines = g.source("raters.csv"), []
    for key, own in part[part["who"] != CEILING].groupby("key", sort=False):
        found: Any = own.set_index(["measure", "cells", "against"])
        line = [row_cell(str(key), g) if str(key) in g.facts.labels else words(own["row"].iloc[0])]
        for place in keys:
            value: Card = found.loc[place].to_dict() if place in found.index else {}
            line += [number(value.get("value"), source),
                     span(value.get("low"), value.get("high"), source)]  # fmt: skip
        lines.append([*line, words(text_of(own["note"].iloc[0]))])
    return lines


def _grid(part: pd.DataFrame, name: str, columns: dict[Key, str], g: StudyResults) -> Grid:
    heads = [head for title in columns.values() for head in (title, f"{title}: 95 %")]
    lines = _lines(part, [*columns], g)
    return Grid(name, ["Row", *heads, "Note"], lines, g.source("raters.csv"))


def _agreement(part: pd.DataFrame, name: str, place: int, g: StudyResults) -> Picture:
    raters = part.loc[part["who"] == "rater", "key"].unique()
    columns: dict[Key, str] = {("kappa", "all", MAJORITY): "Kappa with the majority of the others"}
    columns |= {("balanced_accuracy", "all", MAJORITY): "Balanced accuracy against it"}
    columns |= {("kappa", "all", MEAN): "Mean kappa with the raters"}
    columns |= {("kappa", "all", str(one)): f"Kappa with {one}" for one in raters}
    shown = part[part["who"] != CEILING]
    said = (
        f"Cohen's kappa of {len(g.facts.rows)} rows and {len(raters)} raters with the majority "
        "of the other raters."
    )
    tip = tips(Row="row", Kappa="value:.3f", From="low:.3f", To="high:.3f")
    spec = with_theme(
        kappa_panel(part, g.facts.styles, unit=g.facts.unit),
        tip=tip,
        height=40 + 26 * shown["key"].nunique(),
    )
    behind = _grid(shown, name, columns, g)
    return Picture(f"raters-{place}", f"{name}: kappa", spec, said, behind, wide=True)


def _apart(part: pd.DataFrame, name: str, place: int, g: StudyResults) -> Picture:
    names = {"auroc": "AUROC", "balanced_accuracy": "Balanced accuracy"}
    columns = {
        (measure, cells, AGAINST_LABEL): f"{title}, {cells}"
        for measure, title in names.items()
        for cells in LABELLED
    }
    shown = part[part["who"] == "row"]
    counts = shown[shown["measure"] == "auroc"].groupby("cells")["n"].first()
    said = (
        f"AUROC of every row on {counts['unanimous']:,} cells of which raters think alike, and on "
        f"{counts['disputed']:,} of which not."
    )
    tip = tips(Row="row", AUROC="value:.3f", From="low:.3f", To="high:.3f", Cells="cells")
    spec = with_theme(
        disputed_panel(part, g.facts.styles, unit=g.facts.unit),
        tip=tip,
        height=40 + 26 * shown["key"].nunique(),
    )
    behind = _grid(shown, name, columns, g)
    return Picture(f"disputed-{place}", f"{name}: disputed cells", spec, said, behind, wide=True)
