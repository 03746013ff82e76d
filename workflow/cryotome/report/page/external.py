"""The page's part on external cohorts: every row on other datasets, and what it loses there."""

from cryotome.report.figures.external import BLOCK, external_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import Grid, number, p_value, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, cells_of, named, panel, row_cell, units

HEADS = ["Row", "AUROC", "95 % interval", "In domain", "Loss", "Loss: 95 % interval"]
HEADS += ["Reference less row", "That: 95 % interval", "p (Holm)", "Verdict", "Note"]


def external(g: StudyResults) -> Section:
    """Draw and list every row on each external dataset, beside the same row in domain."""
    table, missing = g.table("external.csv"), g.missing("external.csv")
    title, source = "At another place", g.source("external.csv")
    if table is None:
        return Section("external", title, missing=missing)
    pictures: list[Picture] = []
    for (dataset, scheme, other), part in split_columns(named(table, g), *BLOCK):
        first = part.iloc[0]
        name = panel(str(dataset), g, cells_of(str(dataset), str(scheme), g))
        name += f"; tested on {g.facts.external.get(str(other), str(other))}"
        tip = tips(Row="row", AUROC="at:.3f", From="low:.3f", To="high:.3f", Where="place")
        height = 40 + 26 * len(part)
        spec = with_theme(
            external_panel(part, g.facts.styles, unit=g.facts.unit), tip=tip, height=height
        )
        lines = [
            [row_cell(line["key"], g), number(line["auroc"], source),
             span(line["low"], line["high"], source), number(line["inside"], source),
             number(line["drop"], source), span(line["drop_low"], line["drop_high"], source),
             number(line["difference"], source),
             span(line["difference_low"], line["difference_high"], source),
             p_value(line["p_slides_holm"], source), words(text_of(line["verdict"])),
             words(text_of(line["note"]))]
            for line in part.sort_values("auroc", ascending=False).to_dict("records")
        ]  # fmt: skip
        said = (
            f"AUROC of {len(part)} rows on {first['n']:,} cells of another dataset; "
            f"{first['left_out']:,} cells that both have are left out."
        )
        behind = Grid(name, HEADS, lines, source)
        pictures.append(Picture(f"external-{len(pictures)}", name, spec, said, behind, wide=True))
    text = [
        "The models of every fold, as trained, on the cells of another dataset. Loss: AUROC on the "
        f"test cells of the training's dataset less that outside, {g.facts.as_unit} in both. Cells "
        "that both datasets have are left out.",
        *units(g),
    ]
    return Section("external", title, text, [], pictures, missing)
