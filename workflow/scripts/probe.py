"""Fit a linear probe or nearest neighbours on frozen embeddings, all folds of a fraction."""

import sys
from pathlib import Path
from time import perf_counter

import pandas as pd

from cryotome.cells import load_cells
from cryotome.embeddings import read_embeddings
from cryotome.job import run
from cryotome.paths import sha256
from cryotome.predictions import SCORED, write_predictions
from cryotome.probe import fit_and_score
from cryotome.splits import rows_of

KEPT = ["recipe", "weights_sha256", "patches_sha256", "cells_sha256"]


def main(
    embeddings: Path,
    cells: Path,
    splits: list[Path],
    predictions: list[Path],
    card: dict,
    model: str,
    view: str,
) -> None:
    x, ids, stamps = read_embeddings(embeddings, model=model, view=view, cells_sha256=sha256(cells))
    y = load_cells(cells).set_index("id")["label"].loc[ids].to_numpy()
    stores = {name: stamps[name] for name in KEPT}
    for split, path in zip(splits, predictions, strict=True):
        start, roles = perf_counter(), pd.read_csv(split)
        place = rows_of(ids, roles["id"])
        train, scored = place[roles["role"] == "train"], roles["role"].isin(SCORED)
        scores, fit = fit_and_score(card, x[train], y[train], x[place[scored]])
        if not fit.get("converged", True):
            print(f"{path}: the solver stopped short of its tolerance", file=sys.stderr)
        notes = {**stores, **fit, "model": model, "view": view, "head": card, "n_train": len(train)}
        notes["cost_seconds"] = round(perf_counter() - start, 3)
        write_predictions(path, roles[scored], y[place[scored]], scores, split=split, notes=notes)


if __name__ == "__main__":
    run(main)
