"""The context study: how much of the slide around a cell, pooled how."""

from typing import Any

import pandas as pd

from cryotome.report.figures.context import context_panel, finest
from cryotome.report.figures.resolution import AXES, resolution_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import (
    Cell,
    Grid,
    as_text,
    number,
    span,
    split_columns,
    text_of,
    words,
)
from cryotome.report.page.results import FileLink, StudyResults
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
    for (dataset, scheme, fraction, where), part in split_columns(finest(table), *blocks):
        tip = tips(Row="row", Side="side:.0f", Pooling="pooling", AUROC="auroc:.3f", From="low:.3f",
                   To="high:.3f", Cells="n:,")  # fmt: skip
        spec = with_theme(context_panel(part, g.facts.styles), tip=tip)
        cells = f"{cells_of(str(dataset), str(scheme), g)}, {100 * fraction:g} %"
        name = panel(str(dataset), g, cells, PLACES[str(where)])
        columns = ["row", "side", "um", "pooling", "auroc", "low", "high", "n"]
        behind = as_text(part[columns], name, source)
        said = f"AUROC over the side of the crop, {name}, {part['key'].nunique()} rows."
        pictures.append(Picture(f"context-{len(pictures)}", name, spec, said, behind))
    pictures += _resolutions(table, g)
    rows = [
        [row_cell(line["key"], g), words(panel(line["base_dataset"], g)),
         words(cells_of(line["base_dataset"], line["scheme"], g)),
         number(100 * line["fraction"], source, text=f"{100 * line['fraction']:g} %"),
         words(PLACES[line["where"]]), number(line["side"], source, digits=0),
         number(line["um"], source, digits=1), *_mpp(line, source), words(line["pooling"]),
         number(line["auroc"], source), span(line["low"], line["high"], source),
         number(line["gap"], source), span(line["gap_low"], line["gap_high"], source),
         words(text_of(line["note"]))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Training", "Share", "Tested", "Side, px", "Side, µm"]
    heads += [
        *["µm per px"] * ("mpp" in table),
        "Pooling",
        "AUROC",
        "95 % interval",
        "Less the largest crop",
        "That: 95 % interval",
        "Note",
    ]
    text = ["Crops of the same cells, enlarged to the network's input. Enlarging blurs.", *units(g)]
    grid = Grid("Context", heads, rows, source, folded=True)
    return Section("context", title, text, [grid], pictures)


def _mpp(line: dict[Any, Any], source: FileLink) -> list[Cell]:
    return [number(line["mpp"], source, digits=2)] if "mpp" in line else []


def _resolutions(table: pd.DataFrame, g: StudyResults) -> list[Picture]:
    """Draw each row against resolution and against the field of view, where both are swept."""
    pictures: list[Picture] = []
    if "mpp" not in table:
        return pictures
    source = g.source("context.csv")
    for keys, part in split_columns(table, "base_dataset", "scheme", "where", "row"):
        name = panel(str(keys[0]), g, cells_of(str(keys[0]), str(keys[1]), g), PLACES[str(keys[2])])
        columns = ["row", "side", "um", "mpp", "auroc", "low", "high", "n"]
        behind = as_text(part[columns], f"{name}, {keys[3]}", source)
        for x, axis in AXES.items():
            tip = tips(Side="side:.0f", um="um:.1f", um_per_px="mpp:g", AUROC="auroc:.3f",
                       From="low:.3f", To="high:.3f")  # fmt: skip
            spec = with_theme(resolution_panel(part, x, unit=g.facts.unit), tip=tip)
            said = f"AUROC against {axis}: {keys[3]}, {name}."
            pictures.append(Picture(f"resolution-{len(pictures)}", f"{keys[3]}: {axis}", spec,
                                    said, behind))  # fmt: skip
    return pictures
