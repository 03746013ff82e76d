"""What the study took: AUROC against hours, row by row, job by job."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.report.page.charts import SHOWN, Picture, row_chart, tips, with_theme
from cryotome.report.page.grids import Cell, Grid, as_text, number, split_columns, text_of, words
from cryotome.report.page.results import FileLink, StudyResults
from cryotome.report.page.sections import PLACES, Section, named, panel, row_cell

WHERE = {"in": "in_mean", "out": "out_mean"}


def hours(value: Any, source: FileLink) -> Cell:
    """Write hours with three digits; what is not known is an empty cell.

    >>> source = FileLink("costs.csv", "summarise_costs", "costs.csv")
    >>> hours(0.001234, source).text, hours(0.0, source).text, hours(float("nan"), source).text
    ('0.00123', '0', '')
    """
    return number(value, source, text=f"{value:.3g}")


def cost(g: StudyResults) -> Section:
    """Show what rows took, and AUROC against it."""
    table, missing = g.table("costs.csv"), g.missing("costs.csv", "ledger.csv")
    jobs = _jobs(g)
    if table is None:
        return Section("cost", "Cost", [], jobs, [], missing)
    source = g.source("costs.csv")
    rows = [
        [row_cell(f"{line['model']} + {line['head']}", g), words(panel(line["dataset"], g)),
         hours(line["gpu_hours"], source), hours(line["core_hours"], source),
         hours(line["shared_core_hours"], source), number(line["peak_mb"], source, digits=0),
         number(line["peak_gpu_mb"], source, digits=0),
         number(line["patches_per_s"], source, digits=0),
         number(line["energy_kwh"], source, digits=2), words(text_of(line["device"])),
         number(line["in_mean"], source), number(line["out_mean"], source),
         words(text_of(line["note"]))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "GPU-hours", "Core-hours", "Shared core-hours", "Peak memory, MB"]
    heads += ["Peak GPU memory, MB", "Patches a second", "Energy, kWh", "Device"]
    heads += ["AUROC in domain", "AUROC out of domain", "Note"]
    said = [
        "Written by the jobs themselves. An embedding that several rows read counts in each: rows "
        "do not add up. Shared: cells, patches and splits, which every row needs."
    ]
    grids = [Grid("What each row took", heads, rows, source), *jobs]
    return Section("cost", "Cost", said, grids, _against(table, g), missing)


def _jobs(g: StudyResults) -> list[Grid]:
    table, source = g.table("ledger.csv"), g.source("ledger.csv")
    if table is None:
        return []
    sums: Any = table.groupby("rule").agg(
        jobs=("rule", "size"), wall=("wall_s", "sum"), cpu=("cpu_s", "sum"), gpu=("gpu_s", "sum"),
        peak=("peak_mb", "max"), device=("device", "first"),
    )  # fmt: skip
    rows = [
        [words(rule), number(line["jobs"], source, digits=0),
         number(line["wall"], source, digits=0), number(line["cpu"], source, digits=0),
         number(line["gpu"] or None, source, digits=0), number(line["peak"], source, digits=0),
         words(text_of(line["device"]))]
        for rule, line in sums.sort_values("cpu", ascending=False).iterrows()
    ]  # fmt: skip
    heads = ["Rule", "Jobs", "Wall, s", "Processor, s", "GPU, s", "Peak memory, MB", "Device"]
    return [Grid("What each rule took", heads, rows, source, folded=True)]


def _against(table: pd.DataFrame, g: StudyResults) -> list[Picture]:
    """Draw AUROC against GPU-hours, core-hours where no GPU ran; hollow: records are missing."""
    table, pictures = named(table, g), []
    table["whole"] = (table["missing"] + table["killed"]).eq(0).map({True: "all", False: "some"})
    for dataset, part in split_columns(table, "dataset"):
        on_gpu = (part["gpu_hours"] > 0).any()
        hours_, unit = ("gpu_hours", "GPU-hours") if on_gpu else ("core_hours", "core-hours")
        some = part[part[hours_] > 0]
        crossed = bool(part["out_mean"].notna().any())
        for where, column in WHERE.items():
            if some[column].isna().all():
                continue
            place = PLACES[where] if crossed else PLACES["all"]
            chart = _scatter(some, g, hours_, unit, column, place)
            left_out = [row for row in part["row"] if row not in set(some["row"])]
            title = panel(str(dataset), g, place)
            behind = as_text(some[["row", hours_, column, "whole"]], title, g.source("costs.csv"),
                           digits=5)  # fmt: skip
            said = f"AUROC over {unit}, {title}, {len(some)} rows; hollow: records are missing."
            said += f" Not drawn, for they have none: {', '.join(left_out)}." * bool(left_out)
            name, shown = f"cost-{dataset}-{where}", f"AUROC against {unit}, {title}"
            pictures.append(Picture(name, shown, with_theme(chart), said, behind))
    return pictures


def _scatter(
    table: pd.DataFrame, g: StudyResults, hours_: str, unit: str, column: str, place: str
) -> alt.Chart:
    tip = tips(Row="row", AUROC=f"{column}:.3f", Hours=f"{hours_}:.3g", Records="whole",
               Device="device")  # fmt: skip
    return (
        alt.Chart(table)
        .mark_point(size=90)
        .encode(
            x=alt.X(f"{hours_}:Q", title=unit, scale=alt.Scale(type="log")),
            y=alt.Y(f"{column}:Q", title=f"AUROC {place}", scale=alt.Scale(zero=False)),
            tooltip=tip,
            color=row_chart(g.looks, "colour"),
            fill=row_chart(g.looks, "fill"),
            fillOpacity=alt.condition("datum.whole == 'all'", alt.value(1), alt.value(0)),
            shape=row_chart(g.looks, "mark"),
            opacity=alt.OpacityValue(alt.expr(SHOWN)),
        )
    )
