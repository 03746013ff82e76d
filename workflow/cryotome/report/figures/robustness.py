"""Figure of robustness: each index of every model against each confounder, beside its loss."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import LABEL, marks, padded, row_channel, sheet, with_names
from cryotome.study.facts import RowFacts
from cryotome.study.styles import Style

BLOCK = ["dataset", "confounder"]
SCALES = {  # of each index, what its ends mean
    "RI": "RI: 1 class, 0 confounder",
    "MaRI": "MaRI: 1 class, 0 confounder",
    "CRoMa": "CRoMa: 1 class, -1 confounder",
    "CRoMa tail": "CRoMa, worst tenth of cells",
    "nIPD": "nIPD: 0 nothing lost",
}
LOSS = "AUROC lost out of domain"
WIDTH, LINE = 150, 22  # px of a panel, and of a row in it


def robustness_panel(
    table: pd.DataFrame, looks: dict[str, Style], *, title: str, named: bool = True
) -> Any:
    """Draw a value of every row with its interval, and hollow what chance gives.

    Parameters
    ----------
    table
        Columns `key`, `row`, `value`, `low`, `high` and `chance`.
    named
        Whether the rows' names stand beside.
    """
    axis = alt.Axis(labelLimit=LABEL) if named else alt.Axis(labels=False, ticks=False)
    y = alt.Y("row:N", sort=list(table["row"]), title=None, axis=axis)
    values = ["value", "low", "high", "chance"]
    scale = padded(table[values].to_numpy(float).ravel())

    def along(column: str) -> Any:
        return alt.X(f"{column}:Q", title=title, scale=scale, axis=alt.Axis(tickCount=4))

    parts = [table.assign(at=table[what], what=what) for what in ("chance", "value")]
    base = alt.Chart(pd.concat(parts).dropna(subset="at")).encode(y=y, x=along("at"))
    spans = alt.Chart(table).mark_rule().encode(
        y=y, x=along("low"), x2="high:Q", color=row_channel(looks, "colour")
    )  # fmt: skip
    return alt.layer(spans, marks(base, looks, filled="datum.what == 'value'"))


def panels_of(part: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return title and lines of each panel of one dataset and confounder: indices, then loss."""
    found = [(SCALES[str(name)], of) for name, of in part.groupby("index", sort=False)]
    loss = {"loss": "value", "loss_low": "low", "loss_high": "high"}
    first = found[0][1].drop(columns=["value", "low", "high"]).rename(columns=loss)
    found.insert(len(SCALES) - 1, (LOSS, first.assign(chance=None)))
    return [(title, of) for title, of in found if of["value"].notna().any()]


def draw_robustness(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw a line of panels for each dataset and confounder.

    Parameters
    ----------
    table
        From `robustness_table`.
    """
    table, lines = with_names(table, facts.labels), []
    for (dataset, confounder), part in table.groupby(BLOCK, sort=False):
        first = part.iloc[0]
        panels: list[Any] = []
        cells = f"{first['n']:,} cells{' drawn' * bool(first['sampled'])}"
        cells += f" of {first['slides']} slides"
        about = f"{facts.datasets[str(dataset)].split(':')[0]}, by {confounder}: {cells}"
        for title, of in panels_of(part):
            panel = robustness_panel(of, facts.styles, title=title, named=not panels)
            panels.append(panel.properties(width=WIDTH, height=LINE * len(of)))
        heading = {"text": f"{about}; hollow: chance", "anchor": "start"}
        lines += [sheet(panels, columns=len(panels)) | {"title": heading}] * bool(panels)
    return sheet(lines, columns=1, notice=facts.notice)
