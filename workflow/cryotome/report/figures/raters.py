"""Figure of raters: kappa of rows and raters, and AUROC of rows where raters agree or not."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.raters import AGAINST_LABEL, CEILING, MAJORITY
from cryotome.evaluation.statistics.rows import SETTING
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

APART = ["unanimous", "disputed"]  # cells, from above


def with_raters(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Give a table of raters the columns `key` and `row` of `with_names`; a rater is a rater."""
    table = with_names(table, labels)
    return table.assign(row=table["row"].mask(table["who"] == "rater", "rater: " + table["row"]))


def kappa_panel(table: pd.DataFrame, looks: dict[str, Style], *, unit: str) -> Any:
    """Draw kappa of each row and each rater with the majority of the other raters.

    Parameters
    ----------
    table
        Of `raters.csv`, one setting, with the columns of `with_raters`.
    unit
        Of the intervals, in words.
    """
    shown = table[(table["measure"] == "kappa") & (table["against"] == MAJORITY)]
    order = list(shown.sort_values("value", ascending=False)["row"])
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL))
    title = f"kappa with the majority of the other raters, 95 % over {unit}"
    ends = shown[["value", "low", "high"]].to_numpy().ravel()
    x = alt.X("value:Q", title=title, scale=padded([*ends, 0.0]))
    rows, raters = (alt.Chart(shown[shown["who"] == who]) for who in ("row", "rater"))
    span, colour = {"x": alt.X("low:Q", title=title), "x2": "high:Q"}, row_channel(looks, "colour")
    layers = [
        raters.mark_rule(color=GREY).encode(y=y, **span),
        raters.mark_point(shape="diamond", filled=True, color=GREY, size=45).encode(x=x, y=y),
        rows.mark_rule().encode(y=y, color=colour, **span),
        marks(rows.encode(x=x, y=y), looks, filled="true"),
    ]
    return alt.layer(*layers)


def disputed_panel(table: pd.DataFrame, looks: dict[str, Style], *, unit: str) -> Any:
    """Draw AUROC of each row on unanimous cells, filled, and on disputed cells, hollow.

    The dashed line is the ceiling of all cells; arguments as of `kappa_panel`.
    """
    aurocs = table[(table["measure"] == "auroc") & (table["against"] == AGAINST_LABEL)]
    shown = aurocs[aurocs["cells"].isin(APART) & (aurocs["who"] == "row")]
    ceiling = aurocs[aurocs["row"] == CEILING]
    order = list(aurocs[aurocs["cells"] == "all"].sort_values("value", ascending=False)["row"])
    title = f"AUROC, 95 % over {unit}; hollow: raters disagree; dashed: ceiling of all cells"
    ends = [*shown[["value", "low", "high"]].to_numpy().ravel(), *ceiling["value"], 0.5]
    x = alt.X("value:Q", title=title, scale=padded(ends))
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL))
    base = alt.Chart(shown).encode(y=y, yOffset=alt.YOffset("cells:N", sort=APART))
    spans = base.mark_rule().encode(
        x=alt.X("low:Q", title=title), x2="high:Q", color=row_channel(looks, "colour")
    )
    points = marks(base.encode(x=x), looks, filled="datum.cells == 'unanimous'")
    level = alt.Chart(ceiling[["value"]]).mark_rule(strokeDash=[4, 3], color=GREY).encode(x=x)
    chance = alt.Chart(pd.DataFrame({"value": [0.5]})).mark_rule(strokeDash=[2, 3], color=GREY)
    return alt.layer(chance.encode(x=x), level, spans, points)


def draw_raters(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw both panels for each dataset and scheme, below each other."""
    table, panels = with_raters(table, facts.labels), []
    for _, part in table.groupby(SETTING, sort=False):
        first = part.iloc[0]
        where = facts.schemes.get(first["scheme"], first["scheme"])
        name = f"{facts.datasets[first['dataset']].split(':')[0]}, {where}"
        for draw, what in ((kappa_panel, "rows and raters"), (disputed_panel, "where they err")):
            lines = 26 * part.loc[part["who"] != "ceiling", "row"].nunique()
            panel = draw(part, facts.styles, unit=facts.unit)
            panels.append(panel.properties(width=360, height=lines, title=f"{name}: {what}"))
    return sheet(panels, columns=1, notice=facts.notice)
