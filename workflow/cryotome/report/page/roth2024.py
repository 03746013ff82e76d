"""The page's part on Roth et al. 2024: patches, slides, encoders, hours, checkpoints."""

import altair as alt
import pandas as pd

from cryotome.report.figures.roth2024_checkpoints import checkpoint_lines, checkpoint_panel
from cryotome.report.figures.roth2024_hours import HoursAxis, hours_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import (
    Cell,
    Grid,
    as_text,
    missing_cell,
    number,
    span,
    split_columns,
    verdict,
    words,
)
from cryotome.report.page.results import FileLink, StudyResults
from cryotome.report.page.sections import Section
from cryotome.report.tables.roth2024 import slides_of_cohorts
from cryotome.study.facts import RothFacts
from cryotome.study.statistical_unit import UNKNOWN

TABLES = {
    "colorectal/table1.csv": "Table 1: a label of the patient from slides",
    "colorectal/table2.csv": "Table 2: tissue in patches",
}
NAMES = {"cohort": "cohort", "external": "external", "balanced_accuracy": "balanced accuracy",
         "weighted_f1": "weighted F1"}  # fmt: skip
FIGURES = ["colorectal/table3.csv", "colorectal/figure1.csv", "colorectal/figure2.csv"]


def colorectal(g: StudyResults) -> Section:
    """Show the tables and figures of Roth et al. 2024."""
    roth = g.facts.roth
    if roth is None:
        return Section("colorectal", "")
    names = [name for name in (*TABLES, *FIGURES) if name in g.facts.products]
    grids = [grid for name in names if name in TABLES for grid in _table(g, roth, name)]
    grids += _sizes(g, roth)
    said = [f"Roth et al. 2024 on {', '.join(roth.datasets.values())}."]
    notice = roth.notice_of()
    said += [f"{notice[:1].upper()}{notice[1:]}: says nothing of real tissue."] * bool(notice)
    cohorts = dict.fromkeys(dataset for dataset, _ in roth.columns["slides"].values())
    lists = [g.results / "tiles" / dataset / "classify.csv" for dataset in cohorts]
    said += slides_of_cohorts([path for path in lists if path.exists()], roth)
    title = "Roth et al. 2024: colorectal tissue, in patches and slides"
    pictures = [*_hours(g, roth), *_checkpoints(g, roth)]
    return Section("colorectal", title, said, grids, pictures, g.missing(*names))


def _table(g: StudyResults, roth: RothFacts, name: str) -> list[Grid]:
    partial = name.replace(".csv", "_partial.csv")
    table = g.table(name)
    beside = g.source(name)
    if table is None:
        if (table := g.table(partial)) is None:
            return []
        beside = g.source(partial)
    kind = "slides" if name.endswith("table1.csv") else "patches"
    rows, heads = [], ["Encoder", "Head"]
    for column, (dataset, _) in roth.columns[kind].items():
        shown = NAMES.get(column, f"external: {roth.datasets[dataset]}")
        shown = shown[0].upper() + shown[1:]
        heads += [shown, f"{shown}: 95 % interval", f"{shown}: published", f"{shown}: verdict"]
    for line in table.to_dict("records"):
        cells = [words(line["title"], roth.styles.get(line["model"])), words(line["head"])]
        for column in roth.columns[kind]:
            cells += _measured(g, line, column, beside, name)
        rows.append(cells)
    unknown = kind == "patches" and bool(roth.unknown_slides)
    title = TABLES[name] + f" (unit: {UNKNOWN})" * unknown
    return [Grid(title, heads, rows, beside)]


def _measured(g: StudyResults, line: dict, column: str, source: FileLink, name: str) -> list[Cell]:
    """Return value, interval, published value and verdict."""
    value = number(line[column], source, sd=line.get(f"{column}_sd"))
    if not value.text:
        why = line.get("why")
        value = missing_cell(why if isinstance(why, str) else "not made yet", g.command(name))
    printed, sd = line.get(f"{column}_published"), line.get(f"{column}_published_sd")
    shown = "" if pd.isna(printed) else f"{printed}" + ("" if pd.isna(sd) else f" ± {sd}")
    ends = span(line.get(f"{column}_low"), line.get(f"{column}_high"), source)
    return [value, ends, words(shown), verdict(line.get(f"{column}_verdict"))]


def _sizes(g: StudyResults, roth: RothFacts) -> list[Grid]:
    name = "colorectal/table3.csv"
    table, source = g.table(name), g.source(name)
    if table is None:
        return []
    rows = [
        [words(line["title"], roth.styles.get(line["model"])),
         number(line["parameters"], source, digits=0), words(line["published_parameters"]),
         number(line["features"], source, digits=0), words(line["published_features"]),
         words(line["note"])]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Encoder", "Parameters", "Parameters, published", "Features", "Features, published"]
    return [Grid("Table 3: the networks as built", [*heads, "Note"], rows, source)]


def _hours(g: StudyResults, roth: RothFacts) -> list[Picture]:
    name = "colorectal/figure1.csv"
    table = g.table(name)
    if table is None:
        return []
    hours = HoursAxis.over(table["hours"])
    heads = list(dict.fromkeys(table["head"]))
    pictures: list[Picture] = []
    for panel, part in split_columns(table, "panel"):
        trained = part["hours"].map("{:,.3g}".format, na_action="ignore")
        where = part["source"].where(part["hours"].notna())
        part = hours.place(part).assign(trained=trained, source=where)
        tip = tips(Encoder="title", Head="head", Value="value:.3f", From="low:.3f", To="high:.3f",
                   Number="number", Hours="trained", Unit="unit",
                   Source_of_the_hours="source")  # fmt: skip
        chart = hours_panel(part, roth.styles, hours, heads)
        part = part.rename(columns={"source": "source of the hours"})
        shown = ["title", "head", "number", "hours", "unit", "source of the hours", "value", "low"]
        behind = as_text(part[[*shown, "high"]],
                       str(panel), g.source(name))  # fmt: skip
        best = part.sort_values("value").iloc[-1]
        said = f"{panel} over hours of training; highest is {best['title']}, {best['value']:.2f}."
        said += " Encoders without training on tissue stand at the left edge; hollow: printed."
        pictures.append(Picture(f"hours-{len(pictures)}", f"Figure 1, {panel}",
                                with_theme(chart, tip=tip, rows=False), said, behind))  # fmt: skip
    return pictures


def _checkpoints(g: StudyResults, roth: RothFacts) -> list[Picture]:
    name = "colorectal/figure2.csv"
    table = g.table(name)
    if table is None:
        return []
    lines, pictures = checkpoint_lines(table, roth.datasets), []
    for panel, part in split_columns(table, "panel"):
        part = part.assign(line=part["dataset"] + ", " + part["head"])
        tip = tips(Tested_on="dataset", Head="head", Iteration="iteration:,", Value="value:.3f",
                   From="low:.3f", To="high:.3f", Chosen_by_validation="chosen")  # fmt: skip
        top = alt.Legend(orient="top", columns=1, title=None, labelLimit=300)
        its_own = {name: lines[name] for name in checkpoint_lines(part, roth.datasets)}
        chart = checkpoint_panel(part, its_own, roth.datasets, named=top)
        behind = as_text(part[["line", "iteration", "value", "low", "high", "chosen"]], str(panel),
                       g.source(name))  # fmt: skip
        said = f"{panel} over the iterations of finetuning, {part['line'].nunique()} lines."
        pictures.append(Picture(f"course-{panel}", f"Figure 2, {panel}",
                                with_theme(chart, tip=tip, rows=False), said, behind))  # fmt: skip
    return pictures
