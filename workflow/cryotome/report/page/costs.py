"""What the study took: AUROC against hours, row by row, job by job."""

from typing import Any

import pandas as pd

from cryotome.report.figures.costs import WHERE, cost_panel, with_places
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import Cell, Grid, as_text, number, split_columns, text_of, words
from cryotome.report.page.results import FileLink, StudyResults
from cryotome.report.page.sections import PLACES, Section, named, panel, row_cell

SECONDS_BELOW = 0.01  # h


def hours(value: Any, source: FileLink) -> Cell:
    """Write hours with three digits, below 0.01 in seconds; what is not known is an empty cell.

    >>> source = FileLink("costs.csv", "summarise_costs", "costs.csv")
    >>> hours(1.2345, source).text, hours(0.001234, source).text, hours(float("nan"), source).text
    ('1.23', '4.4 s', '')
    """
    seconds = f"{3600 * value:.2g} s" if 0 < value < SECONDS_BELOW else ""
    return number(value, source, text=seconds or f"{value:.3g}")


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
    pictures = []
    for dataset, part in split_columns(named(table, g), "dataset"):
        part, unit = with_places(part)
        some, out = part.dropna(subset="x"), list(part.loc[part["x"].isna(), "row"])
        crossed = bool(part["out_mean"].notna().any())
        for column, where in WHERE.items():
            if some[column].isna().all():
                continue
            place = where if crossed else PLACES["all"]
            title = panel(str(dataset), g, place)
            tip = tips(Row="row", AUROC=f"{column}:.3f", Hours="hours:.3g", Records="kind",
                       Device="device")  # fmt: skip
            spec = with_theme(cost_panel(some, column, unit, g.facts.styles), tip=tip)
            behind = as_text(some[["row", "hours", column, "kind"]], title, g.source("costs.csv"),
                             digits=5)  # fmt: skip
            said = f"AUROC over {unit}, {title}, {len(some)} rows; hollow: records are missing, or "
            said += "no GPU is needed."
            said += f" Not drawn, with too few records: {', '.join(out)}." * bool(out)
            name = f"cost-{dataset}-{column.removesuffix('_mean')}"
            pictures.append(Picture(name, f"AUROC against {unit}, {title}", spec, said, behind))
    return pictures
