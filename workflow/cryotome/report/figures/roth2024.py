"""Figures 1 and 2 of paper 002: performance against GPU-hours, and over the iterations."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.cards import Card
from cryotome.report.figures.canvas import add_synthetic_notice, styles_of
from cryotome.study.colorectal import notice_of
from cryotome.study.styles import COLOURS

NAMES = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}
PANELS = {"patches": "patches: {}", "slides": "slides: {}"}
TITLES = {"patches": "patch classification", "slides": "slide classification"}
SHOWN = {"patches": "balanced_accuracy", "slides": "auroc"}
CHOSEN = "what validation chooses"
FILLS = ["full", "left", "bottom", "right", "top"]  # of heads; `none` is what is printed


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
    tables: list[pd.DataFrame], costs: dict[str, Card], hours: dict[str, float], about: Card
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
    about
        `Colorectal.about`.

    Returns
    -------
    data frame with columns panel, model, title, head, hours, unit, source, quantity, value, low,
    high
        `source` is `measured` or `published`, of the hours; hours are NaN where the encoder has
        seen no tissue. Printed performances of the authors' weights are lines of their own.
    """
    rows = []
    for table in tables:
        for kind, columns in about["columns"].items():
            for column in [n for n, (_, shown) in columns.items() if shown == SHOWN[kind]]:
                for line in table.to_dict("records") if column in table else []:
                    rows += _points(line, (kind, column), costs, hours, about)
    columns = ["panel", "model", "title", "head", "hours", "unit", "source", "quantity"]
    columns += ["value", "low", "high"]
    return pd.DataFrame(rows, columns=columns).dropna(subset="value", ignore_index=True)


def _points(
    line: dict[Any, Any],
    place: tuple[str, str],
    costs: dict[str, Card],
    hours: dict[str, float],
    about: Card,
) -> list[Card]:
    """Return the points of a line of a table in one column: as measured here, and as printed."""
    model = line["model"]
    printed = about["printed_as"].get(model, model)
    kind, column = place
    where, quantity = about["columns"][kind][column]
    title, spent = about["datasets"][where], {"unit": "GPU-hours", "source": "published"}
    point = {"panel": PANELS[kind].format(title), "model": model, "head": line["head"]}
    point |= {"quantity": quantity}
    there = spent | {"hours": hours.get(printed)}
    here = there
    if model in costs:
        here = {"hours": costs[model]["hours"], "unit": costs[model]["unit"], "source": "measured"}
    span = {"value": line[column]} | {n: line.get(f"{column}_{n}") for n in ("low", "high")}
    points = [point | here | span | {"title": line["title"]}]
    number = line.get(f"{column}_published")
    if printed in hours and pd.notna(number):
        value = {"value": float(number), "title": f"{line['title']}, as printed"}
        points.append(point | there | value)
    return points


def _grid(count: int) -> tuple[Figure, list[Axes]]:
    sns.set_theme(style="whitegrid", context="paper")
    size = (3.9 * count, 3.9)
    figure, axes = plt.subplots(1, count, layout="constrained", figsize=size, squeeze=False)
    return figure, list(axes[0])


def _below(figure: Figure, axes: list[Axes]) -> None:
    known = {
        name: handle
        for axis in reversed(axes)
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    names = sorted(known, key=lambda name: name == CHOSEN)
    figure.legend(
        [known[name] for name in names],
        names,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=2,
        frameon=False,
        fontsize=7,
    )


def draw_figure1(table: pd.DataFrame, about: Card) -> Figure:
    """Draw performance against hours, a panel for each; hollow where the value is printed.

    Encoders that have seen no tissue stand at the left, beside each other.
    """
    panels = list(dict.fromkeys(table["panel"]))
    looks = styles_of(about)
    fills = dict(zip(dict.fromkeys(table["head"]), FILLS, strict=False))
    known = table["hours"].dropna()
    first, last = (known.min(), known.max()) if len(known) else (1.0, 1.0)
    decades = range(int(np.floor(np.log10(first))), int(np.ceil(np.log10(last))) + 1)
    start = 10.0 ** (min(decades) - 1.5)  # where those without training stand
    figure, axes = _grid(len(panels))
    for axis, panel in zip(axes, panels, strict=True):
        mine = table[table["panel"] == panel]
        still = list(dict.fromkeys(mine.loc[mine["hours"].isna(), "model"]))
        for line in mine.to_dict("records"):
            look, printed = looks[line["model"]], str(line["title"]).endswith("as printed")
            at = still.index(line["model"]) + 0.5 if line["model"] in still else 0
            x = start * 10 ** (at / len(still) - 0.5) if at else line["hours"]
            drawn = look.line | {"linestyle": "", "ms": 6}
            drawn |= {"fillstyle": "none" if printed else fills[line["head"]]}
            axis.plot(x, line["value"], label=f"{line['title']} + {line['head']}", **drawn)
            if pd.notna(line["low"]):
                axis.vlines(x, line["low"], line["high"], color=look.colour, lw=0.8, alpha=0.7)
        axis.set(xscale="log", title=panel, ylabel=NAMES[mine["quantity"].iloc[0]])
        axis.set_xticks(
            [start, *(10.0**n for n in decades)], ["none", *(f"{10.0**n:,g}" for n in decades)]
        )
        axis.minorticks_off()
        axis.set_xlim(start / 5, 10.0 ** (max(decades) + 0.3))
        axis.set_xlabel(f"training on tissue, {' or '.join(sorted(set(table['unit'])))}")
    _below(figure, axes)
    return add_synthetic_notice(figure, notice_of(about))


def figure2_data(scores: pd.DataFrame, validation: pd.DataFrame, about: Card) -> pd.DataFrame:
    """Follow the checkpoints of a finetuning.

    Parameters
    ----------
    scores
        Of every checkpoint, as `colorectal_tables.read_summaries` gives them.
    validation
        Likewise, of what is not tested: the patients that validate, patches held out.
    about
        `Colorectal.about`: courses, columns.

    Returns
    -------
    data frame with columns panel, iteration, model, head, dataset, quantity, value, low, high,
    chosen
        `chosen`: the checkpoint with the highest value on validation, of datasets that it has no
        part of; the peak of a curve of test values is chosen by the test.
    """
    parts = []
    for panel, course in about["courses"].items():
        points = pd.DataFrame({"iteration": map(int, course), "model": course.values()})
        tested = [dataset for dataset, _ in about["columns"][panel].values()]
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


def is_held_out(curve: pd.DataFrame, course: dict[str, str], heads: list[str]) -> pd.DataFrame:
    """Return what patches held out of a finetuning's looks said of its checkpoints.

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
        (model, head, "held out", SHOWN["patches"], look.get(int(at)))
        for at, model in course.items()
        for head, look in looks.items()
    ]
    return pd.DataFrame(rows, columns=["model", "head", "dataset", "quantity", "value"]).dropna()


def draw_figure2(table: pd.DataFrame, about: Card) -> Figure:
    """Draw performance over the iterations: panel a patches, panel b slides."""
    panels = list(dict.fromkeys(table["panel"]))
    names = dict.fromkeys(table["dataset"] + " " + table["head"])
    colours = dict(zip(names, COLOURS.values(), strict=False))
    figure, axes = _grid(len(panels))
    for letter, axis, panel in zip("ab", axes, panels, strict=False):
        mine = table[table["panel"] == panel]
        lines = list(mine.groupby(["dataset", "head"], sort=False))
        reach = mine["iteration"].max() * 0.012  # beside each other, so that no bar hides another
        for place, ((dataset, head), line) in enumerate(lines):
            line = line.sort_values("iteration")
            colour = colours[f"{dataset} {head}"]
            x = line["iteration"] + reach * (place - (len(lines) - 1) / 2)
            name = f"{about['datasets'][dataset]}, {head}"
            axis.plot(x, line["value"], marker="o", ms=4, color=colour, label=name)
            axis.vlines(x, line["low"], line["high"], color=colour, lw=0.8, alpha=0.7)
            axis.plot(x[line["chosen"]], line.loc[line["chosen"], "value"], "o", ms=10,
                      mfc="none", color="0.3", label=CHOSEN)  # fmt: skip
        axis.set(xlabel="iterations of finetuning", ylabel=NAMES[mine["quantity"].iloc[0]])
        axis.set_xticks(sorted(set(mine["iteration"])))
        axis.set_title(f"{letter}) {TITLES[panel]}", fontsize=9)
    _below(figure, axes)
    return add_synthetic_notice(figure, notice_of(about, about["courses"]))
