"""Figure 2 of Roth et al. 2024: performance over the iterations of finetuning."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.core.cards import Card
from cryotome.report.figures.charts import legend, lines, sheet
from cryotome.report.figures.roth2024_hours import NAMES, SHOWN
from cryotome.study.facts import RothFacts
from cryotome.study.styles import COLOURS, Style

TITLES = {"patches": "patch classification", "slides": "slide classification"}
CHOSEN = "what validation chooses"
INK = "#444"


def figure2_data(scores: pd.DataFrame, validation: pd.DataFrame, facts: RothFacts) -> pd.DataFrame:
    """Follow the checkpoints of a finetuning.

    Parameters
    ----------
    scores
        Of every checkpoint, as `measured.read_summaries` gives them.
    validation
        Likewise, of what is not tested: the patients that validate, patches held out.

    Returns
    -------
    data frame with columns panel, iteration, model, head, dataset, quantity, value, low, high,
    chosen
        `chosen`: the checkpoint with the highest value on validation, of datasets that it has no
        part of; the peak of a curve of test values is chosen by the test.
    """
    parts = []
    for panel, course in facts.checkpoints.items():
        points = pd.DataFrame({"iteration": list(course), "model": course.values()})
        tested = [dataset for dataset, _ in facts.columns[panel].values()]
        mine, held = (
            points.merge(table[table["quantity"] == SHOWN[panel]], on="model")
            for table in (scores[scores["dataset"].isin(tested)], validation)
        )
        part = mine.assign(panel=panel)
        best = held.loc[held.groupby("head")["value"].idxmax(), ["head", "iteration"]]
        chosen = set(best.itertuples(index=False, name=None))
        pairs = zip(part["head"], part["iteration"], strict=True)
        # patients who validate one fold test another: what they choose is no choice for them
        apart = ~part["dataset"].isin(set(held["dataset"]))
        parts.append(part.assign(chosen=pd.Series([pair in chosen for pair in pairs]) & apart))
    columns = ["panel", "iteration", "model", "head", "dataset", "quantity", "value", "low", "high"]
    return pd.concat(parts, ignore_index=True)[[*columns, "chosen"]]


def is_held_out(curve: pd.DataFrame, course: dict[int, str], heads: list[str]) -> pd.DataFrame:
    """Return the scores of a finetuning's checkpoints on the patches held out of it.

    Parameters
    ----------
    curve
        `results/encoders/{finetune}.csv`: columns iteration, knn, probe.
    course
        Iteration to model.

    Returns
    -------
    data frame with columns model, head, dataset, quantity, value
        k-NN for heads that are neighbours, else the linear probe.
    """
    seen = curve.drop_duplicates("iteration").set_index("iteration")
    looks = {head: seen["knn" if head.startswith("knn") else "probe"] for head in heads}
    rows = [
        (model, head, "held out", SHOWN["patches"], look.get(at))
        for at, model in course.items()
        for head, look in looks.items()
    ]
    return pd.DataFrame(rows, columns=["model", "head", "dataset", "quantity", "value"]).dropna()


def checkpoint_lines(table: pd.DataFrame, titles: dict[str, str]) -> dict[str, Style]:
    """Return the style of each line of Figure 2, by the name of its dataset and head."""
    names = dict.fromkeys(_line_names(table, titles))
    colours = zip(names, COLOURS.values(), strict=False)
    return {name: Style(colour, "circle", []) for name, colour in colours}


def _line_names(table: pd.DataFrame, titles: dict[str, str]) -> pd.Series:
    return table["dataset"].map(titles).fillna(table["dataset"]) + ", " + table["head"]


def checkpoint_panel(
    table: pd.DataFrame,
    looks: dict[str, Style],
    titles: dict[str, str],
    named: alt.Legend | None = None,
) -> Any:
    """Draw a panel of Figure 2: performance over the iterations, with what validation chooses.

    Parameters
    ----------
    table
        Of `figure2_data`.
    looks, titles
        From `checkpoint_lines`; names of datasets.
    named
        Its own legend, on the page.
    """
    table = table.assign(key=_line_names(table, titles))
    keys = list(dict.fromkeys(table["key"]))
    reach = table["iteration"].max() * 0.012  # beside each other, so that no bar hides another
    aside = table["key"].map(keys.index) - (len(keys) - 1) / 2
    table = table.assign(at=table["iteration"] + reach * aside)
    axis = alt.Axis(values=sorted(set(table["iteration"])), grid=False)
    scale = alt.Scale(nice=False, padding=12)
    x = alt.X("at:Q", title="iterations of finetuning", axis=axis, scale=scale)
    name = NAMES[table["quantity"].iloc[0]]
    drawn = lines(table, looks, y=("value", "low", "high"), title=name, x=x, named=named)
    chosen = alt.Chart(table[table["chosen"]]).mark_point(size=170, stroke=INK, opacity=1)
    return alt.layer(drawn, chosen.encode(x=x, y="value:Q"))


def draw_figure2(table: pd.DataFrame, facts: RothFacts) -> Card:
    """Draw performance over the iterations: panel a patches, panel b slides."""
    looks, panels = checkpoint_lines(table, facts.datasets), []
    for letter, (panel, part) in zip("ab", table.groupby("panel", sort=False), strict=False):
        drawn = checkpoint_panel(part, looks, facts.datasets)
        title = f"{letter}) {TITLES[str(panel)]}"
        panels.append(drawn.properties(width=270, height=250, title=title))
    names = {name: name for name in looks}
    below = [legend(looks, names, columns=min(2, len(names)))]
    if table["chosen"].any():
        ring = {CHOSEN: Style(INK, "circle", [])}
        below.append(legend(ring, {CHOSEN: f"ring: {CHOSEN}"}, line=False, hollow=[CHOSEN]))
    return sheet(panels, below=below, notice=facts.notice_of(facts.checkpoints))
