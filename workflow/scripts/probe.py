"""Fit a linear probe or nearest neighbours on frozen embeddings, all folds at once."""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from tqdm import tqdm

from cryotome.core.files import sha256
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.data.splits.cells import indices_of
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.learners.predictions import SCORED_ROLES, write_predictions
from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.linear import Execution
from cryotome.learners.probes.probe import (
    fit_and_score_folds,
    fit_log_line,
    memory_log_line,
)
from cryotome.runtime import ledger
from cryotome.runtime.job import run_script

KEPT = ["recipe", "weights_sha256", "patches_sha256", "cells_sha256"]


def main(
    embeddings: Path, cells: Path, splits: list[Path], predictions: list[Path], card: dict,
    model: str, view: str,
) -> None:  # fmt: skip
    start = perf_counter()
    x, ids, stamps = read_embeddings(embeddings, model=model, view=view, cells_sha256=sha256(cells))
    y = load_cells(cells).set_index("id")["label"].loc[ids].to_numpy()
    kept = {name: stamps[name] for name in KEPT} | {"model": model, "view": view, "head": card}
    tables = [read_csv(split) for split in splits]
    folds = [_fold(ids, table) for table in tables]
    said = memory_log_line(card, x, folds=len(folds), classes=2)
    print(said, file=sys.stderr, flush=True)
    with tqdm(total=len(folds), desc=f"fit {model}", unit="fold", mininterval=5) as bar:
        fitted = fit_and_score_folds(card, x, y, folds, execution=Execution(on_progress=bar.update))
        for n, (scores, notes) in enumerate(fitted):
            fold, roles = folds[n], tables[n][tables[n]["role"].isin(SCORED_ROLES)]
            print(f"{predictions[n]}: {fit_log_line(card, fold, notes)}", file=sys.stderr)
            notes |= kept | {"n_train": len(fold.train)}
            notes["cost_seconds"] = round(
                (perf_counter() - start) / len(folds), 3
            )  # a fold's share
            roles = roles.assign(label=y[fold.scored])
            write_predictions(predictions[n], roles, scores, split=splits[n], notes=notes)
    ledger.report_throughput(folds=len(folds), seconds=perf_counter() - start)


def _fold(ids: np.ndarray, roles: pd.DataFrame) -> FoldRows:
    place, role = indices_of(ids, roles["id"]), roles["role"]
    parts = role == "train", role == "validation", role.isin(SCORED_ROLES)
    return FoldRows(*(place[part.to_numpy()] for part in parts))


if __name__ == "__main__":
    run_script(main)
