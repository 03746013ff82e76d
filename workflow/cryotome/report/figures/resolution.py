"""Figure of the resolution sweep: AUROC against µm per px, and against the field of view."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import level, padded, sheet, wrapped
from cryotome.study.facts import ContextFacts, RowFacts

PANEL = ["base_dataset", "scheme", "where", "model", "head"]
AXES = {"mpp": "resolution, µm per px", "um": "field of view, µm"}
COLOURS: dict[str, Any] = {"mpp": "magma", "um": "viridis"}


def resolution_panel(table: pd.DataFrame, x: str, *, unit: str) -> Any:
    """Draw AUROC against `mpp` or `um`, a line for each value of the other.

    Parameters
    ----------
    table
        Lines of `context_table` of one row, with `mpp`.
    unit
        Of the intervals.
    """
    other = "um" if x == "mpp" else "mpp"
    ticks, values = (sorted(table[name].unique()) for name in (x, other))
    # beside each other, so that intervals do not hide each other
    aside = table[other].map(values.index) - (len(values) - 1) / 2
    table = table.assign(at=table[x] * 1.02**aside)
    scale = padded([*table[["auroc", "low", "high"]].to_numpy().ravel(), 0.5])
    axis = alt.Axis(values=ticks, format="~g", grid=False)
    across = alt.X("at:Q", title=AXES[x], axis=axis, scale=alt.Scale(type="log", padding=12))
    colour = alt.Color(
        f"{other}:O", title=AXES[other], legend=alt.Legend(orient="bottom", format="~g"),
        scale=alt.Scale(scheme=COLOURS[other]),
    )  # fmt: skip
    base = alt.Chart(table).encode(x=across, color=colour)
    height = alt.Y("auroc:Q", title=f"AUROC, 95 % over {unit}", scale=scale)
    return alt.layer(
        level(0.5),
        base.mark_line(strokeWidth=1.5).encode(y=height),
        base.mark_rule(strokeWidth=1).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q"),
        base.mark_point(filled=True, size=45, opacity=1).encode(y=height),
    )


def draw_resolution(table: pd.DataFrame, sweep: ContextFacts, facts: RowFacts) -> Card:
    """Draw two panels for each row and place: one varies the resolution, one the field of view.

    Parameters
    ----------
    table
        From `context_table`, with `mpp`; of several fractions, the largest is drawn.
    """
    table = table[table["fraction"] == table["fraction"].max()]
    panels = []
    for (base, _, where, model, head), part in table.groupby(PANEL, sort=False):
        name = f"{facts.models[str(model)]} + {facts.heads[str(head)]}"
        title = [*wrapped(f"{sweep.bases[str(base)]['title']}, {where}", 44), *wrapped(name, 44)]
        for x in AXES:
            panel = resolution_panel(part, x, unit=facts.unit)
            panels.append(panel.properties(width=230, height=190, title=title))
    return sheet(panels, columns=2, notice=facts.notice)
