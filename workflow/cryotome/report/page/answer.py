"""The answer in short: what frozen, adapted and trained encoders lose to the reference."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cryotome.report.figures.charts import LABEL, row_channel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.comparisons import difference_layers
from cryotome.report.page.grids import Grid, number, p_value, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, panel, row_cell, units

TITLE = "The answer in short"
WAYS = {
    "frozen": "the best frozen row",
    "adapted by LoRA": "the best with LoRA",
    "trained": "the best other training",
}


def verdict(line: Any, reference: str, alpha: float) -> str:
    """Say in words what the difference of a row to the reference is.

    The row was picked as the best of many, so that it wins or loses only where p after Holm's
    correction over all rows is below `alpha`, whatever its own interval says.

    Parameters
    ----------
    line
        Of comparisons.csv: difference, low, high (AUROC, positive where the reference is
        better), p_slides_holm.
    reference
        Its name.

    >>> line = {"difference": 0.16, "low": 0.13, "high": 0.20, "p_slides_holm": 0.001}
    >>> verdict(line, "end to end", 0.05)
    'loses 0.16 AUROC (0.13 to 0.20) to end to end'
    >>> verdict(line | {"p_slides_holm": 0.08}, "end to end", 0.05)
    'cannot be told from end to end (it loses 0.16 AUROC, 0.13 to 0.20, p after Holm 0.080)'
    >>> verdict(line | {"low": np.nan, "p_slides_holm": np.nan}, "end to end", 0.05)
    'cannot be told from end to end (it loses 0.16 AUROC, too few slides to tell)'
    """
    difference, low, high = line["difference"], line["low"], line["high"]
    verb, to = ("gains", "over") if difference < 0 else ("loses", "to")
    if difference < 0:
        difference, low, high = -difference, -high, -low
    span, p = f"{round(low, 2) + 0.0:.2f} to {round(high, 2) + 0.0:.2f}", line["p_slides_holm"]
    if p < alpha:
        return f"{verb} {difference:.2f} AUROC ({span}) {to} {reference}"
    known = np.isfinite([low, high, p]).all()
    why = f"{span}, p after Holm {p:.3f}" if known else "too few slides to tell"
    return f"cannot be told from {reference} (it {verb} {difference:.2f} AUROC, {why})"


def _best_of_ways(part: pd.DataFrame, g: StudyResults) -> Iterator[tuple[str, Any]]:
    """Yield each way to use an encoder with the line of its best row; controls are left out."""
    ways = part["row"].map(g.facts.ways)
    for way in WAYS:
        if (ways == way).any():
            yield way, part[ways == way].sort_values("difference").iloc[0]


def _sentence(part: pd.DataFrame, where: str, named: str, g: StudyResults) -> str:
    """Say what the best row of each way loses to the reference, which is named so."""
    said = [
        f"{WAYS[way]} {verdict(best, 'it' if n else named, g.facts.statistics.alpha)}"
        for n, (way, best) in enumerate(_best_of_ways(part, g))
    ]
    return f"{where}: {'; '.join(said)}." if said else ""


def headline(g: StudyResults) -> Section:
    """Hold the best row of each way against the reference, in domain and out of domain."""
    table = g.table("comparisons.csv")
    if table is None:
        return Section("answer", TITLE, missing=g.missing("comparisons.csv"))
    top = table[table["fraction"].astype(float) == table["fraction"].astype(float).max()]
    crossed = top["scheme"] == "from_*"
    alone = ~top["dataset"].isin(set(top.loc[crossed, "dataset"])) & (top["tested"] == "all")
    reference = str(table["reference"].iloc[0])
    # a table may be of rows that the study had before
    sentences, named = [], g.facts.labels.get(reference, reference)
    lines: list[dict[str, Any]] = []
    margin = float(table["margin"].iloc[0])
    for keys, part in split_columns(top[crossed | alone], "dataset", "scheme", "tested"):
        dataset, scheme, tested = keys
        trained = cells_of(dataset, scheme, g)
        place = f"{trained}, {PLACES[tested]}"
        sentences.append(_sentence(part, f"{panel(dataset, g)}, {place}", named, g))
        named = "the reference"
        about = {"title": panel(dataset, g), "place": place}
        about["cells"] = trained if tested == "all" else PLACES[tested]
        lines += [best.to_dict() | about | {"kind": way} for way, best in _best_of_ways(part, g)]
    said = [
        *filter(None, sentences),
        "The best row of each kind, chosen after the fact: p is after Holm over all rows. The same "
        f"{g.facts.unit} are tested; controls are left out.",
        *units(g),
    ]
    return Section("answer", TITLE, said, pictures=[_picture(lines, margin, g)] if lines else [])


def _grid(lines: list[dict[str, Any]], margin: float, g: StudyResults) -> Grid:
    """List the best row of each way, with what it was tested on."""
    source = g.source("comparisons.csv")
    heads = ["Dataset", "Tested", "Encoder", "Its best row", "Reference", "Reference minus row"]
    heads += ["95 % interval", "p (Holm)", f"Against the margin of {margin:g}"]
    rows = [
        [words(line["title"]), words(line["place"]), words(line["kind"]),
         row_cell(line["row"], g), row_cell(line["reference"], g),
         number(line["difference"], source), span(line["low"], line["high"], source),
         p_value(line["p_slides_holm"], source),
         words(line["verdict"], why=text_of(line["note"]))]
        for line in lines
    ]  # fmt: skip
    return Grid("The rows behind these sentences", heads, rows, source, folded=True)


def _picture(lines: list[dict[str, Any]], margin: float, g: StudyResults) -> Picture:
    """Draw the differences of the sentences below each other."""
    table = pd.DataFrame(lines).assign(key=lambda t: t["row"])
    table["what"] = table[["title", "cells", "kind"]].agg(": ".join, axis=1)
    table["best"] = table["row"].map(g.facts.labels).fillna(table["row"])
    # in three lines, or a phone has no room for the points
    axis = alt.Axis(labelLimit=LABEL, labelExpr="split(datum.label, ': ')")
    base = alt.Chart(table).encode(y=alt.Y("what:N", sort=None, title=None, axis=axis))
    tip = tips(Row="best", Difference="difference:.3f", From="low:.3f", To="high:.3f",
               p_Holm="p_slides_holm:.2g")  # fmt: skip
    looks = g.facts.styles
    base = base.encode(color=row_channel(looks, "colour"))
    chart = difference_layers(base, margin, shape=row_channel(looks, "mark"))
    spec = with_theme(chart, tip=tip, height=40 + 42 * len(table))
    said = "The differences of these sentences, with 95 % intervals."
    title = "Right of 0 the reference is better, left of it the row"
    return Picture("answer-differences", title, spec, said, _grid(lines, margin, g))
