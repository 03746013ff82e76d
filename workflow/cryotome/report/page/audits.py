"""What the audit found among the cells, and what splits let through, for "What was run"."""

from pathlib import Path
from typing import Any

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.report.page.grids import Cell, Grid, missing_cell, number, split_columns, words
from cryotome.report.page.results import StudyResults
from cryotome.report.page.sections import where_cells
from cryotome.study.facts import MEANING, DatasetCard

# what is printed of a split: measure of its leakage to heading
LEAKS = {
    "on_training_slide": "On a slide that trains",
    "duplicate_of_training": "Pixel-equal to a training cell",
    "pixels_with_training": "Share pixels with a training cell",
    "centre_of_other_label": "Show the centre of a training cell of the other label",
    "near_training_of_other_label": "Near a training cell of the other label",
}
AUDITED = ["Cells read", "In no split", "Why", "Exact duplicates kept"]
AUDITED += ["Equal patches of two labels", "Near pairs", "Other findings"]


def dropped(findings: pd.DataFrame, policies: Card) -> dict[str, set[int]]:
    """Return finding to the cells that enter no split for it.

    Parameters
    ----------
    findings
        As the audit writes them.
    policies
        Finding to `keep`, `drop` or `refuse`.
    """
    found: dict[str, set[int]] = {}
    for finding, part in split_columns(findings, "finding"):
        if policies.get(finding) == "drop":
            out = {*part.loc[part["left_out"], "id"], *part.loc[part["other_left_out"], "other"]}
            found[str(finding)] = {int(id_) for id_ in out}
    return {finding: ids for finding, ids in found.items() if ids}


def _audited(card: DatasetCard, g: StudyResults) -> list[Cell]:
    """Write which of a dataset's cells no split uses and why, and what is odd about the rest."""
    name = f"{card.source_dataset}.csv"
    cells, path = g.results / "cells" / name, g.results / "audits" / name
    if not (cells.exists() and path.exists()):
        return [missing_cell(f"{path} is not made yet", g.command("table2.csv"))] * len(AUDITED)
    findings, source = read_csv(path), g.elsewhere(path, "audit")
    out = dropped(findings, card.policies)
    gone = set().union(*out.values())
    why = "; ".join(f"{len(ids):,} {MEANING[finding]}" for finding, ids in out.items())
    odd = {kind: findings[findings["finding"] == kind] for kind in MEANING}
    twins, near = odd["duplicate"], odd["near"]
    close = int((near["label"] != near["other_label"]).sum())
    others = [f"{len(odd[kind]):,} {MEANING[kind]}" for kind in ("outside", "border", "broken")
              if len(odd[kind])]  # fmt: skip
    return [
        number(len(load_cells(cells)), g.elsewhere(cells, "read_cells"), digits=0),
        number(len(gone), source, digits=0),
        words(why or "nothing is dropped"),
        number(int((~twins["left_out"]).sum()), source, digits=0),
        number(len(odd["conflict"]), source, digits=0),
        number(len(near), source, text=f"{len(near):,}, {close:,} of them contradicting"),
        words("; ".join(others) or "none"),
    ]


def audits(g: StudyResults) -> list[Grid]:
    """List what the audit of each dataset found, and what it took out of every split.

    None where no dataset has been audited yet.
    """
    cards = g.facts.cards.values()
    rows = [[words(card.title), *_audited(card, g)] for card in cards]
    known = any((g.results / "audits" / f"{card.source_dataset}.csv").exists() for card in cards)
    return [Grid("Audit of the cells", ["Dataset", *AUDITED], rows)] if known else []


def _leakage(folder: Path) -> dict[Path, pd.Series]:
    """Return of each fold that was measured, at the largest fraction, measure to cells."""
    shares = {path.name: float(path.name.partition("=")[2]) for path in folder.glob("fraction=*")}
    largest = folder / max(shares, key=lambda name: shares[name], default="none")
    return {
        path: read_csv(path).set_index("measure")["cells"]
        for path in sorted(largest.glob("fold=*.leakage.csv"))
    }


def leaks(g: StudyResults) -> list[Grid]:
    """List how many test cells of each scheme share something with training cells.

    None where no split has been audited yet.
    """
    rows: list[list[Cell]] = []
    found = False
    for dataset, scheme in g.facts.blocks:
        folder = g.results / "splits" / dataset / scheme
        folds = _leakage(folder)
        place: dict[Any, Any] = {"dataset": dataset, "scheme": scheme}
        if not folds:
            missing = missing_cell(f"no leakage below {folder} yet", g.command("table2.csv"))
            rows.append([*where_cells(place, g), *[missing] * (1 + len(LEAKS))])
            continue
        found = True
        cells, first = pd.DataFrame(folds.values()), g.elsewhere(next(iter(folds)), "audit_splits")
        rows.append([
            *where_cells(place, g), number(cells["test_cells"].mean(), first, digits=0),
            *(_shared(cells, measure, first) for measure in LEAKS),
        ])  # fmt: skip
    heads = ["Dataset", "Training", "Test cells", *LEAKS.values()]
    caption = "Test cells that training has seen something of, mean over folds, largest fraction"
    return [Grid(caption, heads, rows, folded=len(rows) > 12)] if found else []


def _shared(cells: pd.DataFrame, measure: str, source: Any) -> Cell:
    mean, share = cells[measure].mean(), (cells[measure] / cells["test_cells"]).mean()
    if pd.isna(mean):
        return words("slides not known")
    return number(mean, source, text=f"{mean:,.0f} ({100 * share:.1f} %)")
