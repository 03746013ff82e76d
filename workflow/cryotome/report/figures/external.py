"""Figure of external cohorts: AUROC of every row in domain and on each external dataset."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import (
    GREY,
    LABEL,
    marks,
    padded,
    row_channel,
    sheet,
    with_names,
)
from cryotome.study.facts import RowFacts
from cryotome.study.styles import Style

BLOCK = ["dataset", "scheme", "external"]
PLACES = {"inside": "in domain", "auroc": "external"}  # column of `external.csv` to its words


def external_panel(table: pd.DataFrame, looks: dict[str, Style], *, unit: str) -> Any:
    """Draw each row's AUROC on external cells, filled, and in domain, hollow, joined by a line.

    Parameters
    ----------
    table
        Of `external.csv`, one block, with the columns of `with_names`.
    unit
        Of the intervals, in words.
    """
    order = list(table.sort_values("auroc", ascending=False)["row"])
    ends = ["low", "high", "inside_low", "inside_high"]
    scale = padded([*table[[*PLACES, *ends]].to_numpy().ravel(), 0.5])
    title = f"AUROC, 95 % over {unit}; hollow: in domain"
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL))
    beside = alt.YOffset("place:N", sort=list(PLACES.values()))
    colour = row_channel(looks, "colour")

    def along(column: str) -> Any:
        return alt.X(f"{column}:Q", title=title, scale=scale)

    prefixes = {"inside": "inside_", "auroc": ""}
    parts = [
        table[["key", "row"]].assign(
            place=words,
            at=table[name],
            low=table[f"{prefixes[name]}low"],
            high=table[f"{prefixes[name]}high"],
        )
        for name, words in PLACES.items()
    ]
    base = alt.Chart(pd.concat(parts)).encode(y=y, yOffset=beside)
    joined = alt.Chart(table).mark_rule(strokeDash=[2, 2]).encode(
        y=y, x=along("auroc"), x2="inside:Q", color=colour
    )  # fmt: skip
    spans = base.mark_rule().encode(x=along("low"), x2="high:Q", color=colour)
    points = marks(base.encode(x=along("at")), looks, filled="datum.place == 'external'")
    chance = alt.Chart(pd.DataFrame({"at": [0.5]})).mark_rule(strokeDash=[2, 3], color=GREY)
    return alt.layer(chance.encode(x=along("at")), joined, spans, points)


def draw_external(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw a panel per training, scheme and external dataset, below each other."""
    table, panels = with_names(table, facts.labels), []
    for _, part in table.groupby(BLOCK, sort=False):
        first = part.iloc[0]
        dataset, scheme, external = (str(first[name]) for name in BLOCK)
        shared = f", {first['left_out']:,} that both have left out" * bool(first["left_out"])
        title = [
            f"trained on {facts.datasets[dataset].split(':')[0]}, {facts.schemes[scheme]}",
            f"tested on {facts.external[external]}: {first['n']:,} cells{shared}",
        ]
        panel = external_panel(part, facts.styles, unit=facts.unit)
        panels.append(panel.properties(width=360, height=26 * len(part), title=title))
    return sheet(panels, columns=1, notice=facts.notice)
