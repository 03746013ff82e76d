"""Labelled embeddings of one dataset, or of two in one matrix, and their folds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.core.qualified_names import qualify
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.data.raters import votes_of
from cryotome.data.splits.cells import indices_of
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.learners.predictions import SCORED_ROLES
from cryotome.learners.probes.fold_batches import FoldRows


@dataclass(frozen=True)
class Fold:
    """One split: its rows of the features, and the table id, role, label of the scored cells."""

    split: Path
    rows: FoldRows
    scored: pd.DataFrame


@dataclass(frozen=True)
class LabelledEmbeddings:
    """Embeddings, labels and ids, and their provenance.

    Attributes
    ----------
    x : (n, dim) float32
    y, ids : (n,)
    notes
        Model, view, weights; step version and hashes of patches and cells, a list of them where
        there are two datasets.
    stamps
        Provenance of each dataset's store.
    votes : (n, raters) int
        Of raters, where there is one dataset and its cells have them.
    """

    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray
    notes: dict[str, Any]
    stamps: list[dict[str, Any]]
    votes: np.ndarray | None = None

    @property
    def encoder(self) -> dict[str, Any]:
        """The card of the model."""
        return json.loads(self.stamps[0]["card"])

    def fold(self, split: Path) -> Fold:
        """Read a split, a table id, role.

        Raises
        ------
        SplitError
            It is of other cells.
        """
        table = read_csv(split)
        place, role = indices_of(self.ids, table["id"]), table["role"]
        parts = role == "train", role == "validation", role.isin(SCORED_ROLES)
        rows = FoldRows(*(place[part.to_numpy()] for part in parts))
        return Fold(split, rows, table[parts[-1]].assign(label=self.y[rows.scored]))


def read_labelled(
    embeddings: list[Path], cells: list[Path], datasets: list[str], *, model: str, view: str
) -> LabelledEmbeddings:
    """Read the embeddings and labels of one dataset, or of several into one matrix.

    Parameters
    ----------
    datasets
        Their names, which stand before the ids of their cells; empty where there is one.

    Raises
    ------
    StoreError
        A store is of another model, view or table of cells, or they were not made with the same
        weights.
    """
    matrices, labels, ids, stamps = [], [], [], []
    for n, (path, table) in enumerate(zip(embeddings, cells, strict=True)):
        x, own, about = read_embeddings(path, model=model, view=view, cells_sha256=sha256(table))
        about_cells = load_cells(table).set_index("id").loc[own]
        labels.append(about_cells["label"].to_numpy())
        matrices.append(x)
        ids.append(qualify(datasets[n], own) if datasets else own)
        stamps.append(about)
    if len({about["weights_sha256"] for about in stamps}) > 1:
        raise StoreError(
            f"{' and '.join(map(str, embeddings))} were made with different weights. "
            "Delete the older one and rerun."
        )
    notes = {"model": model, "view": view, "weights_sha256": stamps[0]["weights_sha256"]}
    for name in ("recipe", "patches_sha256", "cells_sha256"):
        values = [about[name] for about in stamps]
        notes[name] = values if datasets else values[0]
    if not datasets:  # without a copy of the features
        votes = votes_of(about_cells).to_numpy()
        found = votes if votes.size else None
        return LabelledEmbeddings(matrices[0], labels[0], ids[0], notes, stamps, found)
    x, y = np.concatenate(matrices), np.concatenate(labels)
    return LabelledEmbeddings(x, y, np.concatenate(ids), notes, stamps)
