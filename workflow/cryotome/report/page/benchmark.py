"""The page's part on a published test set: the study's rows beside published ones."""

from cryotome.evaluation.benchmark import BALANCED, CHOSEN, OURS
from cryotome.report.page.grids import Grid, number, span, split_columns, text_of, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, cells_of, panel, row_cell, units

SHOWN = {"auroc": "AUROC", BALANCED: "Balanced accuracy", CHOSEN: "At the validation threshold"}


def benchmark(g: StudyResults) -> Section:
    """List rows of this study and of others on the same test cells, the highest AUROC first."""
    table, missing = g.table("benchmark.csv"), g.missing("benchmark.csv")
    title, source = "On a published test set", g.source("benchmark.csv")
    if table is None:
        return Section("benchmark", title, missing=missing)
    heads, grids = ["Row", "Whose", "Models"], []
    for name in SHOWN.values():
        heads += [name, f"{name}: 95 % interval"]
    for (dataset, scheme), part in split_columns(table, "dataset", "scheme"):
        lines = []
        for line in part.to_dict("records"):
            key, ours = f"{line['model']} + {line['head']}", line["whose"] == OURS
            cells = [row_cell(key, g), words(line["whose"], why=text_of(line["source"])),
                     number(line["models"], digits=0)]  # fmt: skip
            for name in SHOWN:
                link = source if ours else None
                cells.append(number(line[name], link, sd=line[f"{name}_sd"]))
                cells.append(span(line[f"{name}_low"], line[f"{name}_high"], link))
            lines.append([*cells, words(text_of(line["note"]))])
        name = panel(str(dataset), g, cells_of(str(dataset), str(scheme), g))
        grids.append(Grid(name, [*heads, "Note"], lines, source))
    text = [
        "The same test cells. Mean ± population SD over the models, one a fold of the published "
        f"training cells; intervals: {g.facts.as_unit}. Balanced accuracy at a score of 0.5, as "
        "published, favours heads that were trained on balanced classes; the last column takes "
        "the threshold from the validation cells. Published recipes, crops and input sizes are "
        "others than here.",
        *units(g),
    ]
    return Section("benchmark", title, text, grids, [], missing)
