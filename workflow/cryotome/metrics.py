"""AUROC, its spread over folds, and its interval over slides."""

import warnings

import numpy as np
import pandas as pd


def auroc(label: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half; NaN where a class is missing.

    >>> auroc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.4]))
    0.875
    """
    positive = label == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    ranks = pd.Series(score).rank().to_numpy()[positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def weighted_auroc(label: np.ndarray, score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the AUROC under many weightings of the same cells.

    Parameters
    ----------
    label, score : (n,)
    weight : (draws, n) non-negative
        How often each cell counts in each draw.

    Returns
    -------
    (draws,) float64, NaN where a draw has one class only
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])  # groups of equal scores
    weight = weight[:, order].astype(np.float64)
    up = np.add.reduceat(weight * (label[order] == 1), starts, axis=1)
    down = np.add.reduceat(weight * (label[order] == 0), starts, axis=1)
    below = np.cumsum(down, axis=1) - down
    with np.errstate(invalid="ignore"):
        return (up * (below + down / 2)).sum(axis=1) / (up.sum(axis=1) * down.sum(axis=1))


def bootstrap_aurocs(
    folds: list[pd.DataFrame], scores: list[str], *, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Resample slides and return the mean AUROC over folds of every score, per draw.

    A slide drawn twice counts twice in every fold that tests it, so that cells of one
    slide stay together (slide-clustered bootstrap) and rows are compared pair by pair.

    Parameters
    ----------
    folds
        Test cells of each fold: slide, label, and one column per name in `scores`.

    Returns
    -------
    data frame (draws, scores)
    """
    rng = np.random.default_rng(seed)
    slides = np.unique(np.concatenate([fold["slide"].to_numpy(dtype=str) for fold in folds]))
    counts = rng.multinomial(len(slides), np.full(len(slides), 1 / len(slides)), size=draws)
    per_fold = []
    for fold in folds:
        place = np.searchsorted(slides, fold["slide"].to_numpy(dtype=str))
        weight = counts[:, place].astype(np.float32)
        label = fold["label"].to_numpy()
        per_fold.append([weighted_auroc(label, fold[name].to_numpy(), weight) for name in scores])
    with warnings.catch_warnings():  # a draw without one class in every fold stays NaN
        warnings.simplefilter("ignore", RuntimeWarning)
        return pd.DataFrame(np.nanmean(np.array(per_fold), axis=0).T, columns=scores)


def interval(draws: pd.Series, level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval of bootstrap draws."""
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def score_folds(
    predictions: dict[tuple[str, int], pd.DataFrame], cells: pd.DataFrame, *, train_domain: str
) -> pd.DataFrame:
    """Score test predictions per fraction, fold and test domain.

    Parameters
    ----------
    predictions
        (fraction, fold) to a table id, role, label, score.
    cells
        Columns id, domain.
    train_domain
        The domain trained on, `except_{domain}`, or `all`; with `all`, a line with test
        domain `all` is added.

    Returns
    -------
    data frame with columns fraction, fold, train_domain, test_domain, n_positive,
    n_negative, metric, value
    """
    rows = []
    domain_of = cells.set_index("id")["domain"]
    for (fraction, fold), table in predictions.items():
        test = table[table["role"] == "test"]
        domain = domain_of[test["id"]].to_numpy()
        names = sorted(set(domain))
        parts = [("all", np.full(len(test), True))] if train_domain == "all" else []
        for name, part in parts + [(name, domain == name) for name in names]:
            label = test["label"].to_numpy()[part]
            value = auroc(label, test["score"].to_numpy()[part])
            counts = (int((label == 1).sum()), int((label == 0).sum()))
            rows.append((fraction, fold, train_domain, name, *counts, "auroc", value))
    columns = ["fraction", "fold", "train_domain", "test_domain", "n_positive", "n_negative"]
    return pd.DataFrame(rows, columns=[*columns, "metric", "value"])
