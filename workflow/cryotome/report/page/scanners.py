"""The page's part on scanners: from one to another, and what splits the spread of AUROC."""

import pandas as pd

from cryotome.report.figures.scanners import BLOCK, CAUSES, LINE, largest_fraction, variance_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.ganz2024_figures import matrices
from cryotome.report.page.grids import Grid, as_text, number, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, named, panel, row_cell, units
from cryotome.study.scanners import scanner_titles

HEADS = ["Row", "Dataset", "Scheme", "Share of cells", "Cause", "SD of AUROC", "95 % interval"]
HEADS += ["Share of the variance", "Levels", "Note"]
BEHIND = ["row", "cause", "sd", "sd_low", "sd_high", "share", "levels"]
BY_SCANNER = "Trained on one scanner, tested on each: AUROC, mean over folds."
SPLIT = (
    "The spread of AUROC between parts (a fold on one scanner and domain), by cause. An interval "
    "of few scanners is wide: their number sets it, not that of cells. A domain that is on one "
    "scanner alone says nothing of scanners."
)


def scanners(g: StudyResults) -> Section:
    """Draw the matrices of scanners, and the SD that each cause gives to AUROC."""
    titles = {name: scanner_titles(card) for name, card in g.facts.scanners.items()}
    pictures = matrices(g, "figure2_scanner", titles, "scanner")
    said, grids = [BY_SCANNER] * bool(pictures), list[Grid]()
    table = g.table("variance_split.csv")
    if table is not None:
        table = named(table, g)
        pictures += _pictures(table, g)
        grids, said = [_grid(table, g)], [*said, SPLIT, *units(g)]
    missing = g.missing("figure2_scanner.csv", "variance_split.csv")
    return Section("scanners", "Scanners", said, grids, pictures, missing)


def _pictures(table: pd.DataFrame, g: StudyResults) -> list[Picture]:
    source, pictures = g.source("variance_split.csv"), list[Picture]()
    for (dataset, scheme), part in split_columns(largest_fraction(table), *BLOCK):
        title = panel(str(dataset), g, g.facts.schemes.get(scheme, scheme), "spread by cause")
        tip = tips(Row="row", Cause="cause", SD="sd:.4f", From="sd_low:.4f", To="sd_high:.4f",
                   Share_of_variance="share:.0%", Levels="levels")  # fmt: skip
        height = 60 + LINE * (1 + part["key"].nunique()) * part["cause"].nunique()
        spec = with_theme(variance_panel(part, g.facts.styles), tip=tip, height=height)
        known = part.dropna(subset=["share"]).nlargest(1, "share")
        said = f"SD of AUROC by cause, {title}, {part['key'].nunique()} rows."
        for _, most in known.iterrows():
            said += f" The largest share: {most['cause']} of {most['row']}, {most['share']:.0%}."
        behind = as_text(part[BEHIND], title, source)
        pictures.append(Picture(f"variance-split-{len(pictures)}", title, spec, said, behind))
    return pictures


def _grid(table: pd.DataFrame, g: StudyResults) -> Grid:
    source = g.source("variance_split.csv")
    lines = [
        [row_cell(line["key"], g), words(panel(line["dataset"], g)),
         words(g.facts.schemes.get(line["scheme"], line["scheme"])),
         number(100 * line["fraction"], source, text=f"{100 * line['fraction']:g} %"),
         words(CAUSES[line["component"]]), number(line["sd"], source, digits=4),
         span(line["sd_low"], line["sd_high"], source, digits=4),
         number(line["share"], source, digits=2), number(line["levels"], source, digits=0),
         words(text_of(line["note"]))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    return Grid("What spreads AUROC", HEADS, lines, source, folded=True)
