"""Figure of the context study: AUROC against the side of the crop."""

import fnmatch
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import legend, lines, sheet
from cryotome.study.facts import ContextFacts, RowFacts
from cryotome.study.row import Row
from cryotome.study.styles import Style
from cryotome.study.variants import TOKENS

PANEL = ["base_dataset", "scheme", "where"]
PLACES = {"in": "in domain", "out": "out of domain", "all": "all domains"}
DASHED = [6, 3]


def context_panel(table: pd.DataFrame, looks: dict[str, Style], *, title: str = "AUROC") -> Any:
    """Draw AUROC against the side of the crop, in px below and in µm above.

    Parameters
    ----------
    table
        Columns `key`, `side` (px), `um` (µm, NaN where no resolution is known), `auroc`, `low`
        and `high`.
    """
    keys = [key for key in looks if (table["key"] == key).any()]
    # beside each other, so that intervals do not hide each other
    aside = table["key"].map(keys.index) - (len(keys) - 1) / 2
    table = table.assign(at=table["side"] * 1.02**aside)
    sides = table.drop_duplicates("side").sort_values("side")
    ticks = list(sides["side"])
    scale = alt.Scale(type="log", nice=False, padding=12)
    axis = alt.Axis(values=ticks, format="~g", grid=False)
    x = alt.X("at:Q", title="side of the crop, px of the slide", scale=scale, axis=axis)
    drawn = lines(table, looks, x=x, floor=0.5, title=title)
    if sides["um"].isna().any():
        return drawn
    um = {f"{side:g}": f"{um:.0f} µm" for side, um in sides[["side", "um"]].to_numpy()}
    above = alt.Axis(values=ticks, orient="top", grid=False, labelExpr=f"({um})[datum.value]")
    ruler = alt.Chart(table).mark_point(opacity=0, size=0)
    ruler = ruler.encode(x=alt.X("at:Q", title=None, scale=scale, axis=above))
    return alt.layer(drawn, ruler).resolve_axis(x="independent")


def draw_context(table: pd.DataFrame, sweep: ContextFacts, facts: RowFacts) -> Card:
    """Draw AUROC against the side of the crop: panels by place and pooling, a line a model.

    Models whose networks return no tokens stand in every panel, dashed.

    Parameters
    ----------
    table
        From `context_table`; of several fractions, the largest is drawn, of several resolutions
        the finest.
    """
    table = finest(table[table["fraction"] == table["fraction"].max()])
    table = table.assign(key=table["base_model"] + " + " + table["head"])
    swept = table["pooling"].isin(sweep.poolings)
    columns = [how for how in sweep.poolings if (table["pooling"] == how).any()] or [""]
    looks = _looks(table, swept, facts)
    title = f"AUROC, 95 % over {facts.unit}"
    panels = []
    for place in dict.fromkeys(table[PANEL].itertuples(index=False, name=None)):
        here = (table[PANEL] == list(place)).all(axis=1)
        for how in columns:
            part = table[here & ((table["pooling"] == how) | ~swept)]
            words = TOKENS[how][0] if how else "as the cards pool"
            head = [f"{sweep.bases[place[0]]['title']}, {_scheme(place[1], facts)}",
                    f"{PLACES[place[2]]}; {words}"]  # fmt: skip
            panel = context_panel(part, looks, title=title if how == columns[0] else "")
            panels.append(panel.properties(width=245, height=200, title=head))
    rows = [Row.parse(key) for key in looks]
    labels = {row.key: f"{sweep.titles[row.model]} + {facts.heads[row.head]}" for row in rows}
    note = "dashed: returns no tokens" if swept.any() and not swept.all() else ""
    beside = legend(looks, labels, title=note)
    return sheet(panels, columns=len(columns), beside=beside, notice=facts.notice)


def finest(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the finest resolution, all where a study sweeps none."""
    return table[table["mpp"] == table["mpp"].min()] if "mpp" in table else table


def _looks(table: pd.DataFrame, swept: pd.Series, facts: RowFacts) -> dict[str, Style]:
    """Return the style of each line: a model under its poolings, which looks as the first."""
    found: dict[str, Style] = {}
    for key, row, tokens in zip(table["key"], table["model"] + " + " + table["head"], swept,
                                strict=True):  # fmt: skip
        dash = [] if tokens or not swept.any() else DASHED
        found.setdefault(key, replace(facts.styles[row], dash=dash))
    return found


def _scheme(name: str, facts: RowFacts) -> str:
    """Return the title of a scheme, of `from_*` that of one of its domains."""
    return facts.schemes[min(fnmatch.filter(facts.schemes, name), key=len)]
