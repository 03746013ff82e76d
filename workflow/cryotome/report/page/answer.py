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


def _sentence(part: pd.DataFrame, where: str, g: StudyResults) -> str:
    """Say what the best row of each way loses to the reference."""
    labels, reference = g.facts.labels, part["reference"].iloc[0]
    named = labels.get(reference, reference)  # a table may be of rows that the study had before
    said = [
        f"{WAYS[way]}, {labels.get(best['row'], best['row'])}, "
        + verdict(best, named if not n else "it", g.facts.statistics.alpha)
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
    margin = f"{table['margin'].iloc[0]:g}"
    heads += ["95 % interval", "p (Holm)", f"Against the margin of {margin}"]
    said = [
        *filter(None, sentences),
        "Each is the best row of its kind, chosen after the fact: the Holm correction is over all "
        f"rows. The same {g.facts.unit} are tested. Controls, which are networks with random "
        "weights and what has no network, are left out. The last column takes each row alone, "
        f"uncorrected: its difference is within {margin} (equivalent) or beyond it (different).",
        *units(g),
    ]
    return Section("answer", TITLE, said, [Grid("", heads, lines, source)] * bool(lines))
