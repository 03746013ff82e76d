"""The answer in short: what frozen, adapted and trained encoders lose to the reference."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from cryotome.report.page.grids import Grid, number, p_value, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, panel, row_cell, units

TITLE = "The answer in short"
WAYS = {
    "frozen": "the best frozen row",
    "adapted by LoRA": "the best row adapted by LoRA",
    "trained": "the best other trained row",
}


def verdict(difference: float, low: float, high: float, reference: str) -> str:
    """Say in words what a difference to the reference is; positive: the reference is better.

    >>> verdict(0.16, 0.13, 0.20, "end to end")
    'loses 0.16 AUROC (0.13 to 0.20) to end to end'
    >>> verdict(-0.01, -0.03, 0.02, "end to end")
    'cannot be told from end to end (it gains 0.01 AUROC, -0.02 to 0.03)'
    >>> verdict(0.16, np.nan, np.nan, "end to end")
    'cannot be told from end to end (it loses 0.16 AUROC, too few slides for an interval)'
    """
    if difference < 0:
        difference, low, high = -difference, -high, -low
        verb, to = "gains", "over"
    else:
        verb, to = "loses", "to"
    span = f"{round(low, 2) + 0.0:.2f} to {round(high, 2) + 0.0:.2f}"  # no -0.00
    if low > 0:
        return f"{verb} {difference:.2f} AUROC ({span}) {to} {reference}"
    span = "too few slides for an interval" if np.isnan(low) else span
    return f"cannot be told from {reference} (it {verb} {difference:.2f} AUROC, {span})"


def _best_of_ways(part: pd.DataFrame, g: StudyResults) -> Iterator[tuple[str, Any]]:
    """Yield each way to use an encoder with the line of its best row; controls are left out."""
    ways = part["row"].map(g.facts.ways)
    for way in WAYS:
        if (ways == way).any():
            yield way, part[ways == way].sort_values("difference").iloc[0]


def _sentence(part: pd.DataFrame, where: str, g: StudyResults) -> str:
    """Say what the best row of each way loses to the reference."""
    labels, reference = g.facts.labels, part["reference"].iloc[0]
    named = labels.get(reference, reference)  # a table may be of rows that the study had before
    said = [
        f"{WAYS[way]}, {labels.get(best['row'], best['row'])}, "
        + verdict(best["difference"], best["low"], best["high"], named if not n else "it")
        for n, (way, best) in enumerate(_best_of_ways(part, g))
    ]
    return f"{where}: {'; '.join(said)}." if said else ""


def headline(g: StudyResults) -> Section:
    """Hold the best row of each way against the reference, in domain and out of domain."""
    table = g.table("comparisons.csv")
    if table is None:
        return Section("answer", TITLE, missing=g.missing("comparisons.csv"))
    source = g.source("comparisons.csv")
    top = table[table["fraction"].astype(float) == table["fraction"].astype(float).max()]
    crossed = top["scheme"] == "from_*"
    alone = ~top["dataset"].isin(set(top.loc[crossed, "dataset"])) & (top["tested"] == "all")
    sentences, lines = [], []
    for keys, part in split_columns(top[crossed | alone], "dataset", "scheme", "tested"):
        dataset, scheme, tested = keys
        place = f"{cells_of(dataset, scheme, g)}, {PLACES[tested]}"
        sentences.append(_sentence(part, f"{panel(dataset, g)}, {place}", g))
        for way, best in _best_of_ways(part, g):
            lines.append([
                words(panel(dataset, g)), words(place), words(way),
                row_cell(best["row"], g), row_cell(best["reference"], g),
                number(best["difference"], source), span(best["low"], best["high"], source),
                p_value(best["p_slides_holm"], source),
                words(best["verdict"], why=text_of(best["note"])),
            ])  # fmt: skip
    heads = ["Dataset", "Tested", "Encoder", "Its best row", "Reference", "Reference minus row"]
    heads += ["95 % interval", "p (Holm)", "Verdict"]
    said = [
        *filter(None, sentences),
        "Each is the best row of its kind, chosen after the fact: the Holm correction is over all "
        f"rows. The same {g.facts.unit} are tested. Controls, which are networks with random "
        "weights and what has no network, are left out. Equivalent: within "
        f"{table['margin'].iloc[0]:g}.",
        *units(g),
    ]
    return Section("answer", TITLE, said, [Grid("", heads, lines, source)])
