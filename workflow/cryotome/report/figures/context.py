"""Figure of the context study: AUROC against the side of the crop."""

import fnmatch

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
from cryotome.study.variants import TOKENS

PANEL = ["base_dataset", "scheme", "where"]


PLACES = {"in": "in domain", "out": "out of domain", "all": "all domains"}


def draw_context(table: pd.DataFrame, sweep: Card, about: Card) -> Figure:
    """Draw AUROC against the side of the crop: panels by place and pooling, a line a model.

    Models whose networks return no tokens stand in every panel, dashed.

    Parameters
    ----------
    table
        From `tabulate_context`; of several fractions, the largest is drawn.
    sweep, about
        The study's `sweep` and `table_rows`.
    """
    table = table[table["fraction"] == table["fraction"].max()]
    swept = table["pooling"].isin(sweep["poolings"])
    columns = [how for how in sweep["poolings"] if (table["pooling"] == how).any()] or [""]
    places = list(dict.fromkeys(table[PANEL].itertuples(index=False, name=None)))
    rows = table["base_model"] + " + " + table["head"]
    looks, keys = styles_of(about), table["model"] + " + " + table["head"]
    # a line is a model under its poolings: it looks as the first of them
    colours = {row: looks[key].colour for row, key in reversed(list(zip(rows, keys, strict=True)))}
    colours = {row: colours[row] for row in dict.fromkeys(rows)}
    labels = {row: _label(row, sweep, about) for row in colours}
    sns.set_theme(style="whitegrid", context="paper")
    size = (3.4 * len(columns) + 2.4, 3.2 * len(places))
    figure, axes = plt.subplots(
        len(places), len(columns), squeeze=False, sharey="row", layout="constrained", figsize=size
    )
    for line, place in zip(axes, places, strict=True):
        here = (table[PANEL] == list(place)).all(axis=1)
        for axis, how in zip(line, columns, strict=True):
            chosen = here & ((table["pooling"] == how) | ~swept)
            solid = swept | (not how)
            _draw_lines(axis, table[chosen].assign(row=rows, solid=solid), colours, labels)
            title = f"{sweep['bases'][place[0]]['title']}, {_scheme(place[1], about)}"
            words = TOKENS[how][0] if how else "as the cards pool"
            axis.set_title(f"{title}\n{PLACES[place[2]]}; {words}", fontsize=8)
        line[0].set_ylabel(f"AUROC, 95 % over {unit_of(about)}")
    handles, names = axes[0, 0].get_legend_handles_labels()
    where: Card = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
    note = "dashed: returns no tokens" if swept.any() and not swept.all() else None
    figure.legend(handles, names, title=note, **where)
    return add_synthetic_notice(figure, about["notice"])


def _label(row: str, sweep: Card, about: Card) -> str:
    model, head = row.split(" + ")
    return f"{sweep['titles'][model]} + {about['heads'][head]}"


def _scheme(name: str, about: Card) -> str:
    """Return the title of a scheme, of `from_*` that of one of its domains."""
    return about["schemes"][min(fnmatch.filter(about["schemes"], name), key=len)]


def _draw_lines(axis: Axes, part: pd.DataFrame, colours: dict, labels: dict) -> None:
    """Draw a panel's lines, beside each other so that intervals do not hide each other."""
    sides = sorted(part["side"].unique())
    for place, (row, colour) in enumerate(colours.items()):
        line = part[part["row"] == row].sort_values("side")
        x = line["side"] * 1.02 ** (place - (len(colours) - 1) / 2)
        error = np.abs(line[["low", "high"]].to_numpy().T - line["auroc"].to_numpy())
        style = "-" if line["solid"].all() else "--"
        look = {"color": colour, "label": labels[row], "marker": "o", "ms": 4, "capsize": 2}
        axis.errorbar(x, line["auroc"], yerr=error, linestyle=style, **look)
    axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
    axis.set(xscale="log", xlabel="side of the crop, px")
    axis.set_xticks(sides, [f"{side:g}" for side in sides])
    axis.minorticks_off()
    um = part.drop_duplicates("side").sort_values("side")["um"]
    if um.notna().all():
        above = axis.secondary_xaxis("top")
        above.set_xticks(sides, [f"{value:.0f} µm" for value in um])
        above.minorticks_off()
