"""Section for the pathologist: counts per region, false positives per mm², calibration."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.report.figures.clinical import (
    FEW,
    AgreementAxes,
    agreement_panel,
    reliability_panel,
    scale_over,
)
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
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, named, panel, row_cell, units

FILES = ["agreement.csv", "counts.csv", "operating.csv", "calibration.csv", "reliability.csv"]
ALL = "all"
REGION = ["dataset", "scheme", "model", "head", "domain", "where", "image"]
DRAWN = 10_000  # points of a figure of regions; counts.csv has all
SAID = [
    "Of the annotated cells of both classes: the error of classification alone. What annotators or "
    "a detector missed is not in it.",
    "Counts: only regions whose cells were all tested, by models that saw none of them. The "
    "threshold comes from validation cells.",
]


def pathologist(g: StudyResults) -> Section:
    """Show counts, operating points and calibration."""
    missing = g.missing(*FILES)
    grids = [grid for make in (_agreement, _operating, _calibration) if (grid := make(g))]
    pictures = [*_bland_altman(g), *_reliability(g)]
    said = [*SAID, *units(g)] if grids or pictures else []
    return Section("pathologist", "For the pathologist", said, grids, pictures, missing)


def _place(line: dict[Any, Any], g: StudyResults) -> list[Cell]:
    """Write row, dataset, training, and where it was tested."""
    dataset, where = str(line["dataset"]), str(line.get("where", ""))
    return [
        row_cell(f"{line['model']} + {line['head']}", g),
        words(panel(dataset, g)),
        words(cells_of(dataset, str(line["scheme"]), g)),
        words(PLACES.get(where, where)),
    ]


def _domain(dataset: str, domain: str, g: StudyResults) -> str:
    return g.facts.domains.get(dataset, {}).get(domain, domain)


def _agreement(g: StudyResults) -> Grid | None:
    table, source = g.table("agreement.csv"), g.source("agreement.csv")
    if table is None:
        return None
    rows = [
        [*_place(line, g), words(_domain(str(line["dataset"]), str(line["domain"]), g)),
         number(line["rois"], source, digits=0), number(line["bias"], source, digits=2),
         span(line["bias_low"], line["bias_high"], source, digits=2),
         number(line["lower"], source, digits=2), number(line["upper"], source, digits=2),
         words(line["unit"])]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Training", "Tested", "Domain", "Regions", "Bias"]
    heads += ["Bias: 95 % interval", "Lower limit of agreement", "Upper limit", "Unit"]
    title = "Count of the second class: counted minus annotated (Bland and Altman)"
    return Grid(title, heads, rows, source, folded=len(rows) > 20)


def _operating(g: StudyResults) -> Grid | None:
    table, source = g.table("operating.csv"), g.source("operating.csv")
    if table is None:
        return None
    kinds = {"fixed_rate": "chosen on these cells, which flatters",
             "carried": "chosen on validation cells at home"}  # fmt: skip
    rows = [
        [*_place(line, g)[:3],
         words(_domain(str(line["dataset"]), str(line["test_domain"]), g)),
         words(kinds.get(str(line["what"]), str(line["what"]))),
         number(line["rate_per_mm2"], source, digits=1),
         number(line["sensitivity"], source), span(line["low"], line["high"], source),
         number(line["false_positives_per_mm2"], source, digits=2),
         number(line.get("promised_sensitivity"), source),
         number(line.get("promised_false_positives_per_mm2"), source, digits=2)]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Training", "Tested on", "Threshold", "Rate asked for, per mm²"]
    heads += ["Sensitivity", "Sensitivity: 95 % interval", "False positives per mm²"]
    heads += ["Promised sensitivity", "Promised false positives per mm²"]
    return Grid("Sensitivity at a fixed rate of false positives, and thresholds carried to "
                "another domain", heads, rows, source, folded=True)  # fmt: skip


def _calibration(g: StudyResults) -> Grid | None:
    table, source = g.table("calibration.csv"), g.source("calibration.csv")
    if table is None:
        return None
    rows = [
        [*_place(line, g), number(line["n"], source, digits=0), number(line["brier"], source),
         span(line["brier_low"], line["brier_high"], source), number(line["ece"], source),
         span(line["ece_low"], line["ece_high"], source), number(line["slope"], source, digits=2),
         words(text_of(line.get("note")))]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Training", "Tested", "Cells", "Brier score", "Brier: interval"]
    heads += ["Expected calibration error", "ECE: interval", "Slope", "Note"]
    return Grid("Calibration", heads, rows, source, folded=True)


def _bland_altman(g: StudyResults) -> list[Picture]:
    """Draw every region of a row of Figure 2, and its limits, by domain as the reader chooses."""
    counts, agreed = g.table("counts.csv"), g.table("agreement.csv")
    if counts is None or agreed is None:
        return []
    counts, agreed = (  # all rows are in the files
        table[(table["model"] + " + " + table["head"]).isin(g.facts.figure2)]
        for table in (counts, agreed)
    )
    return [
        _regions(str(dataset), part, agreed[agreed["dataset"] == dataset], g)
        for dataset, part in split_columns(counts, "dataset")
    ]


def _placed(dataset: str, table: pd.DataFrame, g: StudyResults) -> pd.DataFrame:
    """Name row, training and domain of counts or of their limits for people."""
    training = [
        f"{cells_of(dataset, str(scheme), g)}, {PLACES[str(where)]}"
        for scheme, where in table[["scheme", "where"]].to_numpy()
    ]
    domains = [_domain(dataset, str(name), g) for name in table["domain"]]
    return named(table, g).assign(training=training, shown=domains)


def _sampled(points: pd.DataFrame) -> pd.DataFrame:
    """Draw as many regions, the same of all rows, as give no more points than a figure holds."""
    images = points["image"].drop_duplicates()
    some = images.sample(frac=min(1.0, DRAWN / len(points)), random_state=0)
    return points[points["image"].isin(some)]


def _regions(dataset: str, counts: pd.DataFrame, agreed: pd.DataFrame, g: StudyResults) -> Picture:
    """Draw counted less annotated of each region; lines are those of agreement.csv."""
    unit = str(agreed["unit"].iloc[0]).replace("mm2", "mm²")
    if "mm²" in unit:
        per = counts[["annotated", "counted"]].div(counts["area_mm2"], axis=0)
        counts = counts.assign(**per)
    mean = counts.groupby(REGION, observed=True, as_index=False)[["annotated", "counted"]].mean()
    regions, mean = mean["image"].nunique(), _sampled(mean)
    table = _placed(dataset, mean, g).sort_values("where", kind="stable")  # in domain first
    table["middle"] = (table["annotated"] + table["counted"]) / 2
    table["gap"] = table["counted"] - table["annotated"]
    domains = list(dict.fromkeys(table["shown"]))
    choices = {
        "line": ("Row: ", list(dict.fromkeys(table["row"]))),
        "trained": ("Training: ", list(dict.fromkeys(table["training"]))),
        "place": ("Domain: ", [ALL, *domains] if len(domains) > 1 else domains),
    }
    chosen = [
        alt.param(name=key, value=names[0], bind=alt.binding_select(options=names, name=said))
        for key, (said, names) in choices.items()
    ]
    mine = "datum.row == line && datum.training == trained"
    points = alt.Chart(table).transform_filter(
        f"{mine} && (place == '{ALL}' || datum.shown == place)"
    )
    axes = AgreementAxes(
        (f"mean of counted and annotated, {unit}", f"counted − annotated, {unit}"),
        (scale_over(table["middle"]), scale_over(table["gap"], agreed["lower"], agreed["upper"])),
    )
    limits = alt.Chart(_placed(dataset, agreed, g)).transform_filter(
        f"{mine} && datum.shown == place"
    )
    colour = alt.Color("shown:N", title=None, legend=alt.Legend(orient="top", columns=2))
    chart = agreement_panel(points, limits, axes, color=colour)
    tip = {
        "point": tips(Region="image", Domain="shown", Annotated="annotated:.1f",
                      Counted="counted:.1f"),
        "rule": tips(Bias="bias:.2f", Lower="lower:.2f", Upper="upper:.2f", Regions="rois"),
    }  # fmt: skip
    title, what = panel(dataset, g), g.facts.cards[dataset].task
    columns = ["row", "training", "shown", "image", "annotated", "counted"]
    behind = as_text(table[columns].rename(columns={"shown": "domain"}), f"{title}, {unit}",
                   g.source("counts.csv"))  # fmt: skip
    shown = table["image"].nunique()
    title += f", {shown:,} of {regions:,} regions at random" * (shown < regions)
    said = f"Bland-Altman plot of counts, {title}: {shown} regions; the lines "
    said += "are bias and 95 % limits of agreement of agreement.csv."
    spec = with_theme(chart.add_params(*chosen), tip=tip, rows=False)
    name = f"Count of {what.split(' against ')[0]}, {title}"
    return Picture(f"bland-{dataset}", name, spec, said, behind)


def _reliability(g: StudyResults) -> list[Picture]:
    table, source = g.table("reliability.csv"), g.source("reliability.csv")
    if table is None:
        return []
    table, pictures = named(table, g), []
    crossed = table["scheme"] == "from_*"
    table = table[crossed | ~table["dataset"].isin(set(table.loc[crossed, "dataset"]))]
    for (dataset, where), part in split_columns(table, "dataset", "where"):
        part = part[part["scheme"] == part["scheme"].iloc[0]].dropna(subset="mean_score")
        tip = tips(Row="row", Score="mean_score:.3f", Positive="share_positive:.3f", Cells="n:,")
        scheme = cells_of(str(dataset), str(part["scheme"].iloc[0]), g)
        title = panel(str(dataset), g, scheme, PLACES[str(where)])
        columns = ["row", "bin", "n", "mean_score", "share_positive"]
        behind = as_text(part[columns], title, source)
        said = f"Reliability, {title}: share of positive cells over the mean score of bins of "
        said += f"{FEW} or more."
        name = f"reliability-{dataset}-{where}"
        spec = with_theme(reliability_panel(part, g.facts.styles), tip=tip)
        pictures.append(Picture(name, f"Reliability, {title}", spec, said, behind))
    return pictures
