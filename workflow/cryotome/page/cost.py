"""What the study took: AUROC against hours, row by row, job by job."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.page.gathered import Gathered, Source
from cryotome.page.grids import Cell, Grid, number, parted, plain, text_of, words
from cryotome.page.pictures import SHOWN, Picture, finish, of_rows, tips
from cryotome.page.sections import PLACES, Section, named, panel, row_cell

WHERE = {"in": "in_mean", "out": "out_mean"}


def hours(value: Any, source: Source) -> Cell:
    """Write hours with three digits; none are an empty cell.

    >>> source = Source("costs.csv", "tally", "costs.csv")
    >>> hours(0.001234, source).text, hours(0.0, source).text
    ('0.00123', '')
    """
    return number(value or None, source, text=f"{value:.3g}")


def cost(g: Gathered) -> Section:
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


def _jobs(g: Gathered) -> list[Grid]:
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


def _against(table: pd.DataFrame, g: Gathered) -> list[Picture]:
    """Draw AUROC against GPU-hours, core-hours where no GPU ran."""
    table = named(table, g)
    on_gpu = (table["gpu_hours"] > 0).any()
    hours, unit = ("gpu_hours", "GPU-hours") if on_gpu else ("core_hours", "core-hours")
    table = table[table[hours] > 0]
    pictures = []
    for dataset, part in parted(table, "dataset"):
        for where, column in WHERE.items():
            if part[column].isna().all():
                continue
            x = alt.X(f"{hours}:Q", title=unit, scale=alt.Scale(type="log"))
            y = alt.Y(f"{column}:Q", title=f"AUROC {PLACES[where]}", scale=alt.Scale(zero=False))
            tip = tips(Row="row", AUROC=f"{column}:.3f", Hours=f"{hours}:.3g", Device="device")
            chart = alt.Chart(part).mark_point(filled=True, size=90)
            chart = chart.encode(
                x=x, y=y, tooltip=tip, color=of_rows(g.looks, "colour"),
                shape=of_rows(g.looks, "mark"), opacity=alt.OpacityValue(alt.expr(SHOWN)),
            )  # fmt: skip
            title = panel(str(dataset), g, PLACES[where])
            behind = plain(part[["row", hours, column]], title, g.source("costs.csv"))
            said = f"AUROC {PLACES[where]} over {unit}, {title}, {len(part)} rows."
            name = f"cost-{dataset}-{where}"
            pictures.append(Picture(name, f"AUROC against {unit}, {title}", finish(chart), said,
                                    behind))  # fmt: skip
    return pictures
