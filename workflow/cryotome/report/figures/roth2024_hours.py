"""Figure 1 of Roth et al. 2024: performance against the hours of training on tissue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import GREY, legend, marks, padded, row_channel, sheet
from cryotome.study.facts import RothFacts
from cryotome.study.styles import Style

NAMES = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}
PANELS = {"patches": "patches: {}", "slides": "slides: {}"}
SHOWN = {"patches": "balanced_accuracy", "slides": "auroc"}
# inside the marks, by head; no circle: a ring is a printed number
SIGNS = ["M0,0", "triangle-up", "square", "cross", "diamond"]


def published_hours(texts: pd.DataFrame) -> dict[str, float]:
    """Return the printed GPU-hours of each encoder's training on tissue.

    Where a paper prints GPUs and hours apart, it is their product.

    Parameters
    ----------
    texts
        `config/published/roth2024_text.csv`, all text.
    """
    said = texts[texts["model"] != ""].assign(value=texts["value"].str.replace(",", ""))
    table = said.pivot_table(index="model", columns="quantity", values="value", aggfunc="first")
    hours: dict[str, float] = {}
    for model, line in table.iterrows():
        whole = [v for name, v in line.dropna().items() if str(name).startswith("GPU hours of")]
        parts = line.reindex(["GPUs of the pretraining", "pretraining time"])
        if whole:
            hours[str(model)] = float(whole[0])
        elif parts.notna().all():
            hours[str(model)] = float(np.prod([float(part) for part in parts]))
    return hours


def cumulative_hours(notes: Card) -> Card:
    """Return the hours of a finetuning and their unit, from what stands beside its weights."""
    unit = "gpu_hours" if "gpu_hours" in notes else "core_hours"
    said = {"gpu_hours": "GPU-hours", "core_hours": "core-hours"}
    return {"hours": notes[unit], "unit": said[unit]}


def figure1_data(
    tables: list[pd.DataFrame], costs: dict[str, Card], hours: dict[str, float], facts: RothFacts
) -> pd.DataFrame:
    """Lay every performance beside the hours of training on tissue that it took.

    Parameters
    ----------
    tables
        Tables 1 and 2.
    costs
        Model to `hours` and `unit`, measured, of what is finetuned here.
    hours
        From `published_hours`.

    Returns
    -------
    data frame with columns panel, model, title, head, hours, unit, source, quantity, value, low,
    high
        `source` is `measured` or `published`, of the hours; hours are NaN where the encoder has
        seen no tissue. Printed performances of the authors' weights are lines of their own.
    """
    rows = []
    for table in tables:
        for kind, tested in facts.columns.items():
            for column in [n for n, (_, shown) in tested.items() if shown == SHOWN[kind]]:
                for line in table.to_dict("records") if column in table else []:
                    rows += _points(line, (kind, column), costs, hours, facts)
    columns = ["panel", "model", "title", "head", "hours", "unit", "source", "quantity"]
    columns += ["value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).dropna(subset="value", ignore_index=True)


def _points(
    line: dict[Any, Any],
    place: tuple[str, str],
    costs: dict[str, Card],
    hours: dict[str, float],
    facts: RothFacts,
) -> list[Card]:
    """Return the points of a line of a table in one column: as measured here, and as printed."""
    model = line["model"]
    printed = facts.published_names.get(model, model)
    kind, column = place
    where, quantity = facts.columns[kind][column]
    title, spent = facts.datasets[where], {"unit": "GPU-hours", "source": "published"}
    point = {"panel": PANELS[kind].format(title), "model": model, "head": line["head"]}
    point |= {"quantity": quantity}
    there = spent | {"hours": hours.get(printed)}
    here = costs[model] | {"source": "measured"} if model in costs else there
    span = {"value": line[column]} | {n: line.get(f"{column}_{n}") for n in ("low", "high")}
    points = [point | here | span | {"title": line["title"]}]
    number = line.get(f"{column}_published")
    if printed in hours and pd.notna(number):
        value = {"value": float(number), "title": f"{line['title']}, as printed"}
        points.append(point | there | value)
    return points


@dataclass(frozen=True)
class HoursAxis:
    """Axis of hours, on which encoders that have seen no tissue stand at the left.

    Attributes
    ----------
    start
        Hours at which those encoders stand.
    decades
        Powers of ten that enclose the known hours.
    """

    start: float
    decades: list[float]

    @classmethod
    def over(cls, hours: pd.Series) -> "HoursAxis":
        """Return the axis of these hours; NaN is an encoder without training on tissue."""
        known = hours.dropna()
        first, last = (known.min(), known.max()) if len(known) else (1.0, 1.0)
        powers = range(int(np.floor(np.log10(first))), int(np.ceil(np.log10(last))) + 1)
        return cls(10.0 ** (powers[0] - 1.5), [10.0**power for power in powers])

    def place(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add `at`, h, where each point of a panel stands, and `number`: printed or measured."""
        still = list(dict.fromkeys(table.loc[table["hours"].isna(), "model"]))
        place = table["model"].map({m: (n + 0.5) / len(still) - 0.5 for n, m in enumerate(still)})
        printed = (
            table["title"].str.endswith("as printed").map({True: "printed", False: "measured"})
        )
        at = table["hours"].fillna(self.start * 10**place)
        return table.assign(key=table["model"], at=at, number=printed)

    def encoding(self, unit: str) -> alt.X:
        """Return the encoding of `at`."""
        named = f"datum.value < {self.decades[0] / 2} ? 'none' : format(datum.value, ',~r')"
        axis = alt.Axis(values=[self.start, *self.decades], labelExpr=named, labelOverlap=True)
        scale = alt.Scale(type="log", nice=False, domain=[self.start / 5, 2 * self.decades[-1]])
        return alt.X("at:Q", title=f"training on tissue, {unit}", scale=scale, axis=axis)


def hours_panel(
    table: pd.DataFrame, looks: dict[str, Style], hours: HoursAxis, heads: Sequence[str]
) -> Any:
    """Draw a panel of Figure 1: performance against hours, hollow where the value is printed.

    Parameters
    ----------
    table
        Of `figure1_data`, placed by `hours`.
    looks
        Styles of models.
    heads
        Each has its own sign inside a mark.
    """
    x = hours.encoding(" or ".join(sorted(set(table["unit"]))))
    scale = padded([*table["value"], *table["low"], *table["high"]])
    base = alt.Chart(table).encode(x=x)
    rule = base.mark_rule(strokeOpacity=0.7).encode(
        y=alt.Y("low:Q", scale=scale), y2="high:Q", color=row_channel(looks, "colour")
    )
    y = alt.Y("value:Q", title=NAMES[table["quantity"].iloc[0]], scale=scale)
    points = marks(base, looks, filled="datum.number == 'measured'", size=60).encode(y=y)
    sign = alt.Shape("head:N", scale=alt.Scale(domain=[*heads], range=SIGNS), legend=None)
    inside = base.transform_filter("datum.number == 'measured'").mark_point(
        size=16, filled=True, color="white", opacity=1
    )
    layers = alt.layer(rule, points, inside.encode(y=y, shape=sign))
    return layers.resolve_scale(shape="independent")


def draw_figure1(table: pd.DataFrame, facts: RothFacts) -> Card:
    """Draw performance against hours, a panel for each.

    Encoders that have seen no tissue stand at the left, beside each other.
    """
    looks, hours = facts.styles, HoursAxis.over(table["hours"])
    heads, panels = list(dict.fromkeys(table["head"])), []
    for panel, part in table.groupby("panel", sort=False):
        drawn = hours_panel(hours.place(part), looks, hours, heads)
        panels.append(drawn.properties(width=260, height=250, title=str(panel)))
    printed = table["title"].str.endswith("as printed")
    own = table[~printed].drop_duplicates("model")
    names = dict(zip(own["model"], own["title"], strict=True))
    shown = {model: looks[model] for model in names}
    signs = {head: Style(GREY, sign, []) for head, sign in zip(heads, SIGNS, strict=False)}
    said = {head: f"inside: {head}" for head in heads}
    if printed.any():
        signs["printed"], said["printed"] = Style(GREY, "circle", []), "hollow: as printed"
    said[heads[0]] = f"plain: {heads[0]}"
    below = [legend(shown, names, line=False, columns=min(4, len(names))),
             legend(signs, said, line=False, hollow=["printed"], columns=len(signs))]  # fmt: skip
    return sheet(panels, below=below, notice=facts.notice_of())
