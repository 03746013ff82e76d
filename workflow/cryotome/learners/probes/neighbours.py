"""Heads without a loss: nearest neighbours, and the prevalence among equal embeddings."""

import numpy as np

from cryotome.core.errors import ProbeError

WIDE = 16  # scikit-learn searches narrower embeddings by a tree
PRODUCTS = 2**24  # of one block, 64 MB
PAIRS = 128  # differences taken at once, in the cache
MOST = 8  # candidates a neighbour: with more, float32 does not separate the cells


def _scores(chances: np.ndarray) -> np.ndarray:
    """Return P(second class) (m,) of two classes, else P of every class (m, K)."""
    return chances[:, 1] if chances.shape[1] == 2 else chances


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
    """Return the least gap (m,) between two squared distances whose order rounding keeps.

    A squared distance from products of d numbers is off by less than (d + 4) units of rounding,
    half an epsilon each, of `reach`, (|a| + |b|)² (Higham 2002, section 3.1), in any order of
    summation. Four such errors make a gap: two distances, here and in scikit-learn.
    """
    limits = np.finfo(kind)
    return 2 * (width + 16) * (float(limits.eps) * reach + float(limits.tiny))


def _candidates(
    x: np.ndarray, squares: np.ndarray, wanted: np.ndarray, reach: np.ndarray, used: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the wanted row, training cell and squared distance of all possible neighbours.

    Products in float32 choose them; distances are float64, or -inf where float32 is enough
    to count the cell. None: there are too many.
    """
    margin = _margins(reach, x.shape[1], np.float32)
    near = (-2 * wanted) @ x.T  # (m, n), and without |wanted|², which is the same for all
    near += squares
    last = np.partition(near, used - 1)[:, used - 1].astype(np.float64)
    found = np.flatnonzero(near <= (last + margin).astype(np.float32)[:, None])
    if len(found) > MOST * used * len(wanted):
        return None
    row, cell = np.divmod(found, len(x))
    (unsettled,) = np.nonzero(near.ravel()[found] >= (last - margin)[row])
    distance = np.full(len(found), -np.inf)
    for first in range(0, len(unsettled), PAIRS):
        part = unsettled[first : first + PAIRS]
        distance[part] = _squares(wanted[row[part]].astype(np.float64) - x[cell[part]])
    return row, cell, distance


def _votes(
    row: np.ndarray, one_hot: np.ndarray, distance: np.ndarray, margin: np.ndarray, used: int
) -> np.ndarray | None:
    """Return the votes among candidates for each class (m, K), and None where ties decide."""
    starts = np.searchsorted(row, np.arange(len(margin)))
    gap = distance - distance[np.lexsort((distance, row))][starts + used - 1][row]
    inside, level = gap < -margin[row], abs(gap) <= margin[row]
    sure, tied = (np.add.reduceat(one_hot * kept[:, None], starts) for kept in (inside, level))
    left, many = used - sure.sum(axis=1), tied.sum(axis=1)
    if not ((many == left) | (many == tied.max(axis=1))).all():
        return None
    return sure + tied * left[:, None] / many[:, None]


def _search(x: np.ndarray, label: np.ndarray, wanted: np.ndarray, used: int) -> np.ndarray | None:
    """Return the share of each class (m, K) among the nearest; None: float32 is not enough.

    Parameters
    ----------
    label : (n,) int
        0 to K - 1.
    """
    squares = _squares(x)
    reach = (np.sqrt(_squares(wanted)) + np.sqrt(squares.max())) ** 2
    if not reach.max() < np.finfo(np.float32).max / 4:  # nor is NaN
        return None
    one_hot = np.eye(label.max() + 1)
    shares = np.empty((len(wanted), len(one_hot)))
    step = max(x.shape[1] // 12, PRODUCTS // len(x))  # with their copy at most a sixth of `x`
    squares = squares.astype(np.float32)
    for first in range(0, len(wanted), step):
        block = slice(first, first + step)
        found = _candidates(x, squares, wanted[block], reach[block], used)
        if found is None:
            return None
        row, cell, distance = found
        margin = _margins(reach[block], x.shape[1], np.float64)
        votes = _votes(row, one_hot[label[cell]], distance, margin, used)
        if votes is None:
            return None
        shares[block] = votes / used
    return shares


def score_knn(
    x: np.ndarray,
    y: np.ndarray,
    wanted: np.ndarray,
    *,
    neighbours: int,
    normalised: bool = True,
) -> tuple[np.ndarray, int]:
    """Return the shares of votes among the nearest training cells, and how many vote.

    The votes are those of scikit-learn's KNeighborsClassifier. Wide embeddings in float32 are
    searched by products in float32, and distances that these do not separate are taken again
    in float64. Where cells of different labels tie for the last vote, scikit-learn scores all
    cells, in one call, for a part of them could meet another order of equals. With fewer
    training cells than neighbours all vote, and every score is the training prevalence.

    Parameters
    ----------
    normalised
        Centre embeddings on the training mean and scale them to length one (Chen et al.
        2024), else take them as they are.

    Returns
    -------
    scores : (m,) share of the second class, or (m, K)
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
        mean = x.mean(axis=0, dtype=np.float64)  # far from the origin float32 would miss it
        x, wanted = (normalize((part - mean).astype(part.dtype)) for part in (x, wanted))
    shares = None
    if x.dtype == wanted.dtype == np.float32 and x.shape[1] >= WIDE:
        shares = _search(x, np.unique(y, return_inverse=True)[1], wanted, used)
    if shares is None:
        from sklearn.neighbors import KNeighborsClassifier

        shares = KNeighborsClassifier(used).fit(x, y).predict_proba(wanted)
    return _scores(shares), used


def score_prevalence(x: np.ndarray, y: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the share of each class among the training cells whose embedding is equal.

    Where the embedding names the slide, this is what knowing the slide alone predicts.
    One pseudo-cell of the training prevalence is added to every slide; a slide without
    training cells has that prevalence.

    Returns
    -------
    (m,) share of the second class, or (m, K)

    Raises
    ------
    ProbeError
        The training cells have one class.
    """
    _check(y)
    _, label = np.unique(y, return_inverse=True)
    one_hot = np.eye(label.max() + 1)[label]
    groups, place = np.unique(np.concatenate([x, wanted]), axis=0, return_inverse=True)
    votes = np.zeros((len(groups), one_hot.shape[1]))
    np.add.at(votes, place.ravel()[: len(x)], one_hot)
    votes += one_hot.mean(axis=0)
    return _scores((votes / votes.sum(axis=1, keepdims=True))[place.ravel()[len(x) :]])
