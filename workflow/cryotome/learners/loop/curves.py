"""Learning curves of one training: a table, and a figure of panels below each other."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv

# Okabe and Ito, for colour-blind readers
BLUE, ORANGE, GREY, GREEN, PURPLE = "#0072b2", "#d55e00", "#777777", "#009e73", "#cc79a7"


@dataclass(frozen=True)
class Panel:
    """One panel of a figure.

    Attributes
    ----------
    lines
        Column to its colour and its name in the legend; columns without a value are left out.
    kept
        Column whose value at the kept evaluation has a ring.
    before
        Columns whose first value is drawn as a dotted line.
    """

    title: str | list[str]
    lines: dict[str, tuple[str, str]]
    height: int = 120
    kept: str = ""
    before: tuple[str, ...] = ()


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
    import altair as alt  # takes a second, for which no training waits

    across = str(curve.columns[0])
    panels = [panel for panel in panels if curve[list(panel.lines)].notna().any(axis=None)]
    ends = alt.Scale(domain=[0, float(curve[across].max())])
    charts = []
    for panel in panels:
        axis = alt.Axis(title=None, labels=False)
        if panel is panels[-1]:
            axis = alt.Axis(title=across + ", on synthetic tissue" * synthetic)
        x = alt.X(f"{across}:Q", scale=ends, axis=axis)
        charts.append(_layers(panel, curve, x, kept).properties(width=380, height=panel.height))
    return alt.vconcat(*charts, title=title.split("\n")).resolve_scale(color="independent")


def _layers(panel: Panel, curve: pd.DataFrame, x: Any, kept: int) -> Any:
    """Draw a panel: its lines, their first values, and a ring."""
    import altair as alt

    known = {name: how for name, how in panel.lines.items() if curve[name].notna().any()}
    colours, labels = (list(one) for one in zip(*known.values(), strict=True))
    points = {
        name: curve.iloc[:, [0]].assign(value=curve[name], label=label)
        for name, (_, label) in known.items()
    }
    y = alt.Y("value:Q", title=panel.title, scale=alt.Scale(zero=False))
    legend = alt.Legend(title=None) if any(labels) else None
    colour = alt.Color("label:N", scale=alt.Scale(domain=labels, range=colours), legend=legend)
    lines = alt.Chart(pd.concat(points.values()).dropna()).encode(x=x, y=y, color=colour)
    layers = [lines.mark_line(strokeWidth=1.2, point=alt.OverlayMarkDef(size=12))]
    for name in [name for name in panel.before if name in known]:
        first = alt.Chart(points[name].head(1)).mark_rule(strokeDash=[2, 2], strokeWidth=0.8)
        layers.append(first.encode(y=y, color=colour))
    if panel.kept:
        ring = alt.Chart(points[panel.kept].iloc[[kept]]).mark_point(size=50, color=ORANGE)
        layers.append(ring.encode(x=x, y=y))
    return alt.layer(*layers)


def title_of(picture: Path) -> str:
    """Return dataset, scheme and row of a curve, from its path.

    >>> title_of(Path("d/random/model=m/head=h/fraction=0.1/fold=0.png"))
    'd, random\\nmodel=m, head=h, fraction=0.1, fold=0'
    """
    named = picture.with_suffix("").parts
    return f"{', '.join(named[-6:-4])}\n{', '.join(named[-4:])}"


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
