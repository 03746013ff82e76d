"""Every row against the reference, and the ranks over training domains."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.evaluation.ranks import values_by_block
from cryotome.report.figures.charts import GREY, LABEL, row_channel
from cryotome.report.figures.statistics import groups_alike, rank_panel
from cryotome.report.page.charts import Picture, tips, with_theme
from cryotome.report.page.grids import (
    Grid,
    as_text,
    number,
    p_value,
    span,
    split_columns,
    text_of,
    words,
)
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import (
    PLACES,
    Section,
    cells_of,
    named,
    panel,
    place_of,
    row_cell,
    units,
)
from cryotome.study.styles import Style


def differences(g: StudyResults) -> Section:
    """Draw every row against the reference, and the ranks over training domains."""
    table = g.table("comparisons.csv")
    title = "Differences"
    missing = g.missing("comparisons.csv", "row_ranks.csv", "ranks.csv")
    if table is None:
        return Section("differences", title, missing=missing)
    source, table = g.source("comparisons.csv"), named(table, g)
    table["block"] = [_block(line, g) for line in table.to_dict("records")]
    blocks = list(dict.fromkeys(table["block"]))
    first = next((b for b in blocks if "each single" in b and "out" in b), blocks[0])
    bind = alt.binding_select(options=blocks, name="Cells: ")
    chosen = alt.param(name="block", value=first, bind=bind)
    tip = tips(Row="row", Reference="reference", Difference="difference:.3f", From="low:.3f",
               To="high:.3f", p_Holm="p_slides_holm:.2g", Verdict="verdict",
               Note="note")  # fmt: skip
    margin, labels = float(table["margin"].iloc[0]), g.facts.labels
    order = [labels[row] for row in g.facts.styles if row in set(table["key"])]
    chart = difference_panel(table, g.facts.styles, margin, order)
    chart = chart.add_params(chosen)
    reference = labels.get(table["reference"].iloc[0], table["reference"].iloc[0])
    height = 40 + 24 * table["row"].nunique()
    unit = g.facts.unit
    heads = ["Row", "Cells", "Difference", "95 % interval", f"p ({unit})", "p (Holm)", "Verdict"]
    rows = [
        [row_cell(line["key"], g), words(line["block"]), number(line["difference"], source),
         span(line["low"], line["high"], source), p_value(line["p_slides"], source),
         p_value(line["p_slides_holm"], source), words(line["verdict"], why=text_of(line["note"]))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    grid = Grid("All differences from the reference", heads, rows, source, folded=True)
    said = f"{reference} minus every row, with 95 % intervals over {unit}."
    name, spec = f"{reference} minus each row", with_theme(chart, tip=tip, height=height)
    picture = Picture("differences-all", name, spec, said, grid, wide=True)
    text = [
        f"Above 0 the reference has the higher AUROC. Paired over {unit}, Holm-corrected over the "
        f"rows of a block. The grey band is what counts as equivalent, ± {margin:g}.",
        *units(g),
    ]
    return Section("differences", title, text, row_ranks(g), [picture, *ranks(g)], missing)


def difference_panel(
    table: pd.DataFrame, looks: dict[str, Style], margin: float, order: list[str]
) -> Any:
    """Draw each row's difference with its interval, for the block that the reader chooses.

    Rows stand below each other, in this order; the band is what counts as equal.
    """
    y = alt.Y("row:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL))
    base = alt.Chart(table).encode(y=y, color=row_channel(looks, "colour"))
    base = base.transform_filter("datum.block == block")
    return difference_layers(base, margin, shape=row_channel(looks, "mark"))


def difference_layers(base: alt.Chart, margin: float, **point: Any) -> Any:
    """Draw differences with their intervals over the band of what counts as equal.

    Parameters
    ----------
    base
        Of a table with the columns difference, low, high, with `y`.
    point
        Further channels of the points.
    """
    x: dict[str, Any] = {
        "title": "AUROC: reference minus row",
        "scale": alt.Scale(zero=False),
    }
    band = alt.Chart(pd.DataFrame({"from": [-margin], "to": [margin], "level": [0.0]}))
    return alt.layer(
        band.mark_rect(color=GREY, opacity=0.15).encode(x="from:Q", x2="to:Q"),
        band.mark_rule(strokeDash=[2, 3], color=GREY).encode(x="level:Q"),
        base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q", **x), x2="high:Q"),
        base.mark_point(filled=True, size=80, opacity=1).encode(
            x=alt.X("difference:Q", **x), **point
        ),
    )


def _block(line: dict[Any, Any], g: StudyResults) -> str:
    """Name the cells of a line."""
    name, share = panel(str(line["dataset"]), g), 100 * float(line["fraction"])
    trained = cells_of(str(line["dataset"]), str(line["scheme"]), g)
    return f"{name}: {trained}, {share:g} %, {place_of(line, g)}"


def row_ranks(g: StudyResults) -> list[Grid]:
    """List the rank of every row with its interval, and which rows are not told apart."""
    table = g.table("row_ranks.csv")
    if table is None:
        return []
    source = g.source("row_ranks.csv")
    lines = [
        [row_cell(line["row"], g), words(_block(line, g)), number(line["auroc"], source),
         number(line["rank"], source, digits=1),
         span(line["rank_low"], line["rank_high"], source, digits=1),
         number(line["first"], source, text=f"{100 * line['first']:.0f} %"),
         words(text_of(line["group"]), why=text_of(line["note"]))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Cells", "AUROC", "Rank", "95 % interval", "First", "Letter"]
    return [Grid("Ranks; rows of one letter are not told apart", heads, lines, source, folded=True)]


def ranks(g: StudyResults) -> list[Picture]:
    """Draw mean ranks over training domains, with bars over rows that do not differ."""
    table = g.table("ranks.csv")
    if table is None:
        return []
    table, source, intervals = named(table, g), g.source("ranks.csv"), g.table("intervals.csv")
    pictures = []
    for tested, part in split_columns(table, "tested"):
        part = part.sort_values("mean_rank")
        order, note = list(part["row"]), text_of(part["note"].iloc[0])
        tip = tips(
            Row="row", Mean_rank="mean_rank:.2f", Blocks="blocks", Friedman_p="friedman_p:.2g"
        )
        groups = (
            []
            if note or intervals is None
            else groups_alike(values_by_block(intervals, str(tested)))
        )
        chart = rank_panel(part, g.facts.styles, groups)
        joined = f" Grey bars join rows that do not differ ({len(groups)} groups)." * bool(groups)
        title = f"Mean ranks over training domains, {PLACES[str(tested)]}"
        said = f"{title}: {order[0]} ranks first.{joined} {note}".strip()
        behind = as_text(part[["row", "mean_rank", "blocks", "friedman_p", "note"]], title, source)
        spec = with_theme(chart, tip=tip, height=40 + 24 * len(order), rows=False)
        caption = f"{title} (critical difference, Nemenyi)" if groups else title
        pictures.append(Picture(f"ranks-{tested}", caption, spec, said, behind, wide=True))
    return pictures
