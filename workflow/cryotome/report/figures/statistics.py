"""Figures of the statistics: learning curves, orders under each head, mean ranks, the ladder."""

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import (
    GREY,
    LABEL,
    legend,
    lines,
    row_channel,
    sheet,
    with_names,
    wrapped,
)
from cryotome.study.facts import RowFacts
from cryotome.study.styles import Style

GAP = 0.04  # between two ranks that are written beside points, of the height of a panel
HEIGHT = 260  # px of a panel in a sheet
PLACES = {"in": "in domain", "out": "out of domain"}
ALIKE = 0.05  # p-value of Nemenyi's test from which two rows do not differ


def _title(facts: RowFacts, dataset: str, more: str = "") -> alt.Title:
    return alt.Title([*wrapped(facts.datasets[dataset], 50), *wrapped(more, 50)])


def _of(table: pd.DataFrame, **values: str) -> pd.DataFrame:
    """Return the lines with these values."""
    return table[(table[list(values)] == list(values.values())).all(axis=1)]


def learning_panel(
    intervals: pd.DataFrame, curves: pd.DataFrame, crossed: pd.DataFrame, looks: dict[str, Style]
) -> Any:
    """Draw the learning curves of a dataset and scheme over the share of the training pool.

    A cross on the reference's curve marks the share of cells at which it reaches what the
    row of that colour reaches on all of them. A tick at the right is the fitted limit.
    """
    table = intervals.assign(key=intervals["row"], share=100 * intervals["fraction"])
    top = crossed[crossed["fraction"] == crossed["fraction"].max()]
    top = top[(top["equal_fraction"] > 0) & np.isfinite(top["equal_fraction"])]
    top = top.assign(key=top["row"], share=100 * top["equal_fraction"])
    limits = curves.dropna(subset="limit").assign(key=lambda t: t["row"])
    axis = alt.Axis(values=sorted(set(table["share"])), grid=False, format="~g")
    title = "share of the training pool, %"
    x = alt.X(
        "share:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=10), axis=axis
    )
    ends = [*table["low"], *table["high"], *top["auroc"], *limits["limit"]]
    colour = row_channel(looks, "colour")
    band = alt.Chart(table).mark_area(fillOpacity=0.15).encode(
        x=x, y="low:Q", y2="high:Q", color=colour
    )  # fmt: skip
    drawn = lines(table, looks, x=x, y=3 * ("auroc",), title="AUROC, 95 % interval", also=ends)
    cross = alt.Chart(top[["key", "share", "auroc"]]).mark_point(
        shape="M-1,-.4L-.4,-1L0,-.6L.4,-1L1,-.4L.6,0L1,.4L.4,1L0,.6L-.4,1L-1,.4L-.6,0Z",
        size=90, stroke="black", strokeWidth=1, opacity=1,
    ).encode(x=x, y="auroc:Q", fill=row_channel(looks, "fill"))  # fmt: skip
    tick = alt.Chart(limits[["key", "limit"]]).mark_point(
        shape="triangle-left", filled=True, size=50, opacity=1, xOffset=5
    ).encode(x=alt.value("width"), y="limit:Q", color=colour)  # fmt: skip
    return alt.layer(band, drawn, cross, tick)


def draw_learning(
    intervals: pd.DataFrame, curves: pd.DataFrame, crossed: pd.DataFrame, facts: RowFacts
) -> Card:
    """Draw learning curves with clustered intervals, and where the reference equals a row.

    Parameters
    ----------
    intervals, curves, crossed
        `intervals.csv`, `learning.csv` and `crossings.csv`.
    """
    whole, looks = intervals[intervals["tested"] == "all"], facts.styles
    panels = []
    for dataset, scheme in dict.fromkeys(zip(curves["dataset"], curves["scheme"], strict=True)):
        spans, fits, equal = (
            _of(table, dataset=dataset, scheme=scheme) for table in (whole, curves, crossed)
        )
        title = _title(facts, dataset, facts.schemes[scheme])
        panel = learning_panel(spans, fits, equal, looks)
        panels.append(panel.properties(width=310, height=HEIGHT, title=title))
    drawn = {row: look for row, look in looks.items() if (whole["row"] == row).any()}
    said = f"95 % over {facts.unit}"
    beside = legend(drawn, facts.labels, title=said)
    return sheet(panels, beside=beside, notice=facts.notice)


def order_panel(table: pd.DataFrame, looks: dict[str, Style], heads: dict[str, str]) -> Any:
    """Draw Table 2's order under each head: a line per model, its rank written beside it.

    Parameters
    ----------
    table
        Columns `key` (the model), `head`, `auroc` and `rank`, of a dataset and a place.
    looks, heads
        Styles of models, and titles of heads.
    """
    known = table.dropna(subset="auroc").assign(title=lambda t: t["head"].map(heads))
    gap = GAP * float(np.ptp([0.5, *known["auroc"]]) or 1)  # the panel reaches 0.5
    parts = []
    for head, column in known.sort_values("auroc").groupby("head"):
        heights = dodge_labels(column["auroc"].to_numpy(), gap)
        parts.append(column.assign(height=heights, first=head == next(iter(heads))))
    x = alt.X("title:N", sort=list(heads.values()), title=None, scale=alt.Scale(padding=0.6),
              axis=alt.Axis(labelAngle=-35, labelLimit=200, grid=True))  # fmt: skip
    title = "AUROC as in Table 2; number: rank"
    placed = pd.concat(parts)
    drawn = lines(
        known, looks, x=x, y=3 * ("auroc",), title=title, floor=0.5, also=placed["height"]
    )
    text = alt.Chart(placed).encode(
        x=x, y="height:Q", text=alt.Text("rank:Q", format="~g"), color=row_channel(looks, "colour")
    )
    left, right = (  # where no line leaves the point
        text.transform_filter(which).mark_text(align=align, dx=dx, fontSize=8)  # type: ignore[arg-type]
        for which, align, dx in (("datum.first", "right", -7), ("!datum.first", "left", 7))
    )
    return alt.layer(drawn, left, right)


def draw_orders(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw Table 2's order under each head, a panel per dataset, in and out of domain.

    Parameters
    ----------
    table
        From `ranks.rank_models`.
    """
    heads = {head: facts.heads[head] for head in dict.fromkeys(table["head"])}
    styles = {row.split(" + ")[0]: look for row, look in reversed(facts.styles.items())}
    looks = {model: Style(styles[model].colour, styles[model].mark, [])
             for model in dict.fromkeys(table["model"])}  # fmt: skip
    panels = []
    for dataset, where in dict.fromkeys(zip(table["dataset"], table["where"], strict=True)):
        part = _of(table, dataset=dataset, where=where)
        panel = order_panel(part.assign(key=part["model"]), looks, heads)
        size = {"width": 54 * len(heads) + 60, "height": HEIGHT}
        panels.append(panel.properties(title=_title(facts, dataset, PLACES[where]), **size))
    return sheet(panels, beside=legend(looks, facts.models), notice=facts.notice)


def dodge_labels(values: np.ndarray, gap: float) -> np.ndarray:
    """Move sorted values apart until neighbours differ by a gap, each cluster about its mean.

    >>> dodge_labels(np.array([1.0, 1.0, 5.0]), 2.0).tolist()
    [0.0, 2.0, 5.0]
    """
    clusters: list[tuple[float, int]] = []  # mean of the values, how many
    for value in values.tolist():
        clusters.append((value, 1))
        while len(clusters) > 1:
            (low, below), (high, above) = clusters[-2:]
            if high - low >= gap * (below + above) / 2:
                break
            count = below + above
            clusters[-2:] = [((low * below + high * above) / count, count)]
    parts = [mean + gap * (np.arange(count) - (count - 1) / 2) for mean, count in clusters]
    return np.concatenate(parts) if parts else np.empty(0)


def rank_panel(
    table: pd.DataFrame, looks: dict[str, Style], groups: list[list[str]] | None = None
) -> Any:
    """Draw mean ranks, rows below each other, with a bar over each group that does not differ.

    Parameters
    ----------
    table
        Of `ranks.csv`, in or out of domain, with the columns of `with_names`.
    groups
        From `groups_alike`.
    """
    table = table.sort_values("mean_rank")
    order, note = list(table["row"]), table["note"].iloc[0]
    title = (
        f"mean rank, 1 is best ({note})"
        if isinstance(note, str) and note
        else "mean rank, 1 is best"
    )
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL))
    known = table.set_index("key")
    bars = [
        {"row": known.loc[key, "row"], "from": known.loc[group[0], "mean_rank"],
         "to": known.loc[group[-1], "mean_rank"]}
        for group in groups or [] for key in group
    ]  # fmt: skip
    bar = alt.Chart(pd.DataFrame(bars)).mark_rule(strokeWidth=5, strokeOpacity=0.25, color=GREY)
    points = alt.Chart(table).mark_point(filled=True, size=80, opacity=1).encode(
        y=y, x=alt.X("mean_rank:Q", title=title, scale=alt.Scale(zero=False, padding=8)),
        color=row_channel(looks, "colour"), shape=row_channel(looks, "mark"),
    )  # fmt: skip
    below = [bar.encode(y=y, x="from:Q", x2="to:Q")] if bars else []
    return alt.layer(*below, points)


def groups_alike(values: pd.DataFrame) -> list[list[str]]:
    """Return the largest groups of rows that Nemenyi's test does not separate, each by rank.

    Parameters
    ----------
    values
        AUROC, a line per training domain and a column per row.
    """
    from scikit_posthocs import posthoc_nemenyi_friedman

    apart = posthoc_nemenyi_friedman(values)
    order = list(values.rank(axis=1, ascending=False).mean().sort_values().index)
    groups: list[list[str]] = []
    for first in range(len(order)):
        last = first
        while last + 1 < len(order) and bool(
            (apart.loc[order[first : last + 2], order[first : last + 2]] >= ALIKE).to_numpy().all()
        ):
            last += 1
        group = order[first : last + 1]
        if len(group) > 1 and not any(set(group) <= set(known) for known in groups):
            groups.append(group)
    return groups


def draw_ranks(table: pd.DataFrame, values: dict[str, pd.DataFrame], facts: RowFacts) -> Card:
    """Draw mean ranks over training domains, with groups that do not differ where they are tested.

    Parameters
    ----------
    table
        From `ranks.ranks`.
    values
        `in` and `out` to AUROCs, one line per training domain and one column per row.
    """
    table, looks, panels = with_names(table, facts.labels), facts.styles, []
    for tested, wide in values.items():
        part = table[table["tested"] == tested]
        groups = None if part["note"].iloc[0] else groups_alike(wide)
        said = f"{PLACES[tested]}: mean rank over {len(wide)} training domains (descriptive)"
        more = ["bars: rows that do not differ (Nemenyi, 5 %)"] * (groups is not None)
        panel = rank_panel(part, looks, groups)
        panels.append(panel.properties(width=380, height=18 * len(part), title=[said, *more]))
    return sheet(panels, columns=1, notice=facts.notice)


def ladder_panel(table: pd.DataFrame, looks: dict[str, Style]) -> Any:
    """Draw every row's AUROC from rung to rung of a dataset, rows beside each other.

    Parameters
    ----------
    table
        Of `ladder.csv`, with the columns of `with_names`.
    """
    first = table.drop_duplicates("rung")[["rung", "title", "n_train"]].to_numpy()
    names = {rung: "\n".join([*wrapped(title, 18), f"{cells:,.0f} cells"])
             for rung, title, cells in first}  # fmt: skip
    axis = alt.Axis(labelAngle=0, labelExpr=r"split(datum.label, '\n')", labelLineHeight=10)
    x = alt.X("name:N", sort=list(names.values()), title=None, axis=axis)
    beside = alt.XOffset("key:N", sort=[key for key in looks if (table["key"] == key).any()])
    return lines(table.assign(name=table["rung"].map(names)), looks, x=x, xOffset=beside,
                 floor=0.5, title="AUROC within domains, 95 % over slides")  # fmt: skip


def draw_ladder(table: pd.DataFrame, facts: RowFacts) -> Card:
    """Draw every row's AUROC from rung to rung, a panel per dataset, and what it cost.

    Parameters
    ----------
    table
        From `leakage_ladder.measure_ladder`.
    """
    table, looks, panels = with_names(table, facts.labels), facts.styles, []
    for dataset, part in table.groupby("dataset", sort=False):
        size = {"width": 100 * part["rung"].nunique(), "height": HEIGHT}
        panels.append(
            ladder_panel(part, looks).properties(title=_title(facts, str(dataset)), **size)
        )
    drawn = {key: looks[key] for key in dict.fromkeys(table["key"])}
    return sheet(panels, beside=legend(drawn, facts.labels), notice=facts.notice)
