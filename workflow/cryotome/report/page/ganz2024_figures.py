"""Figures of Ganz et al. 2024 on the page, and the leakage ladder."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cryotome.evaluation.raters import AGAINST_LABEL, CEILING
from cryotome.report.figures.charts import lines, matrix, ranked, row_channel
from cryotome.report.figures.statistics import ladder_panel
from cryotome.report.page.charts import HEIGHT, Picture, tips, with_theme
from cryotome.report.page.grids import Grid, as_text, number, p_value, span, split_columns, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, named, panel, row_cell, units

MANY = 12  # rows from which a figure of points takes the whole width


def figure1(g: StudyResults) -> Section:
    """Draw AUROC against the share of the training pool."""
    table, missing = g.table("figure1.csv"), g.missing("figure1.csv")
    title = "Figure 1: how much training data"
    if table is None:
        return Section("figure1", title, missing=missing)
    table = table.drop(columns="row").pipe(named, g)
    table["low"], table["high"] = table["mean"] - table["sd"], table["mean"] + table["sd"]
    table = table.merge(_spans_of(g), on=["dataset", "scheme", "key", "fraction"], how="left")
    table["share"] = 100 * table["fraction"]
    table["printed"] = table["published_mean"].map("{:g}".format, na_action="ignore")
    table["n"] = [_trained_on(g, *k) for k in table[["dataset", "scheme", "fraction"]].to_numpy()]
    pictures = []
    for (dataset, scheme), part in split_columns(table, "dataset", "scheme"):
        ticks = sorted(part["share"].unique())
        x = alt.X("share:Q", title="share of the training pool, %",
                  scale=alt.Scale(type="log"), axis=alt.Axis(values=ticks, grid=False))  # fmt: skip
        one = part["fraction"].nunique() == 1
        tip = tips(Row="row", Share="share:,.3g", Training_cells="n:,", Mean="mean:.3f",
                   SD_over_folds="sd:.3f", Interval="interval", Published="printed")  # fmt: skip
        ceiling = _ceiling(g, dataset, scheme)
        chart = _points(part, ceiling, g) if one else _curves(part, x, g)
        columns = ["row", "fraction", "n", "mean", "sd", "interval", "published_mean"]
        title_ = panel(dataset, g, g.facts.schemes.get(scheme, scheme))
        known = f"{title_}; n: training cells of fold 0's split; interval: intervals.csv"
        split = g.elsewhere(g.results / "splits" / str(dataset) / str(scheme), "split_cells")
        behind = as_text(part[columns], known, g.source("figure1.csv"), others={"n": split})
        over = "by row" if one else "over the share of training cells"
        said = f"AUROC {over}, {title_}: {_best(part)}"
        spec = with_theme(chart, tip=tip, height=70 + 26 * len(part) if one else HEIGHT)
        wide = one and len(part) > MANY
        pictures.append(
            Picture(f"figure1-{dataset}-{scheme}", title_, spec, said, behind, wide=wide)
        )
    text = ["Mean and SD over folds. Hollow diamonds: published. Hover for the clustered interval."]
    if one_share := sum(table.groupby(["dataset", "scheme"])["fraction"].nunique() == 1):
        text.append(f"Rows of one share: mean, 95 % interval ({g.facts.as_unit}). "
                    "Dotted: chance. Dashed: the raters' ceiling if known, else 1.")  # fmt: skip
    if one_share == len(pictures):
        title, text = "Figure 1: all rows", text[1:]
    text += units(g)
    return Section("figure1", title, text, [], pictures)


def _curves(part: pd.DataFrame, x: alt.X, g: StudyResults) -> Any:
    """Draw mean and SD against the share, and what is published."""
    chart = lines(part, g.facts.styles, x=x, y=("mean", "low", "high"), floor=0.5,
                  title="AUROC, mean and SD over folds", also=part["published_mean"])  # fmt: skip
    printed = part.dropna(subset="published_mean")
    if printed.empty:
        return chart
    base = alt.Chart(printed).encode(x=x, color=row_channel(g.facts.styles, "colour"))
    diamond = base.mark_point(shape="diamond", size=140).encode(y="published_mean:Q")
    return alt.layer(*chart.layer, diamond)


def _points(part: pd.DataFrame, ceiling: float, g: StudyResults) -> Any:
    """Draw the rows of one share below each other, with their clustered intervals."""
    chart = ranked(part, g.facts.styles, title="AUROC, 95 % interval", chance=0.5,
                   x=("mean", "from_slides", "to_slides"), ceiling=ceiling)  # fmt: skip
    printed = part.dropna(subset="published_mean")
    base = alt.Chart(printed).encode(y=chart.layer[-1].encoding.y, x="published_mean:Q")
    diamond = base.mark_point(shape="diamond", size=140)
    color = row_channel(g.facts.styles, "colour")
    return alt.layer(*chart.layer, *[diamond.encode(color=color)] * bool(len(printed)))


def _ceiling(g: StudyResults, dataset: str, scheme: str) -> float:
    """Return the AUROC that the raters' disagreement permits, where votes tell; else 1."""
    table = g.table("raters.csv")
    if table is None:
        return 1.0
    at = {"dataset": dataset, "scheme": scheme, "tested": "all", "who": CEILING}
    at |= {"measure": "auroc", "against": AGAINST_LABEL, "cells": "all"}
    found = table[(table[list(at)] == list(at.values())).all(axis=1)]["value"].dropna()
    return float(found.iloc[-1]) if len(found) else 1.0


def _best(part: pd.DataFrame) -> str:
    top = part[part["fraction"] == part["fraction"].max()].sort_values("mean")
    if top.empty or top["mean"].isna().all():
        return "no values."
    best = top.iloc[-1]
    return (
        f"{part['key'].nunique()} rows; on all cells {best['row']} is highest, {best['mean']:.2f}."
    )


def _spans_of(g: StudyResults) -> pd.DataFrame:
    """Return the clustered interval in words, of every row and share."""
    table, keys = g.table("intervals.csv"), ["dataset", "scheme", "key", "fraction", "interval"]
    keys += ["from_slides", "to_slides"]
    if table is None:
        return pd.DataFrame(columns=keys).astype({"fraction": float})
    mine = table[table["tested"] == "all"].rename(columns={"row": "key"})
    ends = zip(mine["low"], mine["high"], strict=True)
    mine = mine.assign(from_slides=mine["low"], to_slides=mine["high"])
    said = [f"{low:.3f} to {high:.3f}" if low <= high else "none" for low, high in ends]
    return mine.assign(interval=said,
                       fraction=mine["fraction"].astype(float))[keys]  # fmt: skip


def _trained_on(g: StudyResults, dataset: str, scheme: str, fraction: float) -> float:
    """Return the training cells of the first fold."""
    folder = g.results / "splits" / dataset / scheme
    for path in folder.glob("fraction=*/fold=0.csv"):
        if float(path.parent.name.removeprefix("fraction=")) == fraction:
            return float((pd.read_csv(path, usecols=["role"])["role"] == "train").sum())
    return np.nan


def figure2(g: StudyResults) -> Section:
    """Draw the matrices of training domain against test domain."""
    title = "Figure 2: from one domain to another"
    pictures = matrices(g, "figure2", g.facts.domains)
    if not pictures:
        return Section("figure2", title, missing=g.missing("figure2.csv"))
    return Section("figure2", title, ["AUROC, mean over folds."], [], pictures)


def matrices(
    g: StudyResults, stem: str, titles: dict[str, dict[str, str]], what: str = "domain"
) -> list[Picture]:
    """Draw the matrices of a table of Figure 2; none where it is missing.

    Parameters
    ----------
    stem
        Of the table's name.
    titles
        Dataset to the titles of what is trained on and tested, in order.
    what
        Those are.
    """
    table = g.table(f"{stem}.csv")
    if table is None:
        return []
    table = table.drop(columns="row").pipe(named, g)
    low = min(0.5, float(np.floor(table["mean"].min() * 20) / 20))
    pictures = []
    for (dataset, row), part in split_columns(table, "dataset", "row"):
        names = titles[str(dataset)]
        part = part.assign(
            trained=part["train_domain"].map(names).fillna(part["train_domain"]),
            tested=part["test_domain"].map(names).fillna(part["test_domain"]),
        )
        order = list(names.values())
        tip = tips(Row="row", Trained_on="trained", Tested_on="tested", Mean="mean:.3f",
                   SD_over_folds="sd:.3f", Folds="folds")  # fmt: skip
        chart = matrix(part, fields=("trained", "tested"), value="mean",
                       titles=("trained on", "tested on", "AUROC"), domain=(low, 1.0),
                       orders=(order, order))  # fmt: skip
        title_ = panel(dataset, g, row)
        columns = ["trained", "tested", "mean", "sd", "folds"]
        behind = as_text(part[columns], title_, g.source(f"{stem}.csv"))
        home = part["train_domain"] == part["test_domain"]
        said = (
            f"AUROC of {title_}: {part.loc[home, 'mean'].mean():.2f} on the own {what}, "
            f"{part.loc[~home, 'mean'].mean():.2f} on others, on average."
        )
        name = f"{stem}-{dataset}-{part['key'].iloc[0]}".replace(" + ", "-")
        height = 60 + 34 * len(order)
        spec = with_theme(chart, tip=tip, height=height, rows=False)
        pictures.append(Picture(name, title_, spec, said, behind))
    return pictures


def ladder(g: StudyResults) -> Section:
    """Draw what each rung of the leakage ladder costs."""
    table, missing = g.table("ladder.csv"), g.missing("ladder.csv")
    title, source = "The leakage ladder", g.source("ladder.csv")
    if table is None:
        return Section("ladder", title, missing=missing)
    table = named(table, g)
    pictures, rows = [], []
    for dataset, part in split_columns(table, "dataset"):
        tip = tips(Row="row", Rung="title", Training_cells="n_train:,.0f", AUROC="auroc:.3f",
                   From="low:.3f", To="high:.3f", Lost_since_the_first_rung="cost:.3f")  # fmt: skip
        spec = with_theme(ladder_panel(part, g.facts.styles), tip=tip)
        behind = as_text(
            part[["row", "title", "auroc", "low", "high", "cost"]], str(dataset), source
        )
        said = f"AUROC from rung to rung on {panel(dataset, g)}: {part['title'].nunique()} rungs."
        pictures.append(Picture(f"ladder-{dataset}", panel(dataset, g), spec, said, behind))
    for line in table.to_dict("records"):
        rows.append([
            row_cell(line["key"], g), words(panel(line["dataset"], g)), words(line["title"]),
            number(line["auroc"], source), span(line["low"], line["high"], source),
            number(line["cost"], source), span(line["cost_low"], line["cost_high"], source),
            p_value(line["cost_p"], source), number(line["within_slide"], source),
        ])  # fmt: skip
    heads = ["Row", "Dataset", "Rung", "AUROC", "95 % interval", "Cost", "Cost: 95 % interval"]
    heads += ["Cost: p", "Within slides"]
    text = [
        "AUROC within domains at equal training size, from splits that leak to splits that do not. "
        "Cost: what the first rung gives more than this one."
    ]
    return Section("ladder", title, text, [Grid("Ladder", heads, rows, source)], pictures)
