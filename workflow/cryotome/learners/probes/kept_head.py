"""Kept heads on embeddings: coefficients, or a reference to the cells that they were fitted on."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.core.qualified_names import split_qualified
from cryotome.core.store import EMBEDDINGS, provenance, read_ids, read_rows
from cryotome.data.splits.cells import indices_of
from cryotome.learners.kept_file import Arrays, patch_geometry, same_run, write_kept
from cryotome.learners.probes.labelled import Fold, LabelledEmbeddings
from cryotome.learners.probes.linear import probabilities
from cryotome.learners.probes.probe import CHUNK_ROWS, score_by_cells

LINEAR, CELLS = "linear", "training_cells"


@dataclass(frozen=True)
class LinearHead:
    """A linear probe: probabilities of ((x * factor - shift) / scale) @ weights + bias.

    Attributes
    ----------
    arrays
        weights (M,) or (M, K), bias () or (K,) float64; where there are: factor () float32,
        shift (M,), scale () or (M,) float64.
    """

    about: dict[str, Any]
    arrays: Arrays

    def logits(self, x: np.ndarray) -> np.ndarray:
        """Return the logits (n,), or (n, K), of rows (n, M)."""
        found, parts = self.arrays, []
        for first in range(0, len(x), CHUNK_ROWS):
            rows = x[first : first + CHUNK_ROWS] * found.get("factor", np.float32(1))
            rows = (rows.astype(np.float64) - found.get("shift", 0)) / found.get("scale", 1)
            parts.append(rows @ found["weights"] + found["bias"])
        return np.concatenate(parts)

    def score(self, embeddings: np.ndarray) -> np.ndarray:
        """Return P(second class) (n,) of embeddings (n, dim), or P of every class (n, K)."""
        return probabilities(self.logits(checked(embeddings, len(self.arrays["weights"]))))


@dataclass(frozen=True)
class CellsHead:
    """Nearest neighbours, or the prevalence among equal embeddings: its training cells.

    Attributes
    ----------
    x, y : (n, dim) float32, (n,)
    """

    about: dict[str, Any]
    x: np.ndarray
    y: np.ndarray

    def score(self, embeddings: np.ndarray) -> np.ndarray:
        """Return P(second class) (n,) of embeddings (n, dim), or P of every class (n, K).

        All in one call: the order of cells that tie may differ in smaller calls.
        """
        queries = checked(embeddings, self.x.shape[1])
        return score_by_cells(self.about["head_card"], self.x, self.y, queries)[0]


def checked(embeddings: np.ndarray, dim: int) -> np.ndarray:
    """Return embeddings that have the shape (n, dim).

    Raises
    ------
    StoreError
        They have not.
    """
    if embeddings.ndim != 2 or embeddings.shape[1] != dim or not len(embeddings):
        raise StoreError(
            f"Embeddings of shape {embeddings.shape} were given to a head of {dim} features. "
            "Give (n, dim), of the model and view that the head was fitted on."
        )
    return embeddings


def _features_hash(x: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(x).data).hexdigest()


def write_head(
    kept: list[Path], predictions: Path, known: LabelledEmbeddings, fold: Fold, arrays: Arrays,
    about: dict[str, Any],
) -> None:  # fmt: skip
    """Write what one fold's head scores with, where one of the files to keep is this fold's.

    Of a head without coefficients the ids and labels of its training cells, and a hash of their
    embeddings: a copy of these would take 100 MB a fold and more, and the store is at hand.

    Parameters
    ----------
    arrays
        Of `fit_and_score_folds`.
    about
        `head`, the card; `classes`, `patch` and `mpp` of the dataset; hashes and steps.
    """
    for path in same_run(predictions, kept):
        about = about | {"encoder": known.encoder, "split_sha256": sha256(fold.split)}
        about["head_card"] = about["head"]
        about["patch"] = patch_geometry(about["patch"], about.pop("mpp"), known.stamps[0])
        kind = CELLS if "label" in arrays else LINEAR
        if kind == CELLS:
            train = fold.rows.train
            ids = [int(split_qualified(str(name))[1]) for name in known.ids[train]]
            arrays = arrays | {"id": np.array(ids, np.int64)}
            about["features_sha256"] = _features_hash(known.x[train])
        write_kept(path, arrays, kind, about)


def load_head(
    arrays: Arrays, about: Card, path: Path, embeddings: Path | None
) -> LinearHead | CellsHead:
    """Return the head of a file of `write_head`.

    Parameters
    ----------
    embeddings
        The store of the dataset that the head was fitted on, for heads that keep their cells;
        None: where this workflow writes it, as seen from the file.

    Raises
    ------
    StoreError
        The store is missing, of another model or view, or holds other embeddings of these cells.
    """
    if about["kind"] == LINEAR:
        return LinearHead(about, arrays)
    model, view = about["model"], about["view"]
    inner = Path("embeddings", about["dataset"], view, f"{model}.h5")
    store = embeddings or (path.resolve().parents[7] / inner)
    if not store.is_file():
        raise StoreError(
            f"{path} refers to {len(arrays['id'])} training cells, whose embeddings are not at "
            f"{store}. Ask Snakemake for them, or give the path of the store as `embeddings`."
        )
    found = provenance(store, EMBEDDINGS)
    x = read_rows(store, "embedding")[indices_of(read_ids(store), pd.Series(arrays["id"]))]
    if (found["model"], found["view"]) != (model, view) or (
        _features_hash(x) != about["features_sha256"]
    ):
        raise StoreError(
            f"{path} was fitted on other embeddings than those of {store}. Fit it again: delete "
            "it and rerun."
        )
    return CellsHead(about, x, arrays["label"])
