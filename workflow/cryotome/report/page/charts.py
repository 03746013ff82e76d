"""Figures of the page: the charts of `report.figures`, with hovering and the switch of rows."""

from dataclasses import dataclass
from typing import Any

import altair as alt
import vl_convert

from cryotome.core.cards import Card
from cryotome.core.charts import specification
from cryotome.report.page.grids import Grid

HEIGHT, NARROW, WIDE = 260, 540, 1100  # px; widths of the static figures
# the place says what its figure shows, and the table behind it has the numbers
STILL: Card = {"mark": {"aria": False}, "axis": {"aria": False}, "legend": {"aria": False},
               "background": None, "font": "Liberation Sans"}  # fmt: skip
DIM = 0.08  # opacity of rows that the reader has switched off
SHOWN = f"length(shown) == 0 || indexof(shown, datum.key) >= 0 ? 1 : {DIM}"
AIDS = {"level", "from"}  # columns of lines and bands that are no results
Tips = list[alt.Tooltip]


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

    @property
    def static(self) -> str:
        """The figure as SVG, which is seen at once, in print and without JavaScript."""
        width = {"width": WIDE if self.wide else NARROW} if "width" in self.spec else {}
        return vl_convert.vegalite_to_svg({**self.spec, **width, "config": STILL})


def tips(**fields: str) -> list[alt.Tooltip]:
    """Return what hovering says: a heading to a field with its format, `mean:.3f`."""
    parts = {title: field.partition(":") for title, field in fields.items()}
    return [
        alt.Tooltip(field, title=title.replace("_", " "), type="quantitative", format=form)
        if form
        else alt.Tooltip(field, title=title.replace("_", " "), type="nominal")
        for title, (field, _, form) in parts.items()
    ]


def with_theme(
    chart: Any, *, tip: Tips | dict[str, Tips], height: int | None = HEIGHT, rows: bool = True
) -> Card:
    """Turn a chart into a specification that fits its place and answers its reader.

    Parameters
    ----------
    tip
        What hovering over a mark prints: over points and squares, or by kind of mark.
    rows
        Whether the switch of rows dims what has a `key`.
    """
    if rows:
        chart = chart.add_params(alt.param(name="shown", value=[]))
    size: Card = {"width": "container"} | ({"height": height} if height else {})
    spec = specification(chart.properties(**size))
    spec["autosize"] = {"type": "fit-x", "contains": "padding"}
    tips_of = tip if isinstance(tip, dict) else {"point": tip, "rect": tip}
    _answer(spec, tips_of, rows=rows)
    return spec


def _answer(layer: Card, tips_of: dict[str, Tips], *, rows: bool) -> None:
    """Add hovering and the switch of rows to a layer, and to the layers in it."""
    for inner in layer.get("layer", []):
        _answer(inner, tips_of, rows=rows)
    encoding = layer.get("encoding", {})
    fields = {channel.get("field") for channel in encoding.values()}
    if rows and "key" in fields:
        encoding["opacity"] = {"value": {"expr": SHOWN}}
    found = tips_of.get(layer.get("mark", {}).get("type"))
    if found and not fields & AIDS:
        encoding["tooltip"] = [tip.to_dict() for tip in found]
