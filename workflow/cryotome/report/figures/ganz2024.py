"""Figures 1 and 2 of Ganz et al. 2024, drawn with seaborn: PDF, PNG, and the CSV behind them."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.report.figures.canvas import add_synthetic_notice
from cryotome.study.facts import RowFacts
from cryotome.study.schemes import Scheme

ROW = ["dataset", "model", "head"]


def _ordered(table: pd.DataFrame, facts: RowFacts) -> pd.DataFrame:
    """Sort by dataset and row as the study lists them, and name the rows for people."""
    order = {row.key: place for place, row in enumerate(facts.rows)}
    names = table["model"] + " + " + table["head"]
    places = table["dataset"].map(list(facts.datasets).index) * len(order) + names.map(order)
    return table.assign(row=names.map(facts.labels)).loc[places.sort_values(kind="stable").index]


def figure1_data(scores: pd.DataFrame, published: pd.DataFrame, facts: RowFacts) -> pd.DataFrame:
    """Average the AUROC over folds at each training fraction.

    Returns
    -------
    data frame with columns scheme, dataset, model, head, row, fraction, mean, sd, folds,
    published_mean, published_sd
        SD is the population SD over folds; published only where the paper prints a number.
    """
    whole = scores[scores["test_domain"] == "all"]
    grouped = whole.groupby(["scheme", *ROW, "fraction"], sort=False)["value"]
    table = grouped.agg(mean="mean", sd=lambda v: v.std(ddof=0), folds="count").reset_index()
    names, keys = {"mean": "published_mean", "sd": "published_sd"}, ["scheme", *ROW, "fraction"]
    table = table.merge(published[[*keys, *names]].rename(columns=names), on=keys, how="left")
    return _ordered(table, facts)


def draw_figure1(table: pd.DataFrame, facts: RowFacts) -> Figure:
    """Draw AUROC against training fraction, a panel for each dataset and scheme.

    Of one fraction, rows stand below each other, the highest AUROC of the first panel first.
    """
    if table["fraction"].nunique() == 1:
        return _draw_rows(table, facts)
    sns.set_theme(style="whitegrid", context="paper")
    titles, schemes = facts.datasets, facts.schemes
    panels = list(dict.fromkeys(zip(table["dataset"], table["scheme"], strict=True)))
    rows = list(dict.fromkeys(table["row"]))
    looks = {facts.labels[row]: look for row, look in facts.styles.items()}
    figure, axes = plt.subplots(
        1,
        len(panels),
        layout="constrained",
        figsize=(4.2 * len(panels) + 2.4, 3.8),
        sharey=True,
        squeeze=False,
    )
    for axis, (dataset, scheme) in zip(axes[0], panels, strict=True):
        part = table[(table["dataset"] == dataset) & (table["scheme"] == scheme)]
        for place, row in enumerate(rows):
            line = part[part["row"] == row].sort_values("fraction")
            # beside each other, so that error bars do not hide each other
            x = 100 * line["fraction"] * 1.04 ** (place - (len(rows) - 1) / 2)
            look = looks[row].line | {"ax": axis, "label": row, "legend": False}
            sns.lineplot(x=x, y=line["mean"], markersize=5, **look)
            bars = {"color": looks[row].colour, "linestyle": "", "capsize": 2}
            axis.errorbar(x, line["mean"], yerr=line["sd"], **bars)
            printed = {"marker": "D", "markersize": 8, "markerfacecolor": "none"} | bars
            axis.errorbar(x, line["published_mean"], yerr=line["published_sd"], **printed)
        axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
        ticks = sorted(100 * part["fraction"].unique())
        axis.set(
            xscale="log",
            title=f"{titles[dataset]}\n{schemes[scheme]}",
            xlabel="share of the training pool, %",
        )
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("AUROC, mean and SD over folds")
    handles, names = axes[0, 0].get_legend_handles_labels()
    if table["published_mean"].notna().any():
        handles.append(
            plt.Line2D([], [], marker="D", color="0.3", markerfacecolor="none", linestyle="")
        )
        names.append("published (Ganz et al. 2024)")
    figure.legend(handles, names, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return add_synthetic_notice(figure, facts.notice)


def _draw_rows(table: pd.DataFrame, facts: RowFacts) -> Figure:
    """Draw a point with its SD over folds for every row, between chance and 1."""
    sns.set_theme(style="whitegrid", context="paper")
    panels = list(table.groupby(["dataset", "scheme"], sort=False))
    first = panels[0][1].sort_values("mean")["row"]
    order = list(dict.fromkeys([*first, *table["row"]]))  # from below
    looks = {facts.labels[row]: look for row, look in facts.styles.items()}
    figure, axes = plt.subplots(
        1, len(panels), layout="constrained", sharey=True, squeeze=False,
        figsize=(3.6 * len(panels) + 2.4, 0.24 * len(order) + 1.4),
    )  # fmt: skip
    for axis, ((dataset, scheme), part) in zip(axes[0], panels, strict=True):
        for line in part.to_dict("records"):
            look, y = looks[line["row"]].line, order.index(line["row"])
            bars = {"color": look["color"], "linestyle": "", "capsize": 2}
            axis.errorbar(line["mean"], y, xerr=line["sd"], marker=look["marker"], **bars)
            printed = {"marker": "D", "markersize": 8, "markerfacecolor": "none"} | bars
            axis.errorbar(line["published_mean"], y, xerr=line["published_sd"], **printed)
        axis.axvline(0.5, color="0.6", linestyle=":", linewidth=1)
        axis.axvline(1.0, color="0.6", linestyle="--", linewidth=1)
        axis.set(title=f"{facts.datasets[str(dataset)]}\n{facts.schemes[str(scheme)]}",
                 xlabel="AUROC, mean and SD over folds")  # fmt: skip
    axes[0, 0].set_yticks(range(len(order)), order)
    return add_synthetic_notice(figure, facts.notice)


def figure2_data(scores: pd.DataFrame, facts: RowFacts) -> pd.DataFrame:
    """Average the AUROC over folds for each pair of training and test domain, or scanner.

    Returns
    -------
    data frame with columns dataset, model, head, row, train_domain, test_domain, mean, sd, folds
    """
    crossed = scores[scores["scheme"].map(lambda name: Scheme.parse(name).is_from_one)]
    wanted = (crossed["model"] + " + " + crossed["head"]).isin(facts.figure2)
    grouped = crossed[wanted].groupby([*ROW, "train_domain", "test_domain"], sort=False)["value"]
    table = grouped.agg(mean="mean", sd=lambda v: v.std(ddof=0), folds="count").reset_index()
    return _ordered(table, facts)


def draw_figure2(
    table: pd.DataFrame, facts: RowFacts, titles: dict[str, dict[str, str]] | None = None
) -> Figure:
    """Draw one matrix per dataset and row: training domain down, test domain across.

    Parameters
    ----------
    table
        From `figure2_data`.
    titles
        Dataset to the titles of what is trained on and tested, in order: its domains by default.
    """
    rows, keys = facts.figure2, table["model"] + " + " + table["head"]
    domains = {name: (titles or facts.domains)[name] for name in table["dataset"].unique()}
    sns.set_theme(style="white", context="paper")
    side = 0.75 * max(map(len, domains.values())) + 1.8  # inches: cells, and room for names
    figure, axes = plt.subplots(
        len(domains), len(rows), squeeze=False, sharey="row", layout="constrained",
        figsize=((side + 0.6) * len(rows) + 1, side * len(domains)),
    )  # fmt: skip
    low = min(0.5, float(np.floor(table["mean"].min() * 20) / 20))
    for line, (dataset, names_of) in zip(axes, domains.items(), strict=True):
        for axis, row in zip(line, rows, strict=True):
            part = table[(table["dataset"] == dataset) & (keys == row)]
            square, spread = (
                part.pivot(index="train_domain", columns="test_domain", values=value).reindex(
                    index=list(names_of), columns=list(names_of)
                )
                for value in ("mean", "sd")
            )
            text = square.map("{:.2f}".format) + "\n± " + spread.map("{:.2f}".format)
            sns.heatmap(
                square, annot=text, fmt="", vmin=low, vmax=1, cmap="viridis", square=True, ax=axis,
                cbar=False, linewidths=0.5, annot_kws={"size": "small"},
            )  # fmt: skip
            names = list(names_of.values())
            axis.set_xticklabels(names, rotation=35, ha="right")
            axis.set_yticklabels(names, rotation=0)
            title = "\n".join(textwrap.wrap(facts.labels[row], 34))
            axis.set(title=title, xlabel="tested on", ylabel="trained on")
        figure.colorbar(
            line[-1].collections[0], ax=line, label="AUROC, mean ± SD over folds", shrink=0.8
        )
    return add_synthetic_notice(figure, facts.notice)
