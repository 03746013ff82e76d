"""Heads that train on one dataset and are tested on another, as the authors of both intend."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.core.qualified_names import qualify
from cryotome.data.cells import load_cells
from cryotome.data.splits.cells import indices_of
from cryotome.data.splits.predefined import Sets
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.probe import fit_and_score_folds, fit_log_line


@dataclass(frozen=True)
class Predictions:
    """Labels and scores of the test cells.

    Attributes
    ----------
    label : (m,) int
    scores : (m, K) float64
    notes
        Facts of the fit, and the number of training cells.
    log_line
    """

    label: np.ndarray
    scores: np.ndarray
    notes: dict[str, Any]
    log_line: str


@dataclass(frozen=True)
class JoinedSets:
    """Embeddings, labels and ids of two datasets in one matrix, and their provenance.

    Attributes
    ----------
    x : (n, dim) float32
    y, ids : (n,)
    notes
        Model, view, weights; of both datasets the hashes of patches and cells.
    """

    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    notes: dict[str, Any]


def join_sets(embeddings: Sets, cells: Sets, *, model: str, view: str) -> JoinedSets:
    """Read the embeddings of two datasets into one matrix.

    Raises
    ------
    StoreError
        A store is of another model, view or table of cells, or the two were not made with
        the same weights.
    """
    matrices, labels, ids, provenances = [], [], [], []
    for dataset, path in embeddings.items():
        table = cells[dataset]
        x, own, about = read_embeddings(path, model=model, view=view, cells_sha256=sha256(table))
        labels.append(load_cells(table).set_index("id")["label"].loc[own].to_numpy())
        matrices.append(x)
        ids.append(qualify(dataset, own))
        provenances.append(about)
    used = [about["weights_sha256"] for about in provenances]
    if len(set(used)) > 1:
        raise StoreError(
            f"{' and '.join(map(str, embeddings.values()))} were made with different weights. "
            "Delete the older one and rerun."
        )
    notes: dict[str, Any] = {"model": model, "view": view, "weights_sha256": used[0]}
    for name in ("patches_sha256", "cells_sha256"):
        notes[name] = [about[name] for about in provenances]
    return JoinedSets(np.concatenate(matrices), np.concatenate(labels), np.concatenate(ids), notes)


def classify(card: Card, both: JoinedSets, roles: pd.DataFrame) -> Predictions:
    """Fit a head on the training cells and score the test cells, in the order of `roles`.

    Parameters
    ----------
    card
        A head card.
    roles
        Columns id, role.

    Raises
    ------
    ProbeError
        The head cannot be fitted.
    SplitError
        The roles are of other cells.
    """
    place, tested = indices_of(both.ids, roles["id"]), (roles["role"] == "test").to_numpy()
    fold = FoldRows(place[~tested], np.arange(0), place[tested])
    scores, notes = next(fit_and_score_folds(card, both.x, both.y, [fold]))
    if scores.ndim == 1:  # P of the second of two classes
        scores = np.stack([1 - scores, scores], axis=1)
    line = fit_log_line(card, fold, notes)
    return Predictions(both.y[fold.scored], scores, notes | {"n_train": len(fold.train)}, line)
