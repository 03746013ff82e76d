"""Figures for the pathologist: reliability diagrams, and Bland-Altman plots of mitotic counts."""

import math
import textwrap

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryotome.calibration import ALIKE
from cryotome.cards import Card
from cryotome.counting import PER_MM2, once_each
from cryotome.figures import noticed
from cryotome.regions import pools

ACROSS = 6  # panels beside each other
PLACES = {"in": "in domain", "out": "out of domain"}
NO_REGION = (
    "No scheme of this study tests a region whole,\nso that nothing can be counted: add "
    "slide_grouped, from_* or except_*."
)
Pair = tuple[str, str]


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of schemes that are pooled under no other name."""
    return table[[pools(scheme)[-1] == scheme for scheme in table["scheme"]]]


def _titled(about: Card, scheme: str, where: str) -> str:
    """Name a scheme for people; `from_*` by what its schemes have in common."""
    schemes = about["schemes"].items()
    title = next(title for name, title in schemes if scheme in pools(name))
    return f"{title}, {PLACES[where]}"


def _rows_of(table: pd.DataFrame) -> pd.Series:
    return table["model"] + " + " + table["head"]


def draw_reliability(tables: dict[str, pd.DataFrame], about: Card) -> Figure:
    """Draw a reliability diagram per row: a line per scheme, in and out of domain.

    Parameters
    ----------
    tables
        `reliability` and `calibration`, as `clinic.of_rows` gives them.
    about
        The study's `table_rows`.
    """
    bins, sums = (_pooled(tables[name]) for name in ("reliability", "calibration"))
    kinds = list(dict.fromkeys(zip(sums["scheme"], sums["where"], strict=True)))
    colours = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    rows, datasets = list(about["labels"]), list(dict.fromkeys(sums["dataset"]))
    across = min(ACROSS, len(rows))
    down = math.ceil(len(rows) / across)
    sns.set_theme(style="whitegrid", context="paper")
    size = (2.15 * across + 0.6, len(datasets) * (2.45 * down + 0.5) + 0.7)
    figure = plt.figure(figsize=size, layout="constrained")
    for sheet, dataset in zip(figure.subfigures(len(datasets), squeeze=False)[:, 0], datasets,
                              strict=True):  # fmt: skip
        sheet.suptitle(about["datasets"][dataset], fontsize=10, weight="bold")
        axes = sheet.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat
        for axis, row in zip(axes, rows, strict=False):
            parts = [t[(t["dataset"] == dataset) & (_rows_of(t) == row)] for t in (bins, sums)]
            _draw_bins(axis, *parts, colours)
            axis.set_title(textwrap.fill(about["labels"][row], 30), fontsize=8)
        for axis in axes[len(rows) :]:
            axis.set_axis_off()
        sheet.supxlabel("score: the chance that the row gives", fontsize=9)
        sheet.supylabel("share that is positive", fontsize=9)
    _legend(figure, {_titled(about, *kind): colour for kind, colour in colours.items()})
    return noticed(figure, about["notice"])


def _draw_bins(axis: Axes, bins: pd.DataFrame, sums: pd.DataFrame, colours: dict) -> None:
    axis.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
    axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axis.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axis.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    for place, line in enumerate(sums.to_dict("records")):
        kind = (line["scheme"], line["where"])
        part = bins[(bins["scheme"] == kind[0]) & (bins["where"] == kind[1])]
        x, y, look = part["mean_score"], part["share_positive"], {"color": colours[kind]}
        axis.vlines(x, part["share_low"], part["share_high"], lw=1, alpha=0.45, **look)
        axis.plot(x, y, lw=1, **look)
        axis.scatter(x, y, s=4 + 80 * part["n"] / part["n"].sum(), lw=0, clip_on=False, **look)
        text = f"{line['brier']:.2f} · {line['ece']:.2f}"
        text += " (alike)" if line["note"] == ALIKE else ""
        axis.text(0.03, 0.97 - 0.1 * place, text, va="top", fontsize=7, **look)


def _legend(figure: Figure, colours: dict[str, tuple]) -> None:
    handles = [plt.Line2D([], [], color=c, marker="o", ms=4) for c in colours.values()]
    handles += [plt.Line2D([], [], color="0.6", linestyle=":")]
    names = [*colours, "perfect calibration"]
    title = "Numbers: Brier score · expected calibration error. Points grow with their cells."
    figure.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 0.0), frameon=False,
                  ncols=3, title=title, title_fontsize=8, fontsize=8)  # fmt: skip


def draw_bland_altman(tables: dict[str, pd.DataFrame], about: Card) -> Figure:
    """Draw counted less annotated against their mean, a panel per domain, for Figure 2's rows.

    Parameters
    ----------
    tables
        `counts` and `agreement`, as `clinic.of_rows` gives them.
    about
        The study's `table_rows`.
    """
    rows = [f"{model} + {head}" for model, head in about["figure2"]]
    counts, limits = tables["counts"], _pooled(tables["agreement"])
    counts, limits = (t[_rows_of(t).isin(rows)] for t in (counts, limits))
    blocks = list(dict.fromkeys(zip(limits["dataset"], limits["scheme"], limits["where"],
                                    strict=True)))  # fmt: skip
    sns.set_theme(style="whitegrid", context="paper")
    if not blocks:
        figure = plt.figure(figsize=(6, 2))
        figure.text(0.5, 0.5, NO_REGION, ha="center", va="center")
        return noticed(figure, about["notice"])
    widest = max(len(about["domains"][dataset]) for dataset, _, _ in blocks)
    size = (2.5 * widest + 1.2, len(blocks) * (2.1 * len(rows) + 0.6))
    figure = plt.figure(figsize=size, layout="constrained")
    for sheet, (dataset, scheme, where) in zip(
        figure.subfigures(len(blocks), squeeze=False)[:, 0], blocks, strict=True
    ):
        sheet.suptitle(
            f"{about['datasets'][dataset]}\n{_titled(about, scheme, where)}", fontsize=10
        )
        regions = counts[(counts["dataset"] == dataset) & (counts["where"] == where)]
        regions = regions[[scheme in pools(name) for name in regions["scheme"]]]
        lines = limits[(limits["dataset"] == dataset) & (limits["scheme"] == scheme)]
        axes = sheet.subplots(
            len(rows), widest, squeeze=False, sharex="col", sharey="col"
        )
        for line, row in zip(axes, rows, strict=True):
            parts = regions[_rows_of(regions) == row], lines[_rows_of(lines) == row]
            _draw_row(line, parts[0], parts[1][parts[1]["where"] == where], about, dataset)
            line[0].set_ylabel(textwrap.fill(about["labels"][row], 28), fontsize=8)
        unit = f", {limits['unit'].iloc[0].replace('mm2', 'mm²')}"
        sheet.supxlabel(f"mean of counted and annotated{unit}", fontsize=9)
        sheet.supylabel("counted − annotated", fontsize=9)
    return noticed(figure, about["notice"])


def _draw_row(line, regions: pd.DataFrame, limits: pd.DataFrame, about: Card, dataset: str) -> None:
    points = once_each(regions)
    titles = about["domains"][dataset]
    for axis, (domain, title) in zip(line, titles.items(), strict=False):
        part = points[points["domain"] == domain]
        found = limits[limits["domain"] == domain]
        if found.empty:
            axis.set_axis_off()
            continue
        _draw_limits(axis, part, found.iloc[0])
        axis.set_title(f"{title} (n = {len(part)})", fontsize=8)
    for axis in line[len(titles) :]:
        axis.set_axis_off()


def _draw_limits(axis: Axes, points: pd.DataFrame, found: pd.Series) -> None:
    gap = points["counted"] - points["annotated"]
    axis.axhline(0, color="0.6", lw=0.8, linestyle=":")
    axis.scatter((points["counted"] + points["annotated"]) / 2, gap, s=12, alpha=0.6, lw=0)
    for name, style in (("bias", "-"), ("lower", "--"), ("upper", "--")):
        axis.axhline(found[name], color="C1", lw=1, linestyle=style)
        axis.axhspan(found[f"{name}_low"], found[f"{name}_high"], color="C1", alpha=0.12, lw=0)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        axis.annotate(f"{found[name]:+.1f}", (0.99, found[name]), xytext=(0, 1), ha="right",
                      va="bottom", fontsize=7, **place)  # fmt: skip
