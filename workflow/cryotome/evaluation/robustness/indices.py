"""Indices of robustness by the package `croma`, of all cells and of draws of their slides.

A draw of slides takes cells with their neighbours as they are among all cells: neighbours are
searched once. Robustness index: Kömen et al. 2025, PathoROB (arXiv 2507.17845); its margin-aware
form and CRoMa: Grisi et al. 2026 (arXiv 2607.25497).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from croma import RI, CRoMa, MaRI
from croma.metrics.mari import TAU_FALLBACK
from croma.metrics.pairs import normalize_manifest
from croma.metrics.tail import compute_tail_metrics

CONFOUNDER = "confounder"  # the manifest's column


@dataclass(frozen=True)
class Index:
    """One index of one store.

    Attributes
    ----------
    value
        NaN where it is not defined.
    draws : (draws,)
        Of each draw of slides; NaN without an interval.
    support
        Fraction of the cells that have a say.
    """

    value: float
    draws: np.ndarray
    support: float = 1.0


def measure_indices(
    x: np.ndarray, manifest: pd.DataFrame, counts: np.ndarray, *, neighbours: int
) -> dict[str, Index]:
    """Measure the four indices of neighbours.

    Parameters
    ----------
    x : (n, dim)
        Embeddings, in the order of the manifest.
    manifest
        From `sample_cells`.
    counts : (draws, s)
        How often each slide of the manifest, sorted, is in each draw.
    neighbours
        `k` of RI and MaRI, `m` of CRoMa.

    Returns
    -------
    `RI` and `MaRI` in [0, 1], `CRoMa` and `CRoMa tail` in [-1, 1] (median over cells, and mean of
    the worst tenth)

    Raises
    ------
    RuntimeError
        Of croma: a cell and all its neighbours have the same embedding.
    """
    slides, place = np.unique(manifest["slide"].astype(str), return_inverse=True)
    found = {
        name: _pooled(*evidence, place, counts, len(slides))
        for name, evidence in _evidence(x, manifest, neighbours).items()
    }
    margins = CRoMa.compute(x, manifest, confounder_column=CONFOUNDER, m=neighbours)
    values = margins.sample_values
    each = [np.repeat(values, of[place].astype(int)) for of in counts]
    found["CRoMa"] = Index(margins.value, np.array([np.median(drawn) for drawn in each]))
    tails = np.array([compute_tail_metrics(drawn).ltm_alpha for drawn in each])
    return found | {"CRoMa tail": Index(margins.ltm_alpha, tails)}


def _evidence(
    x: np.ndarray, manifest: pd.DataFrame, k: int
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the SO and OS evidence of each cell, (n,) each, for RI and MaRI.

    croma's results have their ratio alone, which cannot be pooled over a draw of slides.
    """
    table = normalize_manifest(manifest, confounder_column=CONFOUNDER, source="manifest")
    near = RI._prepare_all_rows_neighbor_cache(features=x, df=table, k_values=[k])
    names = ("labels", "centers", "neigh_idx", "neigh_dist", "valid_counts")
    kept: dict[str, Any] = {name: getattr(near, name) for name in names}
    typed = MaRI._typed_neighbor_distances_from_neighbors(**kept, k=k)
    tau = float(np.median(typed)) if typed.size else 0.0
    counted = RI._score_all_k_from_neighbors(**kept, k_values=[k])[k]
    weighted = MaRI._score_all_k_from_neighbors(**kept, k_values=[k], tau=tau or TAU_FALLBACK)[k]
    pairs = {"RI": counted, "MaRI": weighted}
    return {name: (score.so_evidence, score.os_evidence) for name, score in pairs.items()}


def _pooled(
    so: np.ndarray, os: np.ndarray, place: np.ndarray, counts: np.ndarray, slides: int
) -> Index:
    """Return the SO share of all evidence, and that of each draw of slides."""
    up, down = (np.bincount(place, weights=side, minlength=slides) for side in (so, os))
    with np.errstate(invalid="ignore"):
        value = np.float64(so.sum()) / (so.sum() + os.sum())
        draws = (counts @ up) / (counts @ up + counts @ down)
    return Index(float(value), draws, float(np.mean(so + os > 0)))


def one_hot(values: pd.Series) -> np.ndarray:
    """Return a vector of each value, (n, values) float32: what identity alone makes of cells.

    >>> one_hot(pd.Series(["a", "b", "a"])).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    return pd.get_dummies(values, dtype=np.float32).to_numpy()
