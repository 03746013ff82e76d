"""Two datasets as their authors part them: one trains, another tests."""

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
from cryotome.learners.probes.probe import Fold, fit_and_score_folds, fit_log_line


@dataclass(frozen=True)
class Predictions:
    """What a head makes of the test cells.

    Attributes
    ----------
    label : (m,) int
    scores : (m, K) float64
    notes
        Of the fit, and how many cells trained.
    said
        A line for the log.
    """

    label: np.ndarray
    scores: np.ndarray
    notes: dict[str, Any]
    said: str


@dataclass(frozen=True)
class JoinedSets:
    """Embeddings, labels and ids of both datasets, one below the other, and whence they come.

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
    parts, labels, ids, stamps = [], [], [], []
    for dataset, path in embeddings.items():
        at = cells[dataset]
        x, own, about = read_embeddings(path, model=model, view=view, cells_sha256=sha256(at))
        labels.append(load_cells(at).set_index("id")["label"].loc[own].to_numpy())
        parts.append(x)
        ids.append(qualify(dataset, own))
        stamps.append(about)
    used = [about["weights_sha256"] for about in stamps]
    if len(set(used)) > 1:
        raise StoreError(
            f"{' and '.join(map(str, embeddings.values()))} were made with different weights. "
            "Delete the older one and rerun."
        )
    notes: dict[str, Any] = {"model": model, "view": view, "weights_sha256": used[0]}
    notes |= {
        name: [about[name] for about in stamps] for name in ("patches_sha256", "cells_sha256")
    }
    return JoinedSets(np.concatenate(parts), np.concatenate(labels), np.concatenate(ids), notes)


def classify(card: Card, both: JoinedSets, roles: pd.DataFrame) -> Predictions:
    """Fit a head on the cells that train and score those that test, in the order of `roles`.

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
    fold = Fold(place[~tested], np.arange(0), place[tested])
    scores, notes = next(fit_and_score_folds(card, both.x, both.y, [fold]))
    if scores.ndim == 1:  # P of the second of two classes
        scores = np.stack([1 - scores, scores], axis=1)
    said = fit_log_line(card, fold, notes)
    return Predictions(both.y[fold.scored], scores, notes | {"n_train": len(fold.train)}, said)
