"""Figures of the page, drawn by Vega from specifications that Altair writes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.page.grids import Grid
from cryotome.study.styles import Style

HEIGHT = 260  # px
LABEL = alt.ExprRef("windowSize()[0] < 640 ? 120 : 260")  # px that a row's name may take
DIM = 0.08  # opacity of rows that the reader has switched off
SHOWN = f"length(shown) == 0 || indexof(shown, datum.key) >= 0 ? 1 : {DIM}"


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name
        Its id in the page.
    spec
        A Vega-Lite specification without its own legend: rows are named once above.
    said
        What it shows, for who does not see it.
    behind
        The table of its numbers.
    wide
        It takes the whole width.
    """

    name: str
    title: str
    spec: Card
    said: str
    behind: Grid
    wide: bool = False


def row_chart(looks: dict[str, Style], kind: str) -> Any:
    """Return the encoding of a row's `colour`, `fill`, `mark` or `dash`, the same everywhere."""
    domain = list(looks)
    ranges = [getattr(looks[row], "colour" if kind == "fill" else kind) for row in domain]
    scale = alt.Scale(domain=domain, range=ranges)
    channels = {"colour": alt.Color, "mark": alt.Shape, "dash": alt.StrokeDash, "fill": alt.Fill}
    return channels[kind]("key:N", scale=scale, legend=None)


def tips(**fields: str) -> list[alt.Tooltip]:
    """Return what hovering says: a heading to a field with its format, `mean:.3f`."""
    parts = {title: field.partition(":") for title, field in fields.items()}
    return [
        alt.Tooltip(field, title=title.replace("_", " "), type="quantitative", format=form)
        if form
        else alt.Tooltip(field, title=title.replace("_", " "), type="nominal")
        for title, (field, _, form) in parts.items()
    ]


def with_theme(chart: Any, *, height: int | None = HEIGHT, rows: bool = True) -> Card:
    """Turn a chart into a specification that fits its place, with the switch of rows."""
    if rows:
        chart = chart.add_params(alt.param(name="shown", value=[]))
    size: Card = {"width": "container"} | ({"height": height} if height else {})
    chart = chart.properties(**size)
    with alt.data_transformers.disable_max_rows():  # Altair refuses more than 5,000 lines
        spec: Card = chart.to_dict()
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    return spec


def lines(
    table: pd.DataFrame,
    looks: dict[str, Style],
    *,
    x: alt.X,
    y: str = "auroc",
    low: str = "low",
    high: str = "high",
    title: str = "AUROC",
    tip: list[alt.Tooltip],
    floor: float | None = None,
    also: Iterable[float] = (),
) -> Any:
    """Draw a line with points and intervals for every row.

    Parameters
    ----------
    table
        Columns `key` (the row), those named, and what `tip` and `x` speak of.
    floor
        Level of a dotted line, such as the AUROC of chance.
    also
        Heights of what will be drawn on it.
    """
    colour = row_chart(looks, "colour")
    seen = {"opacity": alt.OpacityValue(alt.expr(SHOWN))}
    ends = [v for c in (y, low, high) for v in table[c].dropna()] + ([floor] if floor else [])
    ends += [value for value in also if value == value]
    pad = 0.04 * (max(ends) - min(ends) or 1)
    scale = alt.Scale(domain=[min(ends) - pad, max(ends) + pad], nice=False, zero=False)
    height = alt.Y(f"{y}:Q", title=title, scale=scale)
    base = alt.Chart(table).encode(x=x, color=colour)
    layers: list[Any] = [
        base.mark_line(strokeWidth=1.5).encode(
            y=height, strokeDash=row_chart(looks, "dash"), detail="key:N", **seen
        ),
        base.mark_rule(strokeWidth=1).encode(
            y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q", **seen
        ),
        base.mark_point(filled=True, size=70).encode(
            y=height, shape=row_chart(looks, "mark"), tooltip=tip, **seen
        ),
    ]
    if floor is not None:
        level = alt.Chart(pd.DataFrame({"level": [floor]}))
        layers.insert(0, level.mark_rule(strokeDash=[2, 3], color="#888").encode(y="level:Q"))
    return alt.layer(*layers)


def spans(
    table: pd.DataFrame,
    looks: dict[str, Style],
    *,
    value: str,
    title: str,
    tip: list[alt.Tooltip],
    zero: float | None = None,
    band: float = 0.0,
    order: Iterable[str] = (),
    only: str = "",
) -> Any:
    """Draw a point with its interval for every row, rows below each other.

    Parameters
    ----------
    table
        Columns `key`, `row` (for people), `low`, `high` and the value.
    zero, band
        A line and a band about it: what counts as equal.
    order
        Rows from above, by their names for people.
    only
        An expression that says which lines are drawn.
    """
    names = list(order) or list(dict.fromkeys(table["row"]))
    y = alt.Y("row:N", sort=names, title=None, axis=alt.Axis(labelLimit=LABEL))
    seen = {"opacity": alt.OpacityValue(alt.expr(SHOWN))}
    base = alt.Chart(table).encode(y=y, color=row_chart(looks, "colour"))
    base = base.transform_filter(only) if only else base
    axis = alt.Scale(zero=False)
    layers: list[Any] = []
    if zero is not None:
        at = pd.DataFrame({"from": [zero - band], "to": [zero + band], "level": [zero]})
        if band:
            layers.append(
                alt.Chart(at).mark_rect(color="#888", opacity=0.15).encode(x="from:Q", x2="to:Q")
            )
        layers.append(alt.Chart(at).mark_rule(strokeDash=[2, 3], color="#888").encode(x="level:Q"))
    layers += [
        base.mark_rule(strokeWidth=1.5).encode(
            x=alt.X("low:Q", title=title, scale=axis), x2="high:Q", **seen
        ),
        base.mark_point(filled=True, size=80).encode(
            x=alt.X(f"{value}:Q", title=title, scale=axis),
            shape=row_chart(looks, "mark"), tooltip=tip, **seen,
        ),
    ]  # fmt: skip
    return alt.layer(*layers)


def matrix(
    table: pd.DataFrame, *, down: str, across: str, value: str, titles: tuple[str, str, str],
    tip: list[alt.Tooltip], domain: tuple[float, float], orders: tuple[list[str], list[str]],
) -> Any:  # fmt: skip
    """Draw a matrix of numbers, each written into its square.

    Parameters
    ----------
    titles
        Of what goes down, across, and of the number.
    """
    y = alt.Y(f"{down}:N", sort=orders[0], title=titles[0], axis=alt.Axis(labelLimit=LABEL))
    x = alt.X(f"{across}:N", sort=orders[1], title=titles[1],
              axis=alt.Axis(labelAngle=-35, labelLimit=LABEL))  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=list(domain), clamp=True)
    base = alt.Chart(table).encode(x=x, y=y)
    colour = alt.Color(f"{value}:Q", scale=scale, title=titles[2],
                       legend=alt.Legend(orient="top", gradientLength=160))  # fmt: skip
    middle = (domain[0] + domain[1]) / 2
    ink = alt.condition(f"datum.{value} > {middle}", alt.value("#000"), alt.value("#fff"))
    layers: list[Any] = [base.mark_rect().encode(color=colour, tooltip=tip)]
    if max(map(len, orders)) <= 12:  # more squares than that have no room for numbers
        written = (
            base.transform_filter(f"isValid(datum.{value})")
            .mark_text(fontSize=11)
            .encode(text=alt.Text(f"{value}:Q", format=".2f"))
        )
        layers.append(written.encode(color=ink))
    return alt.layer(*layers)
