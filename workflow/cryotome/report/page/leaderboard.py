"""All rows of a study in one table: AUROC, rank, loss out of domain and cost, the best first."""

from typing import Any

import pandas as pd

from cryotome.report.page.costs import hours
from cryotome.report.page.grids import Cell, Grid, is_number, number, span, text_of, words
from cryotome.report.page.metrics import METRICS
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, cells_of, panel, row_cell, units
from cryotome.study.schemes import Scheme, strictest_scheme

TITLE = "All rows"
HEADS = ["Row", "Encoder", "AUROC", "95 % interval", "Balanced accuracy", "Its 95 % interval"]
HEADS += ["Rank, 95 %", "Not told apart"]
HEADS += ["One domain: in", "One domain: out", "Core-hours", "GPU-hours", "Note"]
CONTROL = "control"
INTERVALS, RANKS, COSTS = "intervals.csv", "row_ranks.csv", "costs.csv"
NAMED = ("dataset", "scheme", "fraction", "tested", "row")
Tables = dict[str, pd.DataFrame | None]


def leaderboard(g: StudyResults) -> Section:
    """List every row under each dataset's strictest scheme, sorted by AUROC, controls last."""
    table, missing = g.table(INTERVALS), g.missing(INTERVALS)
    if table is None:
        return Section("rows", TITLE, missing=missing)
    beside = {name: g.table(name) for name in (RANKS, COSTS, METRICS)} | {INTERVALS: table}
    pooled = table[(table["tested"] == "all") & table["scheme"].map(_is_pooled)]
    grids = []
    for dataset, part in pooled.groupby("dataset", sort=False):
        scheme = strictest_scheme(sorted(set(part["scheme"])))[0]
        part = part[part["scheme"] == scheme]
        part = part[part["fraction"] == part["fraction"].max()]
        part = part.assign(control=part["row"].map(g.facts.ways) == CONTROL)
        part = part.sort_values(["control", "auroc"], ascending=[True, False])
        lines = [_line(line, beside, g) for line in part.to_dict("records")]
        name = panel(str(dataset), g, cells_of(str(dataset), scheme, g))
        grids.append(Grid(name, HEADS, lines, g.source(INTERVALS)))
    said = [
        f"The strictest split of each dataset, all training cells; {g.facts.as_unit}. Rows of one "
        "letter are not told apart: slides paired, Holm over all pairs. Controls stand last.",
        *units(g),
    ]
    return Section("rows", TITLE, said * bool(grids), grids)


def _is_pooled(scheme: str) -> bool:
    return Scheme.parse(scheme).is_pooled


def _line(line: dict[Any, Any], beside: Tables, g: StudyResults) -> list[Cell]:
    source, key = g.source(INTERVALS), {name: line[name] for name in ("dataset", "row")}
    model, head = line["row"].split(" + ")
    crossed = [_found(beside[INTERVALS], key, scheme="from_*", tested=p) for p in ("in", "out")]
    spent = _found(beside[COSTS], {"dataset": line["dataset"]}, model=model, head=head)
    return [
        row_cell(line["row"], g),
        words(g.facts.ways.get(line["row"], "")),
        number(line["auroc"], source),
        span(line["low"], line["high"], source),
        *_accuracy(line, beside[METRICS], g),
        *_rank(line, beside[RANKS], g),
        *(number(found.get("auroc"), source) for found in crossed),
        *(_hours(spent.get(name), g) for name in ("core_hours", "gpu_hours")),
        words(text_of(line.get("note"))),
    ]


def _hours(value: Any, g: StudyResults) -> Cell:
    return hours(value, g.source(COSTS)) if is_number(value) and value else Cell("")


def _accuracy(line: dict[Any, Any], table: pd.DataFrame | None, g: StudyResults) -> list[Cell]:
    key = {name: line[name] for name in NAMED}
    found, source = _found(table, key, metric="balanced_accuracy"), g.source(METRICS)
    return [number(found.get("value"), source), span(found.get("low"), found.get("high"), source)]


def _rank(line: dict[Any, Any], ranks: pd.DataFrame | None, g: StudyResults) -> list[Cell]:
    found = _found(ranks, {name: line[name] for name in NAMED})
    if not found:
        return [Cell(""), Cell("")]
    said = f"{found['rank']:g} ({found['rank_low']:g} to {found['rank_high']:g})"
    rank = number(found["rank"], g.source(RANKS), text=said)
    return [rank, words(text_of(found["group"]))]


def _found(table: pd.DataFrame | None, key: dict[str, Any], **more: str) -> dict[Any, Any]:
    """Return the last line with these values, of a growing fraction the largest; or nothing."""
    if table is None:
        return {}
    wanted = key | more
    found = table[(table[list(wanted)] == list(wanted.values())).all(axis=1)]
    return found.iloc[-1].to_dict() if len(found) else {}
