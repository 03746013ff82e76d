"""The context study: how much of the slide around a cell, pooled how."""

from cryotome.report.figures.context import context_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import Grid, as_text, number, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, named, panel, row_cell, units


def context(g: StudyResults) -> Section:
    """Draw AUROC against the side of the crop."""
    table, missing = g.table("context.csv"), g.missing("context.csv")
    title, source = "How much context", g.source("context.csv")
    if table is None:
        return Section("context", title, missing=missing)
    table = named(table, g)
    pictures: list[Picture] = []
    blocks = ["base_dataset", "scheme", "fraction", "where"]
    for (dataset, scheme, fraction, where), part in split_columns(table, *blocks):
        tip = tips(Row="row", Side="side:.0f", Pooling="pooling", AUROC="auroc:.3f", From="low:.3f",
                   To="high:.3f", Cells="n:,")  # fmt: skip
        spec = with_theme(context_panel(part, g.facts.styles), tip=tip)
        cells = f"{cells_of(str(dataset), str(scheme), g)}, {100 * fraction:g} %"
        name = panel(str(dataset), g, cells, PLACES[str(where)])
        columns = ["row", "side", "um", "pooling", "auroc", "low", "high", "n"]
        behind = as_text(part[columns], name, source)
        said = f"AUROC over the side of the crop, {name}, {part['key'].nunique()} rows."
        pictures.append(Picture(f"context-{len(pictures)}", name, spec, said, behind))
    rows = [
        [row_cell(line["key"], g), words(panel(line["base_dataset"], g)),
         words(cells_of(line["base_dataset"], line["scheme"], g)),
         number(100 * line["fraction"], source, text=f"{100 * line['fraction']:g} %"),
         words(PLACES[line["where"]]), number(line["side"], source, digits=0),
         number(line["um"], source, digits=1), words(line["pooling"]),
         number(line["auroc"], source), span(line["low"], line["high"], source),
         number(line["gap"], source), span(line["gap_low"], line["gap_high"], source),
         words(text_of(line["note"]))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Training", "Share", "Tested", "Side, px", "Side, µm", "Pooling"]
    heads += ["AUROC", "95 % interval", "Less the largest crop", "That: 95 % interval", "Note"]
    text = ["Crops of the same cells, enlarged to the network's input. Enlarging blurs.", *units(g)]
    grid = Grid("Context", heads, rows, source, folded=True)
    return Section("context", title, text, [grid], pictures)
