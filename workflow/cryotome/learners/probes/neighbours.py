"""Heads without a loss: nearest neighbours, and the prevalence among equal embeddings."""

import numpy as np

from cryotome.core.errors import ProbeError


def _scores(chances: np.ndarray) -> np.ndarray:
    """Return P(second class) (m,) of two classes, else P of every class (m, K)."""
    return chances[:, 1] if chances.shape[1] == 2 else chances


def _check(y: np.ndarray) -> None:
    if len(np.unique(y)) < 2:
        raise ProbeError(
            f"All {len(y)} training rows have one label. Raise the fraction, or leave this fold "
            "out."
        )


def score_knn(
    x: np.ndarray,
    y: np.ndarray,
    wanted: np.ndarray,
    *,
    neighbours: int,
    normalised: bool = True,
) -> tuple[np.ndarray, int]:
    """Return the shares of votes among the nearest training cells, and how many vote.

    It is scikit-learn's KNeighborsClassifier as it comes, so that of training cells at
    equal distance the same ones vote; all cells are scored by one call, for a part of them
    could meet another order of equals. With fewer training cells than neighbours all vote,
    and every score is the training prevalence.

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
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.preprocessing import normalize

    _check(y)
    used = min(neighbours, len(x))
    if normalised:
        mean = x.mean(axis=0, dtype=np.float64)  # far from the origin float32 would miss it
        x, wanted = (normalize((part - mean).astype(part.dtype)) for part in (x, wanted))
    return _scores(KNeighborsClassifier(used).fit(x, y).predict_proba(wanted)), used


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
