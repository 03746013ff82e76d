"""Indices of robustness by the package `croma`, of all cells and of draws of their slides.

Neighbours are searched once. A draw of slides moves an index by what its slides give as those of
cells and as those of neighbours, so that an interval knows of both. Robustness index: Kömen et al.
2025, PathoROB (arXiv 2507.17845); its margin-aware form and CRoMa: Grisi et al. 2026 (arXiv
2607.25497).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from croma import RI, CRoMa
from croma.metrics.mari import TAU_FALLBACK
from croma.metrics.pairs import normalize_manifest
from croma.metrics.tail import compute_tail_metrics
from scipy.special import expit, logit

CONFOUNDER = "confounder"  # the manifest's column
ROWS_AT_ONCE = 512  # of a matrix of distances


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
    place = np.unique(manifest["slide"].astype(str), return_inverse=True)[1]
    found = {
        name: _pooled(*evidence, place, counts)
        for name, evidence in _evidence(x, manifest, neighbours).items()
    }
    margins = CRoMa.compute(x, manifest, confounder_column=CONFOUNDER, m=neighbours)
    drawn = list(draw_margins(typed_neighbours(x, manifest, neighbours), place, counts))
    medians = [np.median(values) if len(values) else np.nan for values in drawn]
    tails = [compute_tail_metrics(values).ltm_alpha for values in drawn]
    found["CRoMa"] = Index(margins.value, _around(margins.value, medians))
    return found | {"CRoMa tail": Index(margins.ltm_alpha, _around(margins.ltm_alpha, tails))}


def _around(value: float, draws: list[float]) -> np.ndarray:
    """Return draws with the value as their mean: fewer neighbours make margins spread more."""
    found = np.array(draws)
    return found - np.nanmean(found) + value if np.isfinite(found).any() else found


def _evidence(
    x: np.ndarray, manifest: pd.DataFrame, k: int
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return for RI and MaRI what each neighbour says: SO and OS evidence, and its cell, (n, k).

    croma's results have the ratio of a cell alone, which cannot be pooled over a draw of slides.
    """
    table = normalize_manifest(manifest, confounder_column=CONFOUNDER, source="manifest")
    near = RI._prepare_all_rows_neighbor_cache(features=x, df=table, k_values=[k])
    cell, distance = near.neigh_idx[:, :k], near.neigh_dist[:, :k]
    known = (np.arange(cell.shape[1]) < near.valid_counts[:, None]) & (cell >= 0)
    alike, beside = (of[cell] == of[:, None] for of in (near.labels, near.centers))
    so, os = known & alike & ~beside, known & ~alike & beside
    typed = distance[so | os]
    tau = float(np.median(typed)) if typed.size else 0.0
    weight = np.exp(-np.where(known, distance, 0.0) / (tau or TAU_FALLBACK))
    return {
        "RI": (so.astype(float), os.astype(float), cell),
        "MaRI": (so * weight, os * weight, cell),
    }


def _pooled(
    so: np.ndarray, os: np.ndarray, cell: np.ndarray, place: np.ndarray, counts: np.ndarray
) -> Index:
    """Return the SO share of all evidence, and that of each draw of slides.

    A draw moves the share by what its slides add to it, to first order and on the logit scale. A
    pair of slides is in what both add: counted twice where pairs are all that varies, so that the
    variance of pairs is taken off once, as of dyads (Cameron and Miller 2014).
    """
    support = float(np.mean((so + os).any(axis=1)))
    total = float(so.sum() + os.sum())
    value = float(so.sum()) / total if total else float("nan")
    if not 0 < value < 1:
        return Index(value, np.full(len(counts), value), support)
    pairs = (np.repeat(place, cell.shape[1]), place[cell].ravel())
    added = np.zeros((counts.shape[1],) * 2)  # to the share, by slides of the cell and neighbour
    np.add.at(added, pairs, ((1 - value) * so - value * os).ravel() / total)
    own = np.diag(added).copy()
    np.fill_diagonal(added, 0.0)
    of_pair = added + added.T
    of_slide = of_pair.sum(axis=1) + own
    twice, once = (of_slide**2).sum(), (of_pair**2).sum() / 2
    scale = np.sqrt(max(twice - once, once) / twice) if twice > 0 else 0.0
    moved = scale * ((counts - 1) @ of_slide) / (value * (1 - value))
    return Index(value, expit(logit(value) + moved), support)


def typed_neighbours(
    x: np.ndarray, manifest: pd.DataFrame, count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the nearest SO and the nearest OS neighbours of each cell, by cosine distance.

    croma measures their distances, and does not say which cells they are.

    Returns
    -------
    for SO and for OS: distances and positions in the manifest, (n, count) each
    """
    unit = x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-12)
    label, value, group = (
        pd.factorize(manifest[name])[0] for name in ("label", CONFOUNDER, "group_id")
    )
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[], []]
    for rows in np.array_split(np.arange(len(x)), len(x) // ROWS_AT_ONCE + 1):
        distance = 1.0 - unit[rows] @ unit.T
        alike, beside, own = (of[rows, None] == of for of in (label, value, group))
        for kind, wanted in zip(found, (alike & ~beside, ~alike & beside & ~own), strict=True):
            far = np.where(wanted, distance, np.inf)
            near = np.argpartition(far, count - 1, axis=1)[:, :count]
            kind.append((np.take_along_axis(far, near, axis=1), near))
    return [tuple(map(np.concatenate, zip(*kind, strict=True))) for kind in found]  # type: ignore


def draw_margins(
    typed: list[tuple[np.ndarray, np.ndarray]], place: np.ndarray, counts: np.ndarray
) -> Iterator[np.ndarray]:
    """Yield the margins of the cells of each draw of slides, as often as their slide is drawn.

    A neighbour counts as often as its slide is drawn, once where that is the cell's own.

    Parameters
    ----------
    typed
        From `typed_neighbours`.
    place : (n,)
        The slide of each cell.
    """
    own = [place[near] == place[:, None] for _, near in typed]
    for drawn in counts:
        means = []
        for (distance, near), mine in zip(typed, own, strict=True):
            weight = np.where(mine, 1.0, drawn[place[near]])
            with np.errstate(invalid="ignore"):
                means.append((weight * distance).sum(axis=1) / weight.sum(axis=1))
        with np.errstate(invalid="ignore"):
            margin = (means[1] - means[0]) / (means[1] + means[0])
        values = np.repeat(margin, drawn[place].astype(int))
        yield values[np.isfinite(values)]


def one_hot(values: pd.Series) -> np.ndarray:
    """Return a vector of each value, (n, values) float32: what identity alone makes of cells.

    >>> one_hot(pd.Series(["a", "b", "a"])).tolist()
    [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]
    """
    return pd.get_dummies(values, dtype=np.float32).to_numpy()
