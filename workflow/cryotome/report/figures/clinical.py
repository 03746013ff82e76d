"""Figures for the pathologist: reliability diagrams, and Bland-Altman plots of mitotic counts."""

import math
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.cards import Card
from cryotome.evaluation.clinical.mitotic_counts import deduplicate_tests
from cryotome.evaluation.clinical.regions import pooled_schemes
from cryotome.report.figures.canvas import add_synthetic_notice
from cryotome.study.statistical_unit import UNKNOWN, unit_of

ACROSS = 6  # panels beside each other
TICKS = [0.2, 0.5, 0.8]
FEW = 10  # cells of a bin that is drawn
PLACES = {"in": "in domain", "out": "out of domain"}
NO_REGION = (
    "No scheme of this study tests a region whole,\nso that nothing can be counted: add "
    "slide_grouped, from_* or except_*."
)
NOTHING = f"Nothing is counted per region ({UNKNOWN})."
CAPTION = (
    "A point is a region. Line: bias; dashed: 95 % limits of agreement; bars: their 95 % intervals."
    "\nAbove each panel: bias (limits), number of regions. All rows: agreement.csv."
)
Pair = tuple[str, str]


def _pooled(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of schemes that are pooled under no other name."""
    return table[
        np.array([pooled_schemes(scheme)[-1] == scheme for scheme in table["scheme"]], dtype=bool)
    ]


def _kinds(table: pd.DataFrame) -> list[Pair]:
    """Return the schemes of a table, in and out of domain, in its order."""
    return list(dict.fromkeys(zip(table["scheme"], table["where"], strict=True)))


def _of_kind(table: pd.DataFrame, kind: Pair) -> pd.DataFrame:
    return table[(table["scheme"] == kind[0]) & (table["where"] == kind[1])]


def _shown(kinds: list[Pair]) -> list[Pair]:
    """Choose one scheme in domain and one out of it: `from_*`, else the last, the strictest.

    >>> _shown([("random", "in"), ("slide_grouped", "in"), ("except_*", "out")])
    [('slide_grouped', 'in'), ('except_*', 'out')]
    """
    found = []
    for where in PLACES:
        schemes = [scheme for scheme, place in kinds if place == where]
        first = [scheme for scheme in schemes if scheme == "from_*"]
        found += [(scheme, where) for scheme in (first or schemes)[-1:]]
    return found


def _titled(about: Card, scheme: str, where: str) -> str:
    """Name a scheme for people; `from_*` by what its schemes have in common."""
    schemes = about["schemes"].items()
    title = next(title for name, title in schemes if scheme in pooled_schemes(name))
    return f"{title}, {PLACES[where]}"


def _rows_of(table: pd.DataFrame) -> pd.Series:
    return table["model"] + " + " + table["head"]


def draw_reliability(tables: dict[str, pd.DataFrame], about: Card) -> Figure:
    """Draw a reliability diagram per row, in and out of domain.

    Parameters
    ----------
    tables
        `reliability` and `calibration`, as `clinic.of_rows` gives them.
    about
        The study's `table_rows`.
    """
    bins, sums = (_pooled(tables[name]) for name in ("reliability", "calibration"))
    shown = {str(name): _shown(_kinds(part)) for name, part in sums.groupby("dataset", sort=False)}
    kinds = list(dict.fromkeys(kind for names in shown.values() for kind in names))
    colours = dict(zip(kinds, sns.color_palette("colorblind", len(kinds)), strict=True))
    across = min(ACROSS, len(about["labels"]))
    down = math.ceil(len(about["labels"]) / across)
    sns.set_theme(style="whitegrid", context="paper")
    size = (2.15 * across + 0.6, len(shown) * (2.6 * down + 0.5) + 0.7)
    figure = plt.figure(figsize=size, layout="constrained")
    sheets = figure.subfigures(len(shown), squeeze=False)[:, 0]
    for sheet, (dataset, mine) in zip(sheets, shown.items(), strict=True):
        sheet.suptitle(about["datasets"][dataset], fontsize=10, weight="bold")
        axes = sheet.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        parts = [table[table["dataset"] == dataset] for table in (bins, sums)]
        _draw_sheet(axes, parts, about["labels"], {kind: colours[kind] for kind in mine})
        sheet.supxlabel("score: the chance that the row gives", fontsize=9)
        sheet.supylabel("share that is positive", fontsize=9)
    titles = {_titled(about, *kind): colour for kind, colour in colours.items()}
    unit = f" Intervals over {unit_of(about)}." * bool(about.get("unknown_slides"))
    _legend(figure, titles, alike=bool((sums["note"] != "").any()), unit=unit)
    return add_synthetic_notice(figure, about["notice"])


def _draw_sheet(axes: np.ndarray, parts: list[pd.DataFrame], labels: Card, colours: dict) -> None:
    for axis, (row, label) in zip(axes.flat, labels.items(), strict=False):
        bins, sums = (table[_rows_of(table) == row] for table in parts)
        axis.plot([0, 1], [0, 1], color="0.6", linestyle=":", linewidth=1)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal", xticks=TICKS, yticks=TICKS)
        axis.tick_params(labelsize=8)
        axis.set_title(textwrap.fill(label, 30), fontsize=8, pad=16)
        for place, (kind, colour) in enumerate(colours.items()):
            line, part = _of_kind(sums, kind), _of_kind(bins, kind)
            if len(line):
                _draw_bins(axis, part, colour)
                text = f"{line['brier'].iloc[0]:.3f} · {line['ece'].iloc[0]:.3f}"
                text += "*" * (line["note"].iloc[0] != "")
                axis.text(0.5 * place, 1.02, text, va="bottom", fontsize=7, color=colour)
    for axis in axes.flat[len(labels) :]:
        axis.set_axis_off()


def _draw_bins(axis: Axes, part: pd.DataFrame, colour: tuple) -> None:
    sizes = 4 + 80 * part["n"] / part["n"].sum()
    part = part[part["n"] >= FEW]
    x, y, look = part["mean_score"], part["share_positive"], Card(color=colour)
    axis.vlines(x, part["share_low"], part["share_high"], lw=1, alpha=0.45, **look)
    axis.plot(x, y, lw=1, **look)
    axis.scatter(x, y, s=sizes[part.index], lw=0, clip_on=False, zorder=3, **look)


def _legend(figure: Figure, colours: dict[str, tuple], *, alike: bool, unit: str) -> None:
    handles = [plt.Line2D([], [], color=c, marker="o", ms=4) for c in colours.values()]
    handles += [plt.Line2D([], [], color="0.6", linestyle=":")]
    names = [*colours, "perfect calibration"]
    title = (
        "Numbers: Brier score · expected calibration error. Points grow with their cells; bins of "
        f"fewer than {FEW} cells are not drawn. All schemes: reliability.csv."
    )
    title += "  *: all scores of a fold are equal." * alike + unit
    figure.legend(handles, names, loc="upper center", bbox_to_anchor=(0.5, 0.0), frameon=False,
                  ncols=3, title=textwrap.fill(title, 28 * ACROSS), title_fontsize=8,
                  fontsize=8)  # fmt: skip


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
    counts, limits = (table[_rows_of(table).isin(rows)] for table in (counts, limits))
    blocks = [(str(d), kind) for d, part in limits.groupby("dataset") for kind in _kinds(part)]
    sns.set_theme(style="whitegrid", context="paper")
    if not blocks:
        figure = plt.figure(figsize=(6, 2))
        said = NOTHING if unit_of(about) == UNKNOWN else NO_REGION
        figure.text(0.5, 0.5, said, ha="center", va="center")
        return add_synthetic_notice(figure, about["notice"])
    widest = max(len(about["domains"][dataset]) for dataset, _ in blocks)
    size = (2.5 * widest + 1.2, len(blocks) * (2.3 * len(rows) + 0.6))
    figure = plt.figure(figsize=size, layout="constrained")
    sheets = figure.subfigures(len(blocks), squeeze=False)[:, 0]
    for sheet, (dataset, kind) in zip(sheets, blocks, strict=True):
        title = f"{about['datasets'][dataset]}\n{_titled(about, *kind)}"
        sheet.suptitle(title, fontsize=10)
        axes = sheet.subplots(len(rows), widest, squeeze=False, sharex="col", sharey="col")
        found = _of_kind(limits[limits["dataset"] == dataset], kind)
        regions = counts[(counts["dataset"] == dataset) & (counts["where"] == kind[1])]
        regions = regions[[kind[0] in pooled_schemes(name) for name in regions["scheme"]]]
        for line, row in zip(axes, rows, strict=True):
            mine, limit = (table[_rows_of(table) == row] for table in (regions, found))
            _draw_row(line, mine, limit, about["domains"][dataset])
            line[0].set_ylabel(textwrap.fill(about["labels"][row], 28), fontsize=8)
        unit = found["unit"].iloc[0].replace("mm2", "mm²")
        sheet.supxlabel(f"mean of counted and annotated, {unit}", fontsize=9)
        sheet.supylabel(f"counted − annotated, {unit}", fontsize=9)
    unit = f"\nUnit of the intervals: {unit_of(about)}." * bool(about.get("unknown_slides"))
    figure.text(0.5, -0.01, CAPTION + unit, ha="center", va="top", fontsize=8)
    return add_synthetic_notice(figure, about["notice"])


def _draw_row(line: np.ndarray, regions: pd.DataFrame, limits: pd.DataFrame, titles: Card) -> None:
    points = deduplicate_tests(regions)
    for axis, (domain, title) in zip(line, titles.items(), strict=False):
        part, found = points[points["domain"] == domain], limits[limits["domain"] == domain]
        if len(found):
            _draw_limits(axis, part, found.iloc[0])
            values = (_signed(found[name].iloc[0]) for name in ("bias", "lower", "upper"))
            said = "{} ({} to {})".format(*values)
            axis.set_title(f"{textwrap.fill(title, 30)}\n{said}, n = {len(part)}", fontsize=8)
    for axis in line:
        if not axis.has_data():
            axis.set_axis_off()


def _signed(value: float) -> str:
    """Return a number with its sign and two or more digits; nothing where it is unknown.

    >>> _signed(-0.042), _signed(301.2), _signed(0.0)
    ('−0.04', '+301', '+0.00')
    """
    if not math.isfinite(value):
        return "?"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:+.{digits}f}".replace("-", "−")


def _draw_limits(axis: Axes, points: pd.DataFrame, found: pd.Series) -> None:
    gap = points["counted"] - points["annotated"]
    axis.axhline(0, color="0.6", lw=0.8, linestyle=":")
    axis.scatter((points["counted"] + points["annotated"]) / 2, gap, s=12, alpha=0.6, lw=0)
    axis.tick_params(labelsize=8)
    axis.margins(x=0.12)
    edge = axis.get_yaxis_transform()  # x as a share of the panel
    for place, (name, style) in enumerate((("bias", "-"), ("lower", "--"), ("upper", "--"))):
        axis.axhline(found[name], color="C1", lw=1, linestyle=style)
        ends = [found[f"{name}_low"], found[f"{name}_high"]]
        x = 0.94 + 0.022 * place  # beside each other: few regions have intervals that overlap
        axis.plot([x, x], ends, color="C1", lw=2, alpha=0.5, transform=edge)
        axis.plot([x], [found[name]], color="C1", marker="o", ms=3, transform=edge)
