"""Learning curves of one training: a table, and a figure of panels below each other."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv

# Okabe and Ito, for colour-blind readers
BLUE, ORANGE, GREY, GREEN, PURPLE = "#0072b2", "#d55e00", "#777777", "#009e73", "#cc79a7"


@dataclass(frozen=True)
class Line:
    """A line of a panel: a column of the curve, its colour, its name in the legend."""

    column: str
    colour: str
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel of a figure.

    Attributes
    ----------
    lines
        Those that are known nowhere are left out.
    kept
        Column whose value at the kept evaluation is marked.
    before
        Columns whose first value is drawn as a dotted line.
    """

    title: str
    lines: list[Line]
    height: int = 120
    kept: str = ""
    before: list[str] = field(default_factory=list)


def draw_curve(
    curve: pd.DataFrame, panels: list[Panel], *, title: str, synthetic: bool, kept: int = 0
) -> Any:
    """Draw losses, evaluations and the learning rate of a training.

    Parameters
    ----------
    curve : data frame, one row per evaluation
        Its first column, the step or iteration, is drawn across.
    synthetic
        Whether the tissue is synthetic, which the figure then states.
    kept
        Row of the evaluation that is kept.
    """
    import altair as alt  # no training waits for it to start

    across, last = str(curve.columns[0]), panels[-1]
    ends = alt.Scale(domain=[0, float(curve[across].max())])
    said = f"{across}, on synthetic tissue" * synthetic or across
    charts = []
    for panel in panels:
        axis = alt.Axis(title=said) if panel is last else alt.Axis(title=None, labels=False)
        x = alt.X(f"{across}:Q", scale=ends, axis=axis)
        known = [line for line in panel.lines if curve[line.column].notna().any()]
        parts = [
            curve.assign(value=curve[line.column], label=line.label)[[across, "value", "label"]]
            for line in known
        ]
        labels, colours = [line.label for line in known], [line.colour for line in known]
        named = alt.Legend(title=None) if any(labels) else None
        scale = alt.Scale(domain=labels, range=colours)
        colour = alt.Color("label:N", scale=scale, legend=named)
        y = alt.Y("value:Q", title=panel.title, scale=alt.Scale(zero=False))
        base = alt.Chart(pd.concat(parts).dropna()).encode(x=x, y=y, color=colour)
        layers = [base.mark_line(strokeWidth=1.2, point=alt.OverlayMarkDef(size=12))]
        first = [one.head(1) for one, line in zip(parts, known) if line.column in panel.before]
        if first:
            dotted = alt.Chart(pd.concat(first)).mark_rule(strokeDash=[2, 2], strokeWidth=0.8)
            layers.append(dotted.encode(y="value:Q", color=colour))
        if panel.kept:
            at = curve.iloc[[kept]].rename(columns={panel.kept: "value"})
            layers.append(alt.Chart(at).mark_point(size=50, color=ORANGE).encode(x=x, y="value:Q"))
        charts.append(alt.layer(*layers).properties(width=380, height=panel.height))
    return alt.vconcat(*charts, title=title.split("\n")).resolve_scale(color="independent")


def write_curve(
    curve: pd.DataFrame, panels: list[Panel], table: Path, picture: Path, **said: Any
) -> None:
    """Write the table and the figure, with the arguments of `draw_curve`.

    Both state whether the tissue is synthetic.
    """
    from cryotome.core.charts import save_chart

    with atomic_write(table) as beside:
        write_csv(curve.assign(synthetic=said["synthetic"]), beside, float_format="%.6g")
    save_chart(draw_curve(curve, panels, **said), picture)
