"""The page's part on robustness: whether cells are alike by class or by a confounder."""

import pandas as pd

from cryotome.report.figures.robustness import BLOCK, panels_of, robustness_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import Grid, as_text, number, span, split_columns, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, named, panel, units

BEHIND = ["row", "value", "low", "high", "chance"]
HEADS = ["Dataset", "Confounder", "Index", "Head", "Models", "Rank correlation with the loss"]
HEADS += ["95 % interval", "Note"]


def robustness(g: StudyResults) -> Section:
    """Draw every index of every model, and list how it goes with the loss out of domain."""
    files = ("robustness.csv", "robustness_loss.csv")
    table, correlations = map(g.table, files)
    title, missing = "Robustness of embeddings", g.missing(*files)
    if table is None or correlations is None:
        return Section("robustness", title, missing=missing)
    pictures: list[Picture] = []
    for (dataset, confounder), part in split_columns(named(table, g), *BLOCK):
        first = part.iloc[0]
        cells = f"{first['n']:,} cells of {first['slides']} slides"
        for what, of in panels_of(part):
            name = panel(str(dataset), g, f"by {confounder}", what)
            tip = tips(Row="row", Value="value:.3f", From="low:.3f", To="high:.3f",
                       Chance="chance:.3f")  # fmt: skip
            drawn = robustness_panel(of, g.facts.styles, title=what)
            spec = with_theme(drawn, tip=tip, height=40 + 26 * len(of))
            said = f"{what}, by {confounder}, {len(of)} rows on {cells}. Hollow: chance."
            behind = as_text(of[BEHIND], name, g.source(files[0]))
            pictures.append(Picture(f"robustness-{len(pictures)}", name, spec, said, behind))
    text = [
        "Whether the nearest cells of a cell share its class or the confounder, by the package "
        "croma. Hollow marks: the same embeddings dealt to the cells at random. An index below "
        "chance means that the confounder decides.",
        _sampling(table),
        *units(g),
    ]
    grids = [_grid(correlations, g)]
    return Section("robustness", title, [said for said in text if said], grids, pictures, missing)


def _sampling(table: pd.DataFrame) -> str:
    drawn = table[table["sampled"].astype(bool)]
    if drawn.empty:
        return ""
    names = ", ".join(dict.fromkeys(drawn["dataset"]))
    seed = drawn["seed"].iloc[0]
    return f"Of {names} cells were drawn, equally many of each large slide (seed {seed})."


def _grid(correlations: pd.DataFrame, g: StudyResults) -> Grid:
    source = g.source("robustness_loss.csv")
    lines = [
        [words(panel(line["dataset"], g)), words(line["confounder"]), words(line["index"]),
         words(g.facts.heads.get(line["head"], line["head"])), number(line["models"], digits=0),
         number(line["spearman"], source), span(line["low"], line["high"], source),
         words(line["note"])]
        for line in correlations.to_dict("records")
    ]  # fmt: skip
    return Grid("Index against loss", HEADS, lines, source, folded=True)
