"""Charts that all figures share: rows in their styles, panels in a sheet, the synthetic notice.

A panel is drawn once: the page shows it by itself and lets its reader choose rows; a sheet of
panels with a legend becomes PDF and PNG.
"""

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.charts import specification
from cryotome.study.styles import Style

GREY = "#888"
LABEL = alt.ExprRef("windowSize()[0] < 640 ? 120 : 260")  # px that a row's name may take
LINE = 12  # px of a line of a legend or note


def with_names(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Give a table the columns `key` (model + head) and `row` (its name for people)."""
    key = table["row"] if "row" in table else table["model"] + " + " + table["head"]
    return table.assign(key=key, row=key.map(labels).fillna(key))


def row_channel(looks: dict[str, Style], kind: str, named: alt.Legend | None = None) -> Any:
    """Return the encoding of a row's `colour`, `fill`, `mark` or `dash`, the same everywhere."""
    domain = list(looks)
    ranges = [getattr(looks[row], "colour" if kind == "fill" else kind) for row in domain]
    scale = alt.Scale(domain=domain, range=ranges)
    channels = {"colour": alt.Color, "mark": alt.Shape, "dash": alt.StrokeDash, "fill": alt.Fill}
    return channels[kind]("key:N", scale=scale, legend=named)


def wrapped(text: str, width: int, least: int = 1) -> list[str]:
    """Return the lines of a title, each of at most so many letters, and the least number of lines.

    >>> wrapped("whole slides", 8), wrapped("slides", 8, 2)
    (['whole', 'slides'], ['', 'slides'])
    """
    found = textwrap.wrap(text, width, break_on_hyphens=False)
    return [""] * (least - len(found)) + found


def level(value: float) -> Any:
    """Draw a dotted horizontal line, such as the AUROC of chance."""
    rule = alt.Chart(pd.DataFrame({"level": [value]})).mark_rule(strokeDash=[2, 3], color=GREY)
    return rule.encode(y="level:Q")


def padded(values: Iterable[float]) -> alt.Scale:
    """Return a scale of all known values with a margin."""
    known = [value for value in values if value == value]
    pad = 0.04 * (max(known) - min(known) or 1)
    return alt.Scale(domain=[min(known) - pad, max(known) + pad], nice=False, zero=False)


def lines(
    table: pd.DataFrame,
    looks: dict[str, Style],
    *,
    y: Sequence[str] = ("auroc", "low", "high"),
    title: str | list[str] = "AUROC",
    floor: float | None = None,
    also: Iterable[float] = (),
    named: alt.Legend | None = None,
    **across: Any,
) -> Any:
    """Draw a line with points and intervals for every row.

    Parameters
    ----------
    table
        Columns `key` (the row), those of `y` and `across`; `area`, px² of each point, if it has it.
    y
        Columns of a value and of the ends of its interval.
    floor
        Height of a dotted line, such as the AUROC of chance.
    also
        Heights of what will be drawn on it.
    named
        Its own legend, for a chart that no legend stands beside.
    across
        Encodings of `x` and, for rows beside each other, `xOffset`; or of `color`.
    """
    value, low, high = y
    below = [] if floor is None else [floor]
    scale = padded([*table[[*y]].to_numpy().ravel(), *below, *also])
    height = alt.Y(f"{value}:Q", title=title, scale=scale)
    base = alt.Chart(table).encode(**{"color": row_channel(looks, "colour", named)} | across)
    points = base.mark_point(filled=True, size=45, opacity=1).encode(
        y=height, shape=row_channel(looks, "mark", named)
    )
    if "area" in table:
        points = points.encode(size=alt.Size("area:Q", scale=None))
    return alt.layer(
        *map(level, below),
        base.mark_line(strokeWidth=1.5).encode(
            y=height, strokeDash=row_channel(looks, "dash", named), detail="key:N"
        ),
        base.mark_rule(strokeWidth=1).encode(y=alt.Y(f"{low}:Q", scale=scale), y2=f"{high}:Q"),
        points,
    )


def marks(base: Any, looks: dict[str, Style], *, filled: str, size: int = 45) -> Any:
    """Draw each row's mark, hollow where the expression is false."""
    return base.mark_point(size=size, opacity=1).encode(
        color=row_channel(looks, "colour"),
        shape=row_channel(looks, "mark"),
        fill=row_channel(looks, "fill"),
        fillOpacity=alt.condition(filled, alt.value(1), alt.value(0)),
    )


def ranked(
    table: pd.DataFrame,
    looks: dict[str, Style],
    *,
    title: str,
    x: Sequence[str] = ("auroc", "low", "high"),
    chance: float,
    ceiling: float,
) -> Any:
    """Draw a point with its interval for every row, the highest value first.

    Parameters
    ----------
    table
        Columns `key` and `row`, and those of `x`: a value and the ends of its interval.
    chance, ceiling
        Where a dotted and a dashed line stand.
    """
    value, low, high = x
    order = list(table.sort_values(value, ascending=False, kind="stable")["row"])
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL))
    scale = padded([*table[[*x]].to_numpy().ravel(), chance, ceiling])
    base = alt.Chart(table).encode(y=y)
    rules = [
        alt.Chart(pd.DataFrame({"level": [at]})).mark_rule(strokeDash=dash, color=GREY)
        .encode(x=alt.X("level:Q", title=title, scale=scale))
        for at, dash in ((chance, [2, 3]), (ceiling, [6, 3]))
    ]  # fmt: skip
    spans = base.mark_rule().encode(
        x=alt.X(f"{low}:Q", title=title, scale=scale), x2=f"{high}:Q",
        color=row_channel(looks, "colour"),
    )  # fmt: skip
    points = base.encode(x=alt.X(f"{value}:Q", title=title, scale=scale))
    return alt.layer(*rules, spans, marks(points, looks, filled="true"))


def matrix(
    table: pd.DataFrame,
    *,
    value: str,
    titles: tuple[str, str, str],
    domain: tuple[float, float],
    orders: tuple[list[str], list[str]],
    fields: tuple[str, str],
) -> Any:
    """Draw a matrix of numbers, each written into its square.

    Parameters
    ----------
    titles
        Of what goes down, across, and of the number.
    orders, fields
        Names from above and from the left, and the columns that hold them.
    """
    (down, across), axis = fields, alt.Axis(labelLimit=LABEL)
    y = alt.Y(f"{down}:N", sort=orders[0], title=titles[0], axis=axis)
    x = alt.X(f"{across}:N", sort=orders[1], title=titles[1],
              axis=alt.Axis(labelAngle=-35, labelLimit=LABEL))  # fmt: skip
    scale = alt.Scale(scheme="viridis", domain=list(domain), clamp=True)
    base = alt.Chart(table).encode(x=x, y=y)
    colour = alt.Color(f"{value}:Q", scale=scale, title=titles[2],
                       legend=alt.Legend(orient="top", gradientLength=160))  # fmt: skip
    middle = (domain[0] + domain[1]) / 2
    ink = alt.condition(f"datum.{value} > {middle}", alt.value("#000"), alt.value("#fff"))
    layers: list[Any] = [base.mark_rect().encode(color=colour)]
    if max(map(len, orders)) <= 12:  # more squares than that have no room for numbers
        text = alt.Text(f"{value}:Q", format=".2f")
        known = base.transform_filter(f"isValid(datum.{value})")
        layers.append(known.mark_text(fontSize=11).encode(text=text, color=ink))
    return alt.layer(*layers)


def legend(
    looks: dict[str, Style],
    labels: dict[str, str],
    *,
    line: bool = True,
    hollow: Iterable[str] = (),
    title: str = "",
    columns: int = 1,
) -> Card:
    """Name styles beside their marks, in columns.

    Parameters
    ----------
    looks, labels
        Style and name by key.
    line
        Whether a line runs through each mark.
    hollow
        Keys of marks that are not filled.
    """
    names = {key: wrapped(labels[key], 44) for key in looks}
    each = -(-len(names) // columns)
    parts = [dict(list(names.items())[n : n + each]) for n in range(0, len(names), each)]
    shown = [_legend_column(part, looks, set(hollow), line=line) for part in parts]
    return _joined(shown, columns=columns, spacing=20) | (
        {"title": {"text": title, "anchor": "start", "fontSize": 9}} if title else {}
    )


def _legend_column(
    names: dict[str, list[str]], looks: dict[str, Style], hollow: set[str], *, line: bool
) -> Any:
    table, y = [], 0.0
    for key, said in names.items():
        table.append({"key": key, "said": "\n".join(said), "y": y, "filled": key not in hollow})
        y += LINE * len(said) + 3
    base = alt.Chart(pd.DataFrame(table)).encode(
        y=alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[0, y], nice=False, reverse=True))
    )
    colour = row_channel(looks, "colour")
    layers: list[Any] = [
        base.mark_rule(strokeWidth=1.5).encode(
            x=alt.value(0), x2=alt.value(26), color=colour, strokeDash=row_channel(looks, "dash")
        )
    ] * line  # fmt: skip
    layers += [
        marks(base, looks, filled="datum.filled").encode(x=alt.value(13)),
        base.mark_text(align="left", baseline="middle", lineBreak="\n", lineHeight=LINE,
                       fontSize=9).encode(x=alt.value(34), text="said:N"),
    ]  # fmt: skip
    size = {"width": 40 + 5 * max(len(part) for said in names.values() for part in said)}
    return alt.layer(*layers, view=alt.ViewBackground(stroke=None), height=y, **size)


def note(lines_: Sequence[str]) -> Any:
    """Write lines of text below panels."""
    table = pd.DataFrame({"said": ["\n".join(lines_)]})
    text = alt.Chart(table, view=alt.ViewBackground(stroke=None), height=LINE * len(lines_))
    text = text.mark_text(align="left", baseline="top", lineBreak="\n", lineHeight=LINE, fontSize=9)
    return text.encode(x=alt.value(0), y=alt.value(0), text="said:N").properties(width=400)


def sheet(
    panels: Sequence[Any],
    *,
    columns: int | None = None,
    beside: Any = None,
    below: Sequence[Any] = (),
    title: Any = None,
    notice: str = "",
) -> Card:
    """Lay panels out in lines, with a legend beside or below them, under the synthetic notice.

    Parameters
    ----------
    panels, beside, below
        Charts or sheets.
    title
        Lines of text, where there is no notice.
    """
    whole = _joined(panels, columns=columns or len(panels), spacing=18)
    if beside is not None:
        whole = _joined([whole, beside], columns=2, spacing=14, center=True)
    if below:
        whole = _joined([whole, *below], columns=1, spacing=14, center=True)
    if title or notice:
        look = {"text": title, "fontWeight": "bold", "anchor": "middle"}
        look |= {"text": notice.upper(), "color": "firebrick", "fontSize": 12} if notice else {}
        whole["title"] = look
    return whole


def _joined(parts: Sequence[Any], **layout: Any) -> Card:
    """Place specifications beside each other; each keeps its own scales of colours and marks.

    Altair's own `concat` copies every chart several times, which takes ten times as long.
    """
    specs = [dict(part if isinstance(part, dict) else specification(part)) for part in parts]
    datasets: Card = {}
    for spec in specs:
        datasets |= spec.pop("datasets", {})
        spec.pop("$schema", None)
        spec.pop("config", None)
    channels = ("color", "shape", "fill", "strokeDash", "size")
    resolve = {"scale": dict.fromkeys(channels, "independent")}
    return {"concat": specs, "datasets": datasets, "resolve": resolve} | layout
