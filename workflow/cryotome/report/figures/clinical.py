"""Figures for the pathologist: reliability diagrams, and Bland-Altman plots of mitotic counts."""

import math
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.clinical.mitotic_counts import deduplicate_tests
from cryotome.evaluation.clinical.regions import pooled_schemes
from cryotome.report.figures.charts import GREY, legend, lines, note, sheet, wrapped
from cryotome.study.facts import RowFacts
from cryotome.study.statistical_unit import UNKNOWN
from cryotome.study.styles import COLOURS, Style

ACROSS = 6  # panels beside each other
AXIS = alt.Axis(values=[0, 0.2, 0.4, 0.6, 0.8, 1], labelOverlap=True)
SIDE = 128  # px of a reliability diagram in a sheet
FEW = 10  # cells of a bin that is drawn
WIDTH, HEIGHT = 150, 120  # px of a Bland-Altman plot in a sheet
LIMITS = COLOURS["vermilion"]
ENDS = ["share_low", "share_high"]
PLACES = {"in": "in domain", "out": "out of domain"}
NO_REGION = (
    "No scheme of this study tests a region whole, so that nothing can be counted: add "
    "slide_grouped, from_* or except_*."
)
NOTHING = f"Nothing is counted per region ({UNKNOWN})."
CAPTION = [
    "A point is a region. Line: bias; dashed: 95 % limits of agreement; bars: 95 % intervals.",
    "Above each panel: bias (limits), number of regions. All rows: agreement.csv.",
]
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


def _titled(facts: RowFacts, scheme: str, where: str) -> str:
    """Name a scheme for people; `from_*` by what its schemes have in common."""
    schemes = facts.schemes.items()
    title = next(title for name, title in schemes if scheme in pooled_schemes(name))
    return f"{title}, {PLACES[where]}"


def _rows_of(table: pd.DataFrame) -> pd.Series:
    return table["model"] + " + " + table["head"]


def reliability_panel(bins: pd.DataFrame, looks: dict[str, Style], *, side: int = 0) -> Any:
    """Draw the share of positive cells over the mean score of bins, a line per key.

    Parameters
    ----------
    bins
        Columns `key`, `n`, `mean_score`, `share_positive` and the ends of its interval. Points
        grow with their cells; bins of fewer than `FEW` cells are not drawn.
    side
        Pixels of a panel in a sheet, which has its titles once; 0 for the page.
    """
    shares = bins["n"] / bins.groupby("key")["n"].transform("sum")
    ends = {name: bins[name].fillna(bins["share_positive"]) for name in ENDS}
    shown = bins.assign(area=8 + 160 * shares, **ends)[bins["n"] >= FEW]
    titles = ("", "") if side else ("mean score of a bin", "share of positive cells")
    scale = alt.Scale(domain=[-0.04, 1.04], nice=False)
    x = alt.X("mean_score:Q", title=titles[0], scale=scale, axis=AXIS)
    corners = alt.Chart(pd.DataFrame({"x": [0, 1], "y": [0, 1]}))
    even = corners.mark_line(color=GREY, strokeDash=[2, 3]).encode(
        x="x:Q", y=alt.Y("y:Q", axis=AXIS)
    )
    columns = ("share_positive", *ENDS)
    return even + lines(shown, looks, x=x, y=columns, title=titles[1], also=[0, 1])


def draw_reliability(tables: dict[str, pd.DataFrame], facts: RowFacts) -> Card:
    """Draw a reliability diagram per row, in and out of domain.

    Parameters
    ----------
    tables
        `reliability` and `calibration`, as `row_summary.summarise_rows` gives them.
    """
    bins, sums = (
        _pooled(tables[name]).assign(row=_rows_of) for name in ("reliability", "calibration")
    )
    shown = {str(name): _shown(_kinds(part)) for name, part in sums.groupby("dataset", sort=False)}
    kinds = dict.fromkeys(_titled(facts, *kind) for names in shown.values() for kind in names)
    looks = {kind: Style(colour, "circle", [])
             for kind, colour in zip(kinds, COLOURS.values(), strict=False)}  # fmt: skip
    sheets = []
    for dataset, mine in shown.items():
        some, whole = (
            _keyed(table[table["dataset"] == dataset], mine, facts) for table in (bins, sums)
        )
        panels = [_row_panel(some, whole, row, label, looks) for row, label in facts.labels.items()]
        sheets.append(sheet(panels, columns=ACROSS, title=facts.datasets[dataset]))
    names = {kind: kind for kind in looks} | {"even": "perfect calibration"}
    known = legend(looks | {"even": Style(GREY, "circle", [2, 3])}, names, columns=len(names))
    said = [
        "Across: mean score of a bin; up: share of positive cells. Numbers: Brier score · expected "
        "calibration error.",
        f"Points grow with their cells; bins of fewer than {FEW} cells are not drawn. All schemes: "
        "reliability.csv." + "  *: all scores of a fold are equal." * bool(sums["note"].any())
        + f" Intervals over {facts.unit}." * bool(facts.unknown_slides),
    ]  # fmt: skip
    return sheet(sheets, columns=1, below=[known, note(said)], notice=facts.notice)


def _keyed(table: pd.DataFrame, kinds: list[Pair], facts: RowFacts) -> pd.DataFrame:
    """Keep the lines of these schemes, with the title of each as `key`."""
    parts = [_of_kind(table, kind).assign(key=_titled(facts, *kind)) for kind in kinds]
    return pd.concat([table.iloc[:0].assign(key=""), *parts])


def _row_panel(
    bins: pd.DataFrame, sums: pd.DataFrame, row: str, label: str, looks: dict[str, Style]
) -> Any:
    """Draw a row's diagram, and its Brier scores and calibration errors above it."""
    layers = [reliability_panel(bins[bins["row"] == row], looks, side=SIDE)]
    for place, line in enumerate(sums[sums["row"] == row].to_dict("records")):
        said = f"{line['brier']:.3f} · {line['ece']:.3f}" + "*" * (line["note"] != "")
        text = alt.Chart(pd.DataFrame({"said": [said]})).mark_text(
            align="left", baseline="bottom", fontSize=8, color=looks[line["key"]].colour
        )
        at = {"x": alt.value(SIDE * place / 2), "y": alt.value(-3)}
        layers.append(text.encode(text="said:N", **at))
    title = alt.Title(wrapped(label, 28, 2), fontSize=9, offset=12)
    return alt.layer(*layers, width=SIDE, height=SIDE, title=title)


@dataclass(frozen=True)
class AgreementAxes:
    """Axes of a Bland-Altman plot.

    Attributes
    ----------
    titles
        Across and up.
    scales
        Across and up: of all that is drawn on them.
    """

    titles: tuple[str, str | list[str]]
    scales: tuple[alt.Scale, alt.Scale]


def agreement_panel(points: Any, limits: Any, axes: AgreementAxes, **look: Any) -> Any:
    """Draw counted less annotated of regions over their mean, with bias and limits of agreement.

    Parameters
    ----------
    points, limits
        Charts of the regions, columns `middle` and `gap`, and of the lines of agreement.csv.
    look
        Encodings of the points, such as their colour.
    """
    gap = alt.Y("gap:Q", title=axes.titles[1], scale=axes.scales[1])
    middle = alt.X("middle:Q", title=axes.titles[0], scale=axes.scales[0])
    zero = alt.Chart(pd.DataFrame({"level": [0]})).mark_rule(color=GREY, strokeDash=[2, 3])
    drawn = points.mark_point(filled=True, size=30, opacity=1, fillOpacity=0.7)
    layers = [zero.encode(y="level:Q"), drawn.encode(x=middle, y=gap, **look)]
    for place, end in enumerate(("bias", "lower", "upper")):
        dash = [1, 0] if end == "bias" else [5, 3]
        rule = limits.mark_rule(color=LIMITS, strokeDash=dash, strokeWidth=1.2)
        aside = 4 * place - 14  # px: beside each other, for few regions have intervals that overlap
        bar = limits.mark_rule(color=LIMITS, strokeWidth=2, xOffset=aside, strokeOpacity=0.6)
        ends = {"y": f"{end}_low:Q", "y2": f"{end}_high:Q"}
        layers += [rule.encode(y=f"{end}:Q"), bar.encode(x=alt.value("width"), **ends)]
    return alt.layer(*layers)


def scale_over(*values: pd.Series) -> alt.Scale:
    """Return a scale of all that can be shown, so that it stays and is never empty."""
    known = pd.concat(values).dropna()
    pad = 0.06 * (known.max() - known.min() or 1)
    return alt.Scale(domain=[known.min() - pad, known.max() + pad], nice=False, zero=False)


def draw_bland_altman(tables: dict[str, pd.DataFrame], facts: RowFacts) -> Card:
    """Draw counted less annotated against their mean, a panel per domain, for Figure 2's rows.

    Parameters
    ----------
    tables
        `counts` and `agreement`, as `row_summary.summarise_rows` gives them.
    """
    counts, limits = (
        table.assign(row=_rows_of) for table in (tables["counts"], _pooled(tables["agreement"]))
    )
    counts, limits = (table[table["row"].isin(facts.figure2)] for table in (counts, limits))
    blocks = [(str(d), kind) for d, part in limits.groupby("dataset") for kind in _kinds(part)]
    if not blocks:
        said = NOTHING if facts.unit == UNKNOWN else NO_REGION
        return sheet([note(wrapped(said, 70))], notice=facts.notice)
    sheets = [_block(counts, limits, dataset, kind, facts) for dataset, kind in blocks]
    unit = [f"Unit of the intervals: {facts.unit}."] * bool(facts.unknown_slides)
    return sheet(sheets, columns=1, below=[note([*CAPTION, *unit])], notice=facts.notice)


def _block(
    counts: pd.DataFrame, limits: pd.DataFrame, dataset: str, kind: Pair, facts: RowFacts
) -> Card:
    """Draw the panels of a dataset and a scheme: rows down, domains across."""
    found = _of_kind(limits[limits["dataset"] == dataset], kind)
    regions = counts[(counts["dataset"] == dataset) & (counts["where"] == kind[1])]
    regions = regions[[kind[0] in pooled_schemes(name) for name in regions["scheme"]]]
    domains = {d: title for d, title in facts.domains[dataset].items()
               if (found["domain"] == d).any()}  # fmt: skip
    rows = [row for row in dict.fromkeys(facts.figure2)
            if (found["row"] == row).any()]  # fmt: skip
    unit = found["unit"].iloc[0].replace("mm2", "mm²")
    points = pd.concat([
        deduplicate_tests(regions[regions["row"] == row]).assign(row=row) for row in rows
    ])  # fmt: skip
    points["middle"] = (points["counted"] + points["annotated"]) / 2
    points["gap"] = points["counted"] - points["annotated"]
    panels = []
    for row in rows:
        for domain, title in domains.items():
            up = [*wrapped(facts.labels[row], 28), f"counted − annotated, {unit}"]
            axes = AgreementAxes(
                (f"mean of both, {unit}" if row == rows[-1] else "",
                 up if domain == next(iter(domains)) else ""),
                _domain_scales(points, found, domain),
            )  # fmt: skip
            parts = [table[(table["row"] == row) & (table["domain"] == domain)]
                     for table in (points, found)]  # fmt: skip
            panels.append(_region_panel(parts[0], parts[1], axes, title))
    head = [facts.datasets[dataset], _titled(facts, *kind)]
    return sheet(panels, columns=len(domains), title=head)


def _domain_scales(
    points: pd.DataFrame, limits: pd.DataFrame, domain: str
) -> tuple[alt.Scale, alt.Scale]:
    """Return the scales of all panels of a domain, below each other."""
    part, found = points[points["domain"] == domain], limits[limits["domain"] == domain]
    ends = [found[f"{end}{side}"] for end in ("bias", "lower", "upper")
            for side in ("", "_low", "_high")]  # fmt: skip
    return scale_over(part["middle"]), scale_over(part["gap"], *ends)


def _region_panel(
    points: pd.DataFrame, limits: pd.DataFrame, axes: AgreementAxes, title: str
) -> Any:
    """Draw the regions of a row in a domain, with bias and limits written above."""
    if limits.empty:  # an empty place in the grid
        return note([""]).properties(width=WIDTH, height=HEIGHT)
    values = (_signed(limits[name].iloc[0]) for name in ("bias", "lower", "upper"))
    said = "{} ({} to {})".format(*values)
    columns = ["image", "annotated", "counted", "middle", "gap"]
    ends = [f"{end}{side}" for end in ("bias", "lower", "upper") for side in ("", "_low", "_high")]
    panel = agreement_panel(alt.Chart(points[columns]), alt.Chart(limits[ends]), axes)
    head = alt.Title([*wrapped(title, 30, 2), f"{said}, n = {len(points)}"], fontSize=9)
    return panel.properties(width=WIDTH, height=HEIGHT, title=head)


def _signed(value: float) -> str:
    """Return a number with its sign and two or more digits; nothing where it is unknown.

    >>> _signed(-0.042), _signed(301.2), _signed(0.0)
    ('−0.04', '+301', '+0.00')
    """
    if not math.isfinite(value):
        return "?"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:+.{digits}f}".replace("-", "−")
