"""Figure of costs: AUROC against the hours that each row took, from `costs.csv`."""

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import (
    GREY,
    legend,
    level,
    marks,
    padded,
    row_channel,
    sheet,
    with_names,
    wrapped,
)
from cryotome.study.facts import RowFacts
from cryotome.study.styles import Style

WHERE = {"in_mean": "in domain", "out_mean": "out of domain"}
ALONE = {"in_mean": "all test cells"}  # of a dataset that is not in Table 2
NAMED = 3  # rows with too few records that a panel names
ASIDE = 3.0  # how far left of the cheapest row those stand that need no GPU
WHOLE, BOUND, FREE = "whole cost", "at least: records are missing", "needs no GPU (at the left)"


def with_places(part: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Add where the rows of a dataset stand, and return what the hours are.

    Returns
    -------
    data frame with the further columns hours, x (where the row is drawn, h; NaN where too few
    records are known) and kind, one of `WHOLE`, `BOUND` and `FREE`
    """
    on_gpu = part["gpu_hours"].max() > 0
    hours = part["gpu_hours"] if on_gpu else part["core_hours"]
    incomplete = (part["missing"] > 0) | (part["killed"] > 0)
    x, kind = hours, np.where(incomplete, BOUND, WHOLE)
    if on_gpu:
        free = hours == 0
        kind = np.where(free, FREE, kind)
        # a record of the GPU may be among the missing ones
        x = x.mask(free, x[x > 0].min() / ASIDE).mask(free & incomplete)
    what = "GPU-hours" if on_gpu else "processor core-hours (no GPU ran)"
    return part.assign(hours=hours, x=x, kind=kind), what


def cost_panel(
    table: pd.DataFrame, value: str, title: str | list[str], looks: dict[str, Style]
) -> Any:
    """Draw a dataset's AUROC against hours.

    Rows that need no GPU stand left of those that do. An arrow says that a row took more than
    is drawn, for records are missing.

    Parameters
    ----------
    table
        From `with_places`, with the columns of `with_names`.
    value
        Column of the AUROC.
    title
        Of the hours.
    """
    known = table.dropna(subset=["x", value])
    heights = [0.5, *table[list(WHERE)].to_numpy().ravel()]  # alike in and out of domain
    shared = known["model"].duplicated(keep=False)
    axis = alt.Axis(format="~g", labelOverlap="greedy", values=_ticks(known["x"]))
    scale = alt.Scale(type="log", nice=False, padding=24)
    x = alt.X("x:Q", title=title, scale=scale, axis=axis)
    y = alt.Y(f"{value}:Q", title="AUROC", scale=padded(heights))
    base = alt.Chart(known).encode(x=x, y=y)
    text = alt.Chart(known.assign(name=known["head"].where(shared, ""))).encode(
        x=x, y=y, color=row_channel(looks, "colour")
    )
    layers = [
        level(0.5),
        marks(base, looks, filled=f"datum.kind == '{WHOLE}'", size=70),
        text.mark_text(align="left", dx=7, dy=-7, fontSize=7).encode(text="name:N"),
    ]
    if (known["kind"] == BOUND).any():  # Vega warns of a layer without a point
        bound = text.transform_filter(alt.datum["kind"] == BOUND)
        layers.append(bound.mark_text(text="→", dx=10, fontSize=13))
    return alt.layer(*layers)


def _ticks(hours: pd.Series) -> list[float]:
    """Return 1, 2 and 5 of each power of ten about the hours."""
    if hours.empty:
        return []
    powers = range(math.floor(math.log10(hours.min())), math.ceil(math.log10(hours.max())) + 1)
    return [digit * 10.0**power for power in powers for digit in (1, 2, 5)]


def draw_costs(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw AUROC against the hours of each row, a line of panels per dataset.

    Rows with too few records to be placed are named below their panel.

    Parameters
    ----------
    table
        `costs.csv`.
    """
    labels, looks = facts.labels, facts.styles
    table, panels, seen = with_names(table, labels), [], set()
    for dataset in list(dict.fromkeys(table["dataset"])) or [""]:
        part, what = with_places(table[table["dataset"] == dataset])
        places = WHERE if part["out_mean"].notna().any() else ALONE
        below = [what, *wrapped(_not_placed(part), 56)]
        for name, where in places.items():
            title = [*wrapped(facts.datasets.get(dataset, ""), 48), where]
            panel = cost_panel(part, name, below, looks)
            panels.append(panel.properties(width=300, height=230, title=title))
        seen |= set(part.dropna(subset="x")["kind"])
    kinds = {kind: Style(GREY, "circle", []) for kind in (BOUND, FREE) if kind in seen}
    names = labels | {BOUND: f"hollow, → {BOUND}", FREE: f"hollow: {FREE}"}
    shown = looks | kinds  # none in a study without cells
    beside = legend(shown, names, line=False, hollow=kinds) if shown else None
    return sheet(panels, columns=2, beside=beside, notice=facts.notice)


def _not_placed(part: pd.DataFrame) -> str:
    names = list(part.loc[part["x"].isna(), "row"])
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"too few records: {', '.join(names[:NAMED])}{more}" if names else ""
