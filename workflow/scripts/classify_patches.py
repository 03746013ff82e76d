"""Fit a head on the patches of one dataset, and score those of another."""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from cryotome.given import class_names, join_sets
from cryotome.job import run
from cryotome.predictions import write_predictions
from cryotome.probe import Fold, fit_and_score_folds, said_of
from cryotome.splits import rows_of


def main(
    embeddings: list[Path],
    cells: list[Path],
    split: Path,
    predictions: Path,
    card: dict,
    datasets: dict,
    model: str,
    view: str,
) -> None:
    start = perf_counter()
    stores, tables = (dict(zip(datasets, files, strict=True)) for files in (embeddings, cells))
    both = join_sets(stores, tables, model=model, view=view)
    roles = pd.read_csv(split)
    place, tested = rows_of(both.ids, roles["id"]), roles["role"] == "test"
    fold = Fold(place[roles["role"] == "train"], np.arange(0), place[tested])
    scores, notes = next(fit_and_score_folds(card, both.x, both.y, [fold]))
    print(f"{model}: {said_of(card, fold, notes)}", file=sys.stderr)
    scores = np.stack([1 - scores, scores], axis=1) if scores.ndim == 1 else scores
    notes |= both.notes | {"head": card, "n_train": len(fold.train)}
    notes["cost_seconds"] = round(perf_counter() - start, 3)
    named, how = class_names(datasets), {"split": split, "notes": notes}
    write_predictions(predictions, roles[tested], both.y[fold.scored], scores, classes=named, **how)


if __name__ == "__main__":
    run(main)
