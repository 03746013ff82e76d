"""What was run."""

from typing import Any

from cryotome.data.cells import load_cells
from cryotome.report.page.audits import audits, leaks
from cryotome.report.page.grids import Cell, Grid, missing_cell, number, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import Section, row_cell
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
    said += g.facts.cautions
    jobs = g.table("ledger.csv")
    if jobs is not None:
        said.append(f"Computed on {'; '.join(dict.fromkeys(jobs['device'].dropna()))}.")
    grids = [datasets(g), *audits(g), *leaks(g), rows_run(g)] if g.facts.rows else []
    grids += failed_jobs(g)
    return Section("run", "What was run", said, grids)
