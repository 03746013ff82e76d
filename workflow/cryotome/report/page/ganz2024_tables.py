"""Tables of Ganz et al. 2024 on the page."""

import pandas as pd

from cryotome.report.page.grids import (
    Cell,
    Grid,
    missing_cell,
    number,
    span,
    text_of,
    verdict,
    words,
)
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, panel, row_cell, units, where_cells


def table2(g: StudyResults) -> Section:
    """Show Table 2: measured, interval, published and verdict side by side."""
    name = "table2.csv"
    table, why = g.table(name), {}
    missing = g.missing(name)
    if table is None and (table := g.table("table2_partial.csv")) is not None:
        name = "table2_partial.csv"
        known = zip(table["dataset"], table["model"], table["head"], strict=True)
        why = dict(zip(known, table["why"].map(text_of), strict=True))
    if table is None:
        return Section("table2", "Table 2: in domain and out of domain", missing=missing)
    source = g.source(name)
    pooled, verdicts = _pooled(g), _verdicts(g)
    lines = []
    for line in table.to_dict("records"):
        keys = (line["dataset"], line["model"], line["head"])
        key = f"{line['model']} + {line['head']}"
        cells = [row_cell(key, g), words(panel(line["dataset"], g))]
        for where in ("in", "out"):
            cell = number(line[f"{where}_mean"], source, sd=line[f"{where}_sd"])
            reason = why.get(keys) or "not made yet"
            found, expected = (line.get(f"{where}_{n}", 1) for n in ("found", "expected"))
            whole = bool(cell.text) and found == expected
            # interval and verdict concern all values
            ends = pooled.get((line["dataset"], key, where), Cell(""))
            few = words(f"{found:.0f} of {expected:.0f} values", why=reason)
            said = verdicts.get((*keys, f"auroc_{where}"), ("", "")) if whole else ("", "")
            printed = number(line[f"published_{where}"], source, digits=2,
                             sd=line[f"published_{where}_sd"])  # fmt: skip
            cells.append(cell if cell.text else missing_cell(reason, g.command("table2.csv")))
            cells += [ends if whole else few, printed, verdict(*said)]
        lines.append(cells)
    heads = ["Row", "Dataset"]
    for where in ("In domain", "Out of domain"):
        heads += [where, f"{where}: 95 % interval", f"{where}: published", f"{where}: verdict"]
    text = [
        "AUROC, mean ± population SD over pooled folds and domains; interval: "
        f"{g.facts.as_unit}. Published: Ganz et al. 2024, Table 2; never mixed with what is "
        "measured here.",
        *units(g),
    ]
    title = "Table 2: in domain and out of domain"
    return Section("table2", title, text, [Grid("Table 2", heads, lines, source)], [], missing)


def _pooled(g: StudyResults) -> dict[tuple[str, str, str], Cell]:
    table = g.table("intervals.csv")
    if table is None:
        return {}
    mine, source = table[table["scheme"] == "from_*"], g.source("intervals.csv")
    return {
        (line["dataset"], line["row"], line["tested"]): span(line["low"], line["high"], source)
        for line in mine.to_dict("records")
    }


def _verdicts(g: StudyResults) -> dict[tuple[str, ...], tuple[str, str]]:
    table = g.table("published.csv")
    if table is None:
        return {}
    return {
        (line["dataset"], line["model"], line["head"], line["quantity"]): (
            line["verdict"],
            text_of(line["why"]),
        )
        for line in table[::-1].to_dict("records")
    }


def learning(g: StudyResults) -> Section:
    """List the fitted learning curves, and where the reference reaches each row."""
    table, crossed = g.table("learning.csv"), g.table("crossings.csv")
    title, missing = "Learning curves", g.missing("learning.csv", "crossings.csv")
    if table is None:
        return Section("learning", title, missing=missing)
    source, grids = g.source("learning.csv"), []
    rows = [
        [row_cell(line["row"], g), *where_cells(line, g),
         number(line["limit"], source), span(line["low"], line["high"], source),
         number(line["power"], source, digits=2), number(line["doubled"], source),
         words(line["note"])]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Scheme", "Limit", "Limit: 95 % interval", "Power"]
    heads += ["With twice the cells", "Note"]
    grids.append(Grid("Fitted: AUROC = limit - scale x cells^-power", heads, rows, source))
    if crossed is not None:
        beside = g.source("crossings.csv")
        lines_ = [
            [row_cell(line["row"], g), *where_cells(line, g),
             number(100 * line["fraction"], beside, text=f"{100 * line['fraction']:g} %"),
             number(line["auroc"], beside), words(line["text"])]
            for line in crossed.to_dict("records")
        ]  # fmt: skip
        heads = ["Row", "Dataset", "Scheme", "Share", "AUROC", "Is worth"]
        grids.append(Grid("Which share of cells equals which", heads, lines_, beside, folded=True))
    return Section("learning", title, units(g), grids, [], missing)


def encoders(g: StudyResults) -> Section:
    """Show Table 1: what is printed of the encoders, and what is measured."""
    table, missing = g.table("table1.csv"), g.missing("table1.csv")
    title = "Table 1: the encoders"
    if table is None:
        return Section("table1", title, missing=missing)
    source, looks = g.source("table1.csv"), g.facts.model_styles
    rows = [
        [words(line["title"], look=looks.get(line["model"])), words(line["algorithm"]),
         words(line["type"]), words(line["published_size"]),
         number(line["measured_parameters"], source, digits=0),
         number(line["measured_dim"] if pd.notna(line["measured_dim"]) else line["dim"], source,
                digits=0),
         number(line["measured_gflops"], source, digits=1),
         words(g.facts.weights.get(line["model"], "")),
         words(text_of(line.get("at_own_resolution"))), words(line["licence"])]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Encoder", "Algorithm", "Type", "Size, published", "Parameters, measured"]
    heads += ["Dimension", "GFLOP a patch", "Weights", "At its own resolution", "Licence"]
    return Section("table1", title, [], [Grid("Table 1", heads, rows, source)], [], missing)


def published(g: StudyResults) -> Section:
    """List every published number of the study's rows beside the measured one."""
    source = g.source("published.csv")
    table, missing = g.table("published.csv"), g.missing("published.csv")
    title = "Every published number"
    if table is None:
        return Section("published", title, missing=missing)
    rows = [
        [words(line["table"]), words(line["dataset"]), words(f"{line['model']} + {line['head']}"),
         words(line["quantity"]), words(line["published"], why=text_of(line["source"])),
         number(line["measured"], source), span(line["low"], line["high"], source),
         verdict(line["verdict"], line["why"]), words(line["why"])]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Table", "Dataset", "Row", "Quantity", "Published", "Measured", "95 % interval"]
    grid = Grid("Published and measured", [*heads, "Verdict", "Why"], rows, source, folded=True)
    counts = table["verdict"].value_counts()
    said = ["; ".join(f"{count} {name}" for name, count in counts.items()) + ".", *units(g)]
    return Section("published", title, said, [grid], [], missing)
