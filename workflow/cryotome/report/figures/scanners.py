"""Figure of the variance split: the SD that slide, scanner, domain and fold give to AUROC."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import legend, marks, row_channel, sheet, with_names
from cryotome.study.facts import RowFacts
from cryotome.study.styles import Style

BLOCK = ["dataset", "scheme"]
WIDTH, LINE = 320, 9  # px of a panel, and of a row in a component
CAUSES = {  # of each component, what people call it
    "slide": "slides tested",
    "scanner": "scanner",
    "domain": "domain",
    "fold": "fold",
    "rest": "what these leave",
}


def largest_fraction(table: pd.DataFrame) -> pd.DataFrame:
    """Return the identified components of each block at its largest fraction; `cause` names them.

    Parameters
    ----------
    table
        From `split_rows`, with `key` and `row`.
    """
    top = table["fraction"] == table.groupby(BLOCK)["fraction"].transform("max")
    known = table[top & table["sd"].notna()]
    return known.assign(cause=known["component"].map(CAUSES))


def variance_panel(part: pd.DataFrame, looks: dict[str, Style]) -> Any:
    """Draw the SD of every component of every row of one block, with its interval.

    Parameters
    ----------
    part
        Of `largest_fraction`.
    """
    order = [name for name in CAUSES.values() if name in set(part["cause"])]
    y = alt.Y("cause:N", sort=order, title=None)
    along = alt.X("sd:Q", title="SD of AUROC", axis=alt.Axis(tickCount=5))
    base = alt.Chart(part).encode(y=y, yOffset=alt.YOffset("key:N", sort=list(looks)))
    spans = base.mark_rule().encode(
        x=alt.X("sd_low:Q", title="SD of AUROC"), x2="sd_high:Q", color=row_channel(looks, "colour")
    )  # fmt: skip
    return alt.layer(spans, marks(base.encode(x=along), looks, filled="true"))


def draw_variance_split(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw a panel for each dataset and scheme, at the largest fraction.

    Parameters
    ----------
    table
        From `split_rows`.
    """
    known = largest_fraction(with_names(table, facts.labels))
    panels = []
    for (dataset, scheme), part in known.groupby(BLOCK, sort=False):
        title = f"{facts.datasets[str(dataset)].split(':')[0]}, {facts.schemes[str(scheme)]}"
        height = LINE * (1 + part["key"].nunique()) * part["cause"].nunique()
        panel = variance_panel(part, facts.styles)
        panels.append(panel.properties(width=WIDTH, height=height, title=title))
    looks = {key: look for key, look in facts.styles.items() if key in set(known["key"])}
    named = legend(looks, facts.labels, line=False)
    return sheet(panels, columns=1, beside=named, notice=facts.notice)
