"""What was run, and the answer in short."""

from typing import Any

from cryotome.data.cells import load_cells
from cryotome.report.page.audits import audits, leaks
from cryotome.report.page.grids import (
    Cell,
    Grid,
    missing_cell,
    number,
    p_value,
    span,
    split_columns,
    text_of,
    words,
)
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import PLACES, Section, cells_of, panel, row_cell, units
from cryotome.study.statistical_unit import UNKNOWN


def datasets(g: StudyResults) -> Grid:
    """List the datasets with the cells that were read."""
    rows = []
    for name, card in g.facts.cards.items():
        path = g.results / "cells" / f"{name}.csv"
        cells: list[Cell] = [missing_cell(f"{path} is not made yet", g.command("table2.csv"))] * 3
        if path.exists():
            table, source = load_cells(path), g.elsewhere(path, "read_cells")
            counts = table["label"].value_counts()
            cells = [number(int(counts.get(n, 0)), source, digits=0) for n in (1, 0)]
            unknown = name in g.facts.unknown_slides
            slides = number(table["slide"].nunique(), source, digits=0)
            cells.append(words("not known", why=UNKNOWN) if unknown else slides)
        domains = ", ".join(card.domains) or "none"
        rows.append([words(card.title), words(card.task), *cells, words(domains),
                     words(card.source), words(card.licence)])  # fmt: skip
    heads = ["Dataset", "Task", "Positive cells", "Negative cells", "Slides", "Domains", "Source"]
    return Grid("Datasets", [*heads, "Licence"], rows)


def rows_run(g: StudyResults) -> Grid:
    """List the rows with the weights that made them, as their predictions say."""
    lines = []
    for row in g.facts.rows:
        said: dict[str, Any] = {}
        for dataset in g.facts.cards:
            said = said or g.notes(dataset, row.model, row.head)
        weights = said.get("weights_sha256", "")
        kinds = {"random": "random, drawn here", "none": "no network"}
        shown = kinds.get(g.facts.weights[row.model], weights[:12])
        known = words(shown, why=weights) if said else missing_cell("no predictions yet")
        versions = ", ".join(f"{k} {v}" for k, v in said.get("versions", {}).items())
        device = str(said.get("device", ""))
        lines.append([row_cell(row.key, g), words(row.model), words(row.head), known,
                      words(device), words(versions)])  # fmt: skip
    heads = ["Row", "Model", "Head", "Weights (sha256)", "Trained on", "Made with"]
    return Grid("Rows and their weights", heads, lines, folded=len(lines) > 12)


def failed_jobs(g: StudyResults) -> list[Grid]:
    """List the jobs that have failed since their last success."""
    lines = [
        [words(f.rule), words(", ".join(f"{k} {v}" for k, v in f.wildcards.items())), words(f.why),
         words(f.log)]
        for f in g.failed
    ]  # fmt: skip
    return [Grid("Jobs that failed", ["Rule", "Job", "Why", "Log"], lines)] if lines else []


def run(g: StudyResults) -> Section:
    """Say what was run."""
    said = [f"Study {g.facts.study}, {g.facts.summary}.", f"Page made {g.made}."]
    jobs = g.table("ledger.csv")
    if jobs is not None:
        said.append(f"Computed on {'; '.join(dict.fromkeys(jobs['device'].dropna()))}.")
    grids = [datasets(g), *audits(g), *leaks(g), rows_run(g)] if g.facts.rows else []
    grids += failed_jobs(g)
    return Section("run", "What was run", said, grids)


def headline(g: StudyResults) -> Section:
    """Hold the best frozen row against the reference, in domain and out of domain."""
    table = g.table("comparisons.csv")
    missing = g.missing("comparisons.csv")
    if table is None:
        return Section("answer", "The answer in short", missing=missing)
    source = g.source("comparisons.csv")
    top = table[table["fraction"].astype(float) == table["fraction"].astype(float).max()]
    crossed = top["scheme"] == "from_*"
    alone = ~top["dataset"].isin(set(top.loc[crossed, "dataset"])) & (top["tested"] == "all")
    used = top[crossed | alone]
    lines = []
    for (dataset, scheme, tested), part in split_columns(used, "dataset", "scheme", "tested"):
        best: Any = part.sort_values("difference").iloc[0]
        lines.append([
            words(panel(dataset, g)), words(f"{cells_of(dataset, scheme, g)}, {PLACES[tested]}"),
            row_cell(best["row"], g), row_cell(best["reference"], g),
            number(best["difference"], source), span(best["low"], best["high"], source),
            p_value(best["p_slides_holm"], source),
            words(best["verdict"], why=text_of(best["note"])),
        ])  # fmt: skip
    heads = ["Dataset", "Tested", "Best other row", "Reference", "Reference minus row"]
    heads += ["95 % interval", "p (Holm)", "Verdict"]
    margin = table["margin"].iloc[0]
    said = [
        "Of all rows but the reference the one with the highest AUROC, held against the reference "
        f"on the same {g.facts.unit}. Above 0 the reference is better. The best of many is "
        "chosen here after the fact: the Holm correction is over all rows. Equivalent: within "
        f"{margin:g}.",
        *units(g),
    ]
    return Section("answer", "The answer in short", said, [Grid("", heads, lines, source)])
