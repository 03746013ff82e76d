"""For the pathologist: counts per region, false alarms per mm², whether scores are chances."""

from typing import Any

import altair as alt
import pandas as pd

from cryotome.page.gathered import Gathered
from cryotome.page.grids import Cell, Grid, number, parted, plain, span, text_of, words
from cryotome.page.pictures import Picture, finish, lines, tips
from cryotome.page.sections import PLACES, Section, cells_of, named, panel, row_cell

FILES = ["agreement.csv", "counts.csv", "operating.csv", "calibration.csv", "reliability.csv"]
ALL = "all"
SHARES = ["share_low", "share_high"]
SAID = [
    "Of the annotated cells of both classes: the error of classification alone. What annotators or "
    "a detector missed is not in it.",
    "Counts: only regions whose cells were all tested, by models that saw none of them. The "
    "threshold comes from validation cells of the training slides.",
]


def pathologist(g: Gathered) -> Section:
    """Show counts, operating points and calibration."""
    missing = g.missing(*FILES)
    grids = [grid for make in (_agreement, _operating, _calibration) if (grid := make(g))]
    pictures = [*_bland_altman(g), *_reliability(g)]
    said = SAID if grids or pictures else []
    return Section("pathologist", "For the pathologist", said, grids, pictures, missing)


def _place(line: dict[Any, Any], g: Gathered) -> list[Cell]:
    """Write row, dataset, training, and where it was tested."""
    dataset, where = str(line["dataset"]), str(line.get("where", ""))
    return [
        row_cell(f"{line['model']} + {line['head']}", g),
        words(panel(dataset, g)),
        words(cells_of(dataset, str(line["scheme"]), g)),
        words(PLACES.get(where, where)),
    ]


def _domain(dataset: str, domain: str, g: Gathered) -> str:
    return g.about["domains"].get(dataset, {}).get(domain, domain)


def _agreement(g: Gathered) -> Grid | None:
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


def _operating(g: Gathered) -> Grid | None:
    table, source = g.table("operating.csv"), g.source("operating.csv")
    if table is None:
        return None
    kinds = {"fixed_rate": "at this rate", "carried": "threshold carried over"}
    rows = [
        [*_place(line, g)[:3],
         words(_domain(str(line["dataset"]), str(line["test_domain"]), g)),
         words(kinds.get(str(line["what"]), str(line["what"]))),
         number(line["rate_per_mm2"], source, digits=1),
         number(line["sensitivity"], source), span(line["low"], line["high"], source),
         number(line["false_positives_per_mm2"], source, digits=2)]
        for line in table.to_dict("records")
    ]  # fmt: skip
    heads = ["Row", "Dataset", "Training", "Tested on", "Threshold", "False positives per mm²"]
    heads += ["Sensitivity", "Sensitivity: 95 % interval", "Reached: false positives per mm²"]
    return Grid("Sensitivity at a fixed rate of false positives, and thresholds carried to "
                "another domain", heads, rows, source, folded=True)  # fmt: skip


def _calibration(g: Gathered) -> Grid | None:
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


def _bland_altman(g: Gathered) -> list[Picture]:
    """Draw every region of a row of Figure 2, by domain as the reader chooses."""
    counts, agreed = g.table("counts.csv"), g.table("agreement.csv")
    if counts is None or agreed is None:
        return []
    pictures = []
    keys = ["dataset", "scheme", "model", "head", "domain", "where", "image", "area_mm2"]
    drawn = [" + ".join(pair) for pair in g.about["figure2"]]  # all rows are in the file
    counts = counts[(counts["model"] + " + " + counts["head"]).isin(drawn)]
    for dataset, part in parted(counts, "dataset"):
        mean = part.groupby(keys, dropna=False, observed=True, as_index=False)
        table: Any = named(mean[["annotated", "counted"]].mean(), g)
        table["training"] = [
            f"{cells_of(str(dataset), str(scheme), g)}, {PLACES[str(where)]}"
            for scheme, where in table[["scheme", "where"]].to_numpy()
        ]
        table = table.sort_values("where", kind="stable")  # in domain first
        table["tumour"] = [_domain(str(dataset), str(name), g) for name in table["domain"]]
        table["middle"] = (table["annotated"] + table["counted"]) / 2
        table["gap"] = table["counted"] - table["annotated"]
        counted = g.about["cards"]["datasets"][dataset]["task"].split(" against ")[0]
        title = panel(str(dataset), g)
        choices = {"line": ("Row: ", list(dict.fromkeys(table["row"]))),
                   "trained": ("Training: ", list(dict.fromkeys(table["training"]))),
                   "tumour": ("Domain: ", [ALL, *dict.fromkeys(table["tumour"])])}  # fmt: skip
        chosen = [
            alt.param(name=key, value=names[0],
                      bind=alt.binding_select(options=names, name=said))
            for key, (said, names) in choices.items()
        ]  # fmt: skip
        tip = tips(Region="image", Domain="tumour", Annotated="annotated:.0f",
                   Counted="counted:.1f")  # fmt: skip
        base = alt.Chart(table).transform_filter("datum.row == line")
        base = base.transform_filter("datum.training == trained")
        base = base.transform_filter(f"tumour == '{ALL}' || datum.tumour == tumour")
        points = base.mark_point(filled=True, size=45, opacity=0.8).encode(
            x=alt.X("middle:Q", title="mean of the two counts of a region"),
            y=alt.Y("gap:Q", title="counted minus annotated, cells a region"),
            color=alt.Color("tumour:N", title=None, legend=alt.Legend(orient="top", columns=2)),
            tooltip=tip,
        )
        levels = base.transform_aggregate(bias="mean(gap)", sd="stdev(gap)", groupby=[])
        levels = levels.transform_calculate(
            lower="datum.bias - 1.96 * datum.sd", upper="datum.bias + 1.96 * datum.sd"
        )
        rules: Any = levels.mark_rule(color="#888").encode(y="bias:Q")
        for end in ("lower", "upper"):
            rules += levels.mark_rule(color="#888", strokeDash=[5, 3]).encode(y=f"{end}:Q")
        columns = ["row", "training", "tumour", "image", "annotated", "counted"]
        behind = plain(table[columns], title, g.source("counts.csv"))
        said = f"Bland-Altman plot of counts, {title}: {table['image'].nunique()} regions."
        spec = finish((points + rules).add_params(*chosen), rows=False)
        name = f"bland-{dataset}"
        pictures.append(Picture(name, f"Count of {counted}, {title}", spec, said, behind))
    return pictures


def _reliability(g: Gathered) -> list[Picture]:
    table, source = g.table("reliability.csv"), g.source("reliability.csv")
    if table is None:
        return []
    table, pictures = named(table, g), []
    crossed = table["scheme"] == "from_*"
    table = table[crossed | ~table["dataset"].isin(set(table.loc[crossed, "dataset"]))]
    for (dataset, where), part in parted(table, "dataset", "where"):
        part = part[part["scheme"] == part["scheme"].iloc[0]].dropna(subset="mean_score")
        ends = {name: part[name].fillna(part["share_positive"]) for name in SHARES}
        part = part.assign(**ends)
        x = alt.X("mean_score:Q", title="mean score of a bin", scale=alt.Scale(domain=[0, 1]))
        tip = tips(Row="row", Score="mean_score:.3f", Positive="share_positive:.3f", Cells="n:,")
        chart = lines(part, g.looks, x=x, y="share_positive", low="share_low", high="share_high",
                      title="share of positive cells", tip=tip)  # fmt: skip
        corners = pd.DataFrame({"x": [0, 1], "y": [0, 1]})
        even = (
            alt.Chart(corners).mark_line(color="#888", strokeDash=[2, 3]).encode(x="x:Q", y="y:Q")
        )
        scheme = cells_of(str(dataset), str(part["scheme"].iloc[0]), g)
        title = panel(str(dataset), g, scheme, PLACES[str(where)])
        columns = ["row", "bin", "n", "mean_score", "share_positive"]
        behind = plain(part[columns], title, source)
        said = f"Reliability, {title}: share of positive cells over the mean score of bins."
        name, spec = f"reliability-{dataset}-{where}", finish(even + chart)
        pictures.append(Picture(name, f"Reliability, {title}", spec, said, behind))
    return pictures
