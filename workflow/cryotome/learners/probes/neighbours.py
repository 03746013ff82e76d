"""Heads that are not trained: nearest neighbours, and the prevalence among equal embeddings."""

import numpy as np

from cryotome.core.errors import ProbeError

MIN_DIM = 16  # narrower embeddings are searched by scikit-learn, in a tree
BLOCK_PRODUCTS = 2**24  # distances of one block, 64 MB
CHUNK_PAIRS = 128  # distances computed at once, as many as fit the cache
MAX_CANDIDATES = 8  # candidates per neighbour: with more, float32 is too coarse


def _scores(probabilities: np.ndarray) -> np.ndarray:
    """Return P(second class) (m,) of two classes, else P of every class (m, K)."""
    return probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities


def _check(y: np.ndarray) -> None:
    if len(np.unique(y)) < 2:
        raise ProbeError(
            f"All {len(y)} training rows have one label. Raise the fraction, or leave this fold "
            "out."
        )


def _squares(x: np.ndarray) -> np.ndarray:
    """Return squared lengths (m,) float64."""
    return np.einsum("ij,ij->i", x, x, dtype=np.float64)


def _margins(reach: np.ndarray, width: int, kind: type[np.floating]) -> np.ndarray:
    """Return the smallest gap (m,) of two squared distances whose order survives rounding.

    A squared distance from products of d numbers has an error below (d + 4) units of rounding,
    half an epsilon each, of `reach`, (|a| + |b|)² (Higham 2002, section 3.1), in any order of
    summation. The gap is four such errors: two distances, here and in scikit-learn.
    """
    limits = np.finfo(kind)
    return 2 * (width + 16) * (float(limits.eps) * reach + float(limits.tiny))


def _candidates(
    x: np.ndarray, squares: np.ndarray, queries: np.ndarray, reach: np.ndarray, used: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return query row, training cell and squared distance of all possible neighbours.

    They are chosen by products in float32. Distances are float64, or -inf where float32 already
    decides that the cell is a neighbour. None where there are too many.
    """
    margin = _margins(reach, x.shape[1], np.float32)
    near = (-2 * queries) @ x.T  # (m, n), without |queries|², which changes no order
    near += squares
    last = np.partition(near, used - 1)[:, used - 1].astype(np.float64)
    found = np.flatnonzero(near <= (last + margin).astype(np.float32)[:, None])
    if len(found) > MAX_CANDIDATES * used * len(queries):
        return None
    row, cell = np.divmod(found, len(x))
    (unsettled,) = np.nonzero(near.ravel()[found] >= (last - margin)[row])
    distance = np.full(len(found), -np.inf)
    for first in range(0, len(unsettled), CHUNK_PAIRS):
        part = unsettled[first : first + CHUNK_PAIRS]
        distance[part] = _squares(queries[row[part]].astype(np.float64) - x[cell[part]])
    return row, cell, distance


def _votes(
    row: np.ndarray, one_hot: np.ndarray, distance: np.ndarray, margin: np.ndarray, used: int
) -> np.ndarray | None:
    """Return the votes of the neighbours for each class (m, K); None where ties decide."""
    starts = np.searchsorted(row, np.arange(len(margin)))
    gap = distance - distance[np.lexsort((distance, row))][starts + used - 1][row]
    inside, level = gap < -margin[row], abs(gap) <= margin[row]
    sure, tied = (np.add.reduceat(one_hot * kept[:, None], starts) for kept in (inside, level))
    left, many = used - sure.sum(axis=1), tied.sum(axis=1)
    if not ((many == left) | (many == tied.max(axis=1))).all():
        return None
    return sure + tied * left[:, None] / many[:, None]


def _search(x: np.ndarray, label: np.ndarray, queries: np.ndarray, used: int) -> np.ndarray | None:
    """Return the fraction of each class (m, K) among the nearest; None if float32 is too coarse.

    Parameters
    ----------
    label : (n,) int
        0 to K - 1.
    """
    squares = _squares(x)
    reach = (np.sqrt(_squares(queries)) + np.sqrt(squares.max())) ** 2
    if not reach.max() < np.finfo(np.float32).max / 4:  # false for NaN, too
        return None
    one_hot = np.eye(label.max() + 1)
    fractions = np.empty((len(queries), len(one_hot)))
    step = max(x.shape[1] // 12, BLOCK_PRODUCTS // len(x))  # with its copy at most a sixth of `x`
    squares = squares.astype(np.float32)
    for first in range(0, len(queries), step):
        block = slice(first, first + step)
        found = _candidates(x, squares, queries[block], reach[block], used)
        if found is None:
            return None
        row, cell, distance = found
        margin = _margins(reach[block], x.shape[1], np.float64)
        votes = _votes(row, one_hot[label[cell]], distance, margin, used)
        if votes is None:
            return None
        fractions[block] = votes / used
    return fractions


def score_knn(
    x: np.ndarray,
    y: np.ndarray,
    queries: np.ndarray,
    *,
    neighbours: int,
    normalised: bool = True,
) -> tuple[np.ndarray, int]:
    """Return the fractions of votes among the nearest training cells, and the number of votes.

    The votes are those of scikit-learn's KNeighborsClassifier. Wide embeddings in float32 are
    searched by products in float32, and distances too close for float32 are computed again in
    float64. Where cells of different labels tie for the last vote, scikit-learn scores all
    cells in one call, as the order of equal cells may differ in a smaller call. With fewer
    training cells than neighbours all vote, and every score is the training prevalence.

    Parameters
    ----------
    normalised
        Centre embeddings on the training mean and scale them to length one (Chen et al.
        2024); else use them unchanged.

    Returns
    -------
    scores : (m,) fraction of the second class, or (m, K)
    used
        min(neighbours, training cells).

    Raises
    ------
    ProbeError
        The training cells have one class.
    """
    from sklearn.preprocessing import normalize

    _check(y)
    used = min(neighbours, len(x))
    if normalised:
        mean = x.mean(axis=0, dtype=np.float64)  # float32 is too coarse far from the origin
        x, queries = (normalize((part - mean).astype(part.dtype)) for part in (x, queries))
    fractions = None
    if x.dtype == queries.dtype == np.float32 and x.shape[1] >= MIN_DIM:
        fractions = _search(x, np.unique(y, return_inverse=True)[1], queries, used)
    if fractions is None:
        from sklearn.neighbors import KNeighborsClassifier

        fractions = KNeighborsClassifier(used).fit(x, y).predict_proba(queries)
    return _scores(fractions), used


def score_prevalence(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the fraction of each class among the training cells whose embedding is equal.

    Where the embedding identifies the slide, this is the prediction from the slide alone.
    One pseudo-cell of the training prevalence is added to every slide; a slide without
    training cells has that prevalence.

    Returns
    -------
    (m,) fraction of the second class, or (m, K)

    Raises
    ------
    ProbeError
        The training cells have one class.
    """
    _check(y)
    _, label = np.unique(y, return_inverse=True)
    one_hot = np.eye(label.max() + 1)[label]
    groups, place = np.unique(np.concatenate([x, queries]), axis=0, return_inverse=True)
    votes = np.zeros((len(groups), one_hot.shape[1]))
    np.add.at(votes, place.ravel()[: len(x)], one_hot)
    votes += one_hot.mean(axis=0)
    return _scores((votes / votes.sum(axis=1, keepdims=True))[place.ravel()[len(x) :]])
