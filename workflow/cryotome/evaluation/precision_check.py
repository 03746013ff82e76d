"""Distance of the embeddings in lower precision from those in fp32, and its limits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.core.metrics import auroc
from cryotome.core.store import read_ids, read_rows
from cryotome.core.tables import read_csv
from cryotome.encoders.embedders import ComputeSettings, ModelView, embedder_of_store
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.learners.probes.linear import fit_linear

FULL = "fp32"
BATCH = 64  # patches read at once
SEED = 0  # of the sample
PENALTY = 0.01  # C = M K / 100, as the head `ridge`


def cosine_similarities(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the cosine of each pair of rows, (n,) float64.

    >>> cosine_similarities(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]])).tolist()
    [0.6]
    """
    one, other = one.astype(np.float64), other.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny)


def cross_auroc(x: np.ndarray, y: np.ndarray) -> float:
    """Return the AUROC of a ridge probe fitted on half of the cells and tested on the others.

    Halves alternate within each class; the mean of both ways. NaN where a half has one class, and
    of cells without labels.
    """
    if pd.isna(y).any():
        return float("nan")
    halves, values = np.empty(len(y), int), []
    for label in (0, 1):
        halves[y == label] = np.arange((y == label).sum()) % 2
    for half in (0, 1):
        train, test = halves == half, halves != half
        if len(set(y[train])) < 2 or len(set(y[test])) < 2:
            return float("nan")
        fit = fit_linear(x[train], y[train], penalty=PENALTY, squared=True)
        values.append(auroc(y[test], fit.score(x[test])))
    return float(np.mean(values))


def measure_precision_loss(
    full: np.ndarray, lower: np.ndarray, labels: np.ndarray, limits: Card
) -> pd.DataFrame:
    """Compare the embeddings of the same patches in two precisions.

    Parameters
    ----------
    full, lower : (n, dim) float32
    labels : (n,) of 0 and 1, or NaN of cells without labels
    limits
        `cosine`: smallest allowed; `auroc`: largest allowed difference.

    Returns
    -------
    data frame with columns measure, value, limit
        limit is empty where there is none. `centred_cosine_mean` is of embeddings minus their
        mean in fp32: a large common part would hide differences.
    """
    cosine, mean = cosine_similarities(full, lower), full.mean(axis=0)
    centred = cosine_similarities(full - mean, lower - mean)  # without the common part
    both = [cross_auroc(x, labels) for x in (full, lower)]
    return pd.DataFrame(
        [
            ("patches", len(full), np.nan),
            ("cosine_least", cosine.min(), limits["min_cosine"]),
            ("cosine_mean", cosine.mean(), np.nan),
            ("centred_cosine_mean", centred.mean(), np.nan),
            ("auroc_fp32", both[0], np.nan),
            ("auroc_lower", both[1], np.nan),
            ("auroc_difference", abs(both[0] - both[1]), limits["auroc"]),
        ],
        columns=["measure", "value", "limit"],
    )


@dataclass(frozen=True)
class StoreFiles:
    """A store of embeddings, the store of patches it was made from, and their table of cells."""

    embeddings: Path
    patches: Path
    cells: Path


def check_precision(
    files: StoreFiles, card: Card, *, model: str, view: str, limits: Card, **how: Any
) -> pd.DataFrame:
    """Embed a sample of a store's patches again in fp32 and compare.

    Up to half of the sample is of either class.

    Parameters
    ----------
    limits
        `patches`: size of the sample; `min_cosine` and `auroc` as in `measure_precision_loss`.
    how
        The fields of `ComputeSettings`.

    Returns
    -------
    data frame as of `measure_precision_loss`

    Raises
    ------
    StoreError
        A limit is exceeded, or the stores are not of this model, view and cells.
    """
    store, digest = files.embeddings, sha256(files.cells)
    lower, ids, _ = read_embeddings(store, model=model, view=view, cells_sha256=digest)
    labels = read_csv(files.cells).set_index("id")["label"].reindex(ids).to_numpy()
    rows = _sample(labels, limits["patches"])
    exact = ModelView(model, card, f"{view.split('-')[0]}-{FULL}")
    embedder = embedder_of_store(files.patches, exact, ComputeSettings(**how), cells=[files.cells])
    if not np.array_equal(read_ids(files.patches), ids):
        raise StoreError(f"{store} and {files.patches} differ in their cells. Delete {store}.")
    pieces = [rows[i : i + BATCH] for i in range(0, len(rows), BATCH)]
    bar = tqdm(pieces, desc=f"{model} in {FULL}", unit=f"x {BATCH} patches", mininterval=5)
    patches = (read_rows(files.patches, "patch", piece) for piece in bar)
    full = np.concatenate([embedder.embed(one) for one in patches])
    report = measure_precision_loss(full, lower[rows], labels[rows], limits)
    _check_limits(report, store, view)
    return report


def _sample(labels: np.ndarray, size: int) -> np.ndarray:
    """Draw rows, sorted, up to `size // 2` of either class; of cells without labels `size`."""
    rng = np.random.default_rng(SEED)
    if pd.isna(labels).any():
        return np.sort(rng.permutation(len(labels))[:size])
    by_class = [rng.permutation(np.flatnonzero(labels == label)) for label in (0, 1)]
    return np.sort(np.concatenate([rows[: size // 2] for rows in by_class]))


def _check_limits(report: pd.DataFrame, store: Path, view: str) -> None:
    value, limit = (report.set_index("measure")[name] for name in ("value", "limit"))
    too_far = value["cosine_least"] < limit["cosine_least"]
    if too_far or value["auroc_difference"] > limit["auroc_difference"]:
        figures = ", ".join(f"{name} {value[name]:.6g}" for name in value.index)
        raise StoreError(
            f"{store} is too far from {FULL} ({figures}; allowed: cosine {limit['cosine_least']}, "
            f"AUROC difference {limit['auroc_difference']}). Take the view "
            f"`{view.split('-')[0]}-{FULL}`, another precision, or wider limits under "
            "`precision_check`."
        )
