"""What a row's AUROC cost: a picture of `costs.csv`."""

import textwrap
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.cards import Card
from cryotome.report.figures.canvas import add_synthetic_notice, styles_of

WHERE = {"in_mean": "in domain", "out_mean": "out of domain"}
ALONE = {"in_mean": "all test cells"}  # of a dataset that is not in Table 2
NAMED = 3  # rows with too few records that a panel names
ASIDE = 3.0  # how far left of the cheapest row those stand that need no GPU
KINDS = {"o": "whole cost", ">": "at least: records are missing", "s": "needs no GPU (at the left)"}


def _placed(part: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Add `x`, hours, and `kind`, a marker; say what the hours are."""
    on_gpu = part["gpu_hours"].max() > 0
    x = part["gpu_hours"] if on_gpu else part["core_hours"]
    lacking = (part["missing"] > 0) | (part["killed"] > 0)
    kind = np.where(lacking, ">", "o")
    if on_gpu:
        aside = x == 0
        kind = np.where(aside, "s", kind)
        x = x.mask(aside, x[x > 0].min() / ASIDE).mask(aside & lacking)  # the GPU's may lack
    what = "GPU-hours" if on_gpu else "processor core-hours (no GPU ran)"
    return part.assign(x=x, kind=kind), what


def draw_costs(table: pd.DataFrame, about: Card) -> Figure:
    """Draw AUROC against the hours of each row, a line of panels per dataset.

    Rows that need no GPU stand left of those that do. A triangle says that a row took more than
    is drawn, for records are missing; a row with too few to be placed is named below.

    Parameters
    ----------
    table
        `costs.csv`.
    about
        The study's `table_rows`.
    """
    sns.set_theme(style="whitegrid", context="paper")
    datasets = list(dict.fromkeys(table["dataset"])) or [""]
    labels = about["labels"]
    colours = {row: look.colour for row, look in styles_of(about).items()}
    size = (4.2 * len(WHERE) + 2.6, 3.6 * len(datasets))
    figure, axes = plt.subplots(
        len(datasets), len(WHERE), layout="constrained", figsize=size, squeeze=False, sharey="row"
    )
    seen = set()
    for line, dataset in zip(axes, datasets, strict=True):
        part, what = _placed(table[table["dataset"] == dataset])
        places = WHERE if part["out_mean"].notna().any() else ALONE
        for axis, (name, where) in zip(line, places.items(), strict=False):
            _draw_panel(axis, part, name, colours)
            axis.set_title(f"{_title(about, dataset)}\n{where}", fontsize=9)
            axis.set(xscale="log", xlabel=f"{what}\n{_not_placed(part, labels)}")
            axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda hours, _: f"{hours:g}"))
            axis.minorticks_off()
        for axis in line[len(places) :]:
            axis.set_axis_off()
        line[0].set_ylabel("AUROC")
        seen |= set(part.dropna(subset="x")["kind"])
    _legend(figure, colours, labels, seen)
    return add_synthetic_notice(figure, about["notice"])


def _draw_panel(axis: Axes, part: pd.DataFrame, name: str, colours: dict) -> None:
    for row in part.dropna(subset=["x", name]).to_dict("records"):
        colour = colours[f"{row['model']} + {row['head']}"]
        fill = colour if row["kind"] == "o" else "none"
        look = {"marker": row["kind"], "ms": 8, "mec": colour, "mfc": fill, "mew": 1.6}
        axis.plot(row["x"], row[name], linestyle="", **look)
        if (part["model"] == row["model"]).sum() > 1:  # a model has one colour
            place: Card = {"xytext": (6, 3), "textcoords": "offset points", "fontsize": 6}
            axis.annotate(row["head"], (row["x"], row[name]), color=colour, **place)
    axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
    axis.margins(x=0.12)


def _not_placed(part: pd.DataFrame, labels: dict[str, str]) -> str:
    rows = part[part["x"].isna()]
    names = [labels[f"{row['model']} + {row['head']}"] for row in rows.to_dict("records")]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return textwrap.fill(f"too few records: {', '.join(names[:NAMED])}{more}", 56) if names else ""


def _title(about: Card, dataset: str) -> str:
    return textwrap.fill(about["datasets"].get(dataset, ""), 48, break_on_hyphens=False)


def _legend(figure: Figure, colours: dict, labels: dict[str, str], seen: set[str]) -> None:
    def mark(marker: str, colour: Any, fill: Any) -> Line2D:
        return Line2D([], [], linestyle="", marker=marker, mec=colour, mfc=fill, ms=7)

    handles = [mark("o", colour, colour) for colour in colours.values()]
    names = [textwrap.fill(labels[row], 34) for row in colours]
    for marker, meaning in KINDS.items():
        if marker in seen - {"o"}:
            handles.append(mark(marker, "0.3", "none"))
            names.append(meaning)
    figure.legend(handles, names, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
