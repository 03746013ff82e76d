"""Figures of the statistics: learning curves, orders under each probe, ranks, the ladder."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.cards import Card
from cryotome.report.figures.canvas import add_synthetic_notice, styles_of
from cryotome.study.statistical_unit import unit_of

GAP = 0.04  # between two ranks that are written beside points, of the height of a panel


def _title(about: Card, dataset: str, width: int) -> str:
    return textwrap.fill(about["datasets"][dataset], width, break_on_hyphens=False)


def _panels(count: int, *, width: float = 4.4, height: float = 4.0) -> tuple[Figure, list[Axes]]:
    sns.set_theme(style="whitegrid", context="paper")
    size = (width * count + 2.6, height)
    figure, axes = plt.subplots(1, count, layout="constrained", figsize=size, squeeze=False)
    return figure, list(axes[0])


def _legend(figure: Figure, axis: Axes) -> None:
    handles, names = axis.get_legend_handles_labels()
    known = dict(zip(names, handles, strict=True))
    wrapped = [textwrap.fill(name, 34) for name in known]
    figure.legend(
        known.values(), wrapped, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False
    )


def draw_learning(
    intervals: pd.DataFrame, curves: pd.DataFrame, crossed: pd.DataFrame, *, about: Card
) -> Figure:
    """Draw learning curves with clustered intervals, and where the reference equals a row.

    A cross on the reference's curve marks the share of cells at which it reaches what the
    row of that colour reaches on all of them. A tick at the right is the fitted limit.
    """
    whole = intervals[intervals["tested"] == "all"]
    panels = list(dict.fromkeys(zip(curves["dataset"], curves["scheme"], strict=True)))
    labels, looks = about["labels"], styles_of(about)
    figure, axes = _panels(len(panels))
    for axis, (dataset, scheme) in zip(axes, panels, strict=True):
        tables = (whole, crossed, curves)
        mine = [t[(t["dataset"] == dataset) & (t["scheme"] == scheme)] for t in tables]
        for row, line in mine[0].sort_values("fraction").groupby("row", sort=False):
            x, look = 100 * line["fraction"], looks[str(row)]
            axis.plot(x, line["auroc"], ms=4, label=labels[row], **look.line)
            axis.fill_between(x, line["low"], line["high"], color=look.colour, alpha=0.15, lw=0)
        _mark(axis, mine[1], mine[2], {row: look.colour for row, look in looks.items()})
        ticks = sorted(100 * mine[0]["fraction"].unique())
        axis.set(xscale="log", xlabel="share of the training pool, %")
        axis.set_title(f"{about['datasets'][dataset]}\n{about['schemes'][scheme]}", fontsize=9)
        axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    axes[0].set_ylabel(f"AUROC, 95 % over {unit_of(about)}")
    _legend(figure, axes[0])
    return add_synthetic_notice(figure, about["notice"])


def _mark(axis: Axes, crossed: pd.DataFrame, curves: pd.DataFrame, colours: dict) -> None:
    """Mark where the reference equals each row at its largest fraction, and the limits."""
    top = crossed[crossed["fraction"] == crossed["fraction"].max()]
    inside = (top["equal_fraction"] > 0) & np.isfinite(top["equal_fraction"])
    for cross in top[inside].to_dict("records"):
        place = (100 * cross["equal_fraction"], cross["auroc"])
        axis.plot(*place, marker="X", ms=9, color=colours[cross["row"]], mec="black")
    edge = axis.get_yaxis_transform()
    for fit in curves.dropna(subset="limit").to_dict("records"):
        (tick,) = axis.plot([1.0], [fit["limit"]], marker="<", color=colours[fit["row"]])
        tick.set(transform=edge, clip_on=False)


def draw_orders(table: pd.DataFrame, about: Card) -> Figure:
    """Draw Table 2's order under each head: a line per model, its rank written beside it."""
    panels = list(dict.fromkeys(zip(table["dataset"], table["where"], strict=True)))
    heads = list(dict.fromkeys(table["head"]))
    models = list(dict.fromkeys(table["model"]))
    looks = {row.split(" + ")[0]: look for row, look in reversed(styles_of(about).items())}
    colours = {model: looks[model].colour for model in models}
    figure, axes = _panels(len(panels), width=0.75 * len(heads) + 2)
    for axis, (dataset, where) in zip(axes, panels, strict=True):
        part = table[(table["dataset"] == dataset) & (table["where"] == where)]
        for model in models:
            line = part[part["model"] == model].set_index("head").reindex(heads)
            look = looks[model].line | {"linestyle": "-", "label": about["models"][model]}
            axis.plot(range(len(heads)), line["auroc"], ms=4, **look)
        _write_ranks(axis, part, heads, colours)
        axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
        names = [textwrap.fill(about["heads"][head], 18) for head in heads]
        axis.set_xticks(range(len(heads)), names, rotation=40, ha="right", fontsize=7)
        place = {"in": "in domain", "out": "out of domain"}[where]
        axis.set_title(f"{_title(about, dataset, 40)}\n{place}", fontsize=9)
    axes[0].set_ylabel("AUROC as in Table 2; number: rank")
    _legend(figure, axes[0])
    return add_synthetic_notice(figure, about["notice"])


def _write_ranks(axis: Axes, part: pd.DataFrame, heads: list[str], colours: dict) -> None:
    """Write each rank beside its point, moved up or down where two would overlap."""
    gap = GAP * float(np.ptp([0.5, *part["auroc"].dropna()]) or 1)  # the panel reaches 0.5
    for x, head in enumerate(heads):
        column = part[part["head"] == head].dropna(subset="auroc").sort_values("auroc")
        heights = dodge_labels(column["auroc"].to_numpy(), gap)
        side, align = (-5, "right") if x == 0 else (5, "left")  # where no line leaves the point
        look: Card = {"va": "center", "ha": align, "fontsize": 7, "textcoords": "offset points"}
        for line, height in zip(column.to_dict("records"), heights, strict=True):
            place, colour = (x, height), colours[line["model"]]
            axis.annotate(f"{line['rank']:g}", place, xytext=(side, 0), color=colour, **look)
    axis.margins(x=0.12)


def dodge_labels(values: np.ndarray, gap: float) -> np.ndarray:
    """Move sorted values apart until neighbours differ by a gap, each cluster about its mean.

    >>> dodge_labels(np.array([1.0, 1.0, 5.0]), 2.0).tolist()
    [0.0, 2.0, 5.0]
    """
    clusters: list[tuple[float, int]] = []  # mean of the values, how many
    for value in values.tolist():
        clusters.append((value, 1))
        while len(clusters) > 1:
            (low, below), (high, above) = clusters[-2:]
            if high - low >= gap * (below + above) / 2:
                break
            count = below + above
            clusters[-2:] = [((low * below + high * above) / count, count)]
    parts = [mean + gap * (np.arange(count) - (count - 1) / 2) for mean, count in clusters]
    return np.concatenate(parts) if parts else np.empty(0)


def draw_ranks(table: pd.DataFrame, values: dict[str, pd.DataFrame], about: Card) -> Figure:
    """Draw a critical-difference diagram over training domains, or say why there is none.

    Parameters
    ----------
    table
        From `orders.ranks`.
    values
        `in` and `out` to AUROCs, one line per training domain and one column per row.
    """
    # one below the other: names stand left and right of the axis
    sns.set_theme(style="white", context="paper")
    size = (9, (0.2 * table["row"].nunique() + 1.2) * len(values))
    figure, lines = plt.subplots(len(values), 1, layout="constrained", figsize=size, squeeze=False)
    axes = list(lines[:, 0])
    for axis, (tested, wide) in zip(axes, values.items(), strict=True):
        part = table[table["tested"] == tested].set_index("row")
        place = {"in": "in domain", "out": "out of domain"}[tested]
        axis.set_title(f"{place}: mean rank over {len(wide)} training domains (descriptive)")
        mean = part["mean_rank"].rename(index=about["labels"])
        if part["note"].iloc[0]:
            axis.plot(mean, range(len(mean)), marker="o", linestyle="", color="0.3")
            axis.set_yticks(range(len(mean)), mean.index)
            axis.invert_yaxis()
            axis.set_xlabel(f"mean rank, 1 is best ({part['note'].iloc[0]})")
        else:
            looks = styles_of(about)
            colours = {label: looks[row].colour for row, label in about["labels"].items()
                       if row in looks}  # fmt: skip
            _differences(axis, mean, wide.rename(columns=about["labels"]), colours)
    return add_synthetic_notice(figure, about["notice"])


def _differences(axis: Axes, mean: pd.Series, values: pd.DataFrame, colours: dict) -> None:
    from scikit_posthocs import critical_difference_diagram, posthoc_nemenyi_friedman

    apart = posthoc_nemenyi_friedman(values)
    critical_difference_diagram(mean, apart, ax=axis, color_palette=colours)


def draw_ladder(table: pd.DataFrame, about: Card) -> Figure:
    """Draw every row's AUROC from rung to rung, a panel per dataset, and what it cost.

    Parameters
    ----------
    table
        From `pricing.leakage_ladder`.
    """
    panels = list(dict.fromkeys(table["dataset"]))
    rows = list(dict.fromkeys(table["row"]))
    labels, looks = about["labels"], styles_of(about)
    figure, axes = _panels(len(panels), width=5.2)
    for axis, dataset in zip(axes, panels, strict=True):
        part = table[table["dataset"] == dataset]
        rungs = list(dict.fromkeys(part["rung"]))
        for place, row in enumerate(rows):
            line = part[part["row"] == row].set_index("rung").reindex(rungs)
            x = np.arange(len(rungs)) + 0.5 * (place / max(len(rows) - 1, 1) - 0.5)
            bars = [line["auroc"] - line["low"], line["high"] - line["auroc"]]
            look = looks[row].line | {"capsize": 2, "lw": 1, "ms": 4}
            axis.errorbar(x, line["auroc"], yerr=bars, label=labels[row], **look)
        axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
        first = part.drop_duplicates("rung")[["title", "n_train"]].to_numpy()
        names = [f"{textwrap.fill(title, 16)}\n{cells:,.0f} cells" for title, cells in first]
        axis.set_xticks(range(len(rungs)), names, fontsize=7)
        axis.set_title(_title(about, dataset, 50), fontsize=9)
    axes[0].set_ylabel("AUROC within domains, 95 % over slides")
    _legend(figure, axes[0])
    return add_synthetic_notice(figure, about["notice"])
