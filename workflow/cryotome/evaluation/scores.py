"""What a file of predictions is worth: AUROC, precision, calibration, per fold and domain."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from cryotome.evaluation.statistics.slide_pairs import auroc_within

Measure = Callable[[pd.DataFrame, pd.DataFrame], dict[str, float]]

# The score from which on a cell is called positive unless validation chooses another: the least
# above 0.5. At 0.5 itself, as of 10 in 20 votes, the classes tie, and ties go to the first class,
# as in scikit-learn and where there are more classes.
THRESHOLD = np.nextafter(0.5, 1)
ENOUGH = 20  # validation cells that may choose a threshold; at 0.1 % of MIDOG 2022 there are 4
BINS = 15  # of the calibration error, equally wide


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


def calibration_error(label: np.ndarray, score: np.ndarray) -> float:
    """Return the expected calibration error of P(positive), 15 bins of equal width.

    Each bin holds its upper end. Per bin, the share of positives less the mean score,
    absolute, weighted by the bin's cells.

    >>> round(calibration_error(np.array([0, 1, 1, 1]), np.array([0.5, 0.5, 0.9, 0.9])), 3)
    0.05
    """
    place = np.clip(np.ceil(score * BINS) - 1, 0, BINS - 1).astype(int)
    gap = np.bincount(place, label - score, BINS)
    return float(np.abs(gap).sum() / len(label))


def precision_recall(
    label: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall of the cells from each score on, and the scores, ascending.

    Some cell must be positive.

    >>> precision_recall(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))[:2]
    (array([0.66666667, 1.        ]), array([1. , 0.5]))
    """
    thresholds, place = np.unique(score, return_inverse=True)
    called = np.bincount(place)[::-1].cumsum()[::-1]
    hits = np.bincount(place, label)[::-1].cumsum()[::-1]
    return hits / called, hits / hits[0], thresholds


def average_precision(label: np.ndarray, score: np.ndarray) -> float:
    """Return the area of the steps under precision over recall; NaN where a class is missing.

    >>> average_precision(np.array([0, 1, 1]), np.array([0.3, 0.2, 0.9]))
    0.8333333333333333
    """
    if len(np.unique(label)) < 2:
        return float("nan")
    precision, recall, _ = precision_recall(label, score)
    return float(-np.sum(np.diff(recall, append=0.0) * precision))


def recalls(label: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return the share of the negatives, and of the positives, that is called so; NaN of none."""
    right, cells = np.bincount(label[label == called], minlength=2), np.bincount(label, minlength=2)
    return np.divide(right, cells, out=np.full(2, np.nan), where=cells > 0)


def f1_scores(label: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return F1 of the negatives and of the positives; 0 where there is none and none is called.

    >>> f1_scores(np.array([0, 1, 1]), np.array([0, 0, 1]))
    array([0.66666667, 0.66666667])
    """
    right = np.bincount(label[label == called], minlength=2)
    both = np.bincount(label, minlength=2) + np.bincount(called, minlength=2)
    return np.divide(2 * right, both, out=np.zeros(2), where=both > 0)


def choose_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """Return the score from which on cells are called positive: the largest F1 on validation.

    `THRESHOLD` where validation has fewer than 20 cells, or one class only.
    """
    if len(label) < ENOUGH or len(np.unique(label)) < 2:
        return float(THRESHOLD)
    precision, recall, thresholds = precision_recall(label, score)
    with np.errstate(invalid="ignore"):
        f1 = 2 * precision * recall / (precision + recall)
    return float(thresholds[np.nanargmax(f1)])


def measure_auroc(test: pd.DataFrame, watched: pd.DataFrame) -> dict[str, float]:
    """Compute the AUROC alone, as `measure_scores` gives it among others."""
    return {"auroc": auroc(test["label"].to_numpy(), test["score"].to_numpy())}


def measure_scores(test: pd.DataFrame, watched: pd.DataFrame) -> dict[str, float]:
    """Compute every metric of one set of test cells.

    Parameters
    ----------
    test
        Columns slide, label, score (P of label 1).
    watched
        The validation cells of the fold. They choose the threshold of the metrics that are
        named `..._at_validation`; all others that need one take `THRESHOLD`.

    Returns
    -------
    metric to value; NaN where a class is missing and the metric needs both
    """
    label, score = test["label"].to_numpy(), test["score"].to_numpy()
    threshold = choose_threshold(watched["label"].to_numpy(), watched["score"].to_numpy())
    cells = np.bincount(label, minlength=2)
    called, chosen = (score >= THRESHOLD).astype(int), (score >= threshold).astype(int)
    values = {
        **measure_auroc(test, watched),
        "auroc_within_slide": auroc_within(test["slide"].to_numpy(), label, score),
        "f1_weighted": np.average(f1_scores(label, called), weights=cells),
        "f1_at_validation": f1_scores(label, chosen)[1],
        "brier": float(np.mean((score - label) ** 2)),
        "ece": calibration_error(label, score),
        "threshold": threshold,
    }
    return values | {
        "average_precision": average_precision(label, score),
        "balanced_accuracy": recalls(label, called).mean(),
        "sensitivity_at_validation": recalls(label, chosen)[1],
    }


def score_folds(
    predictions: dict[tuple[str, int], pd.DataFrame],
    cells: pd.DataFrame,
    *,
    train_domain: str,
    measure: Measure = measure_scores,
) -> pd.DataFrame:
    """Score test predictions per fraction, fold and test domain.

    Parameters
    ----------
    predictions
        (fraction, fold) to a table id, role, label, score.
    cells
        Columns id, slide, domain.
    train_domain
        The domain trained on, `except_{domain}`, or `all`; with `all`, lines with test
        domain `all` are added.
    measure
        From the test and the validation cells of a fold to metric and value.

    Returns
    -------
    data frame with columns fraction, fold, train_domain, test_domain, n_positive,
    n_negative, metric, value
    """
    rows = []
    of_cell = cells.set_index("id")[["slide", "domain"]]
    for (fraction, fold), table in predictions.items():
        watched = table[table["role"] == "validation"]
        test = table[table["role"] == "test"].join(of_cell, on="id")
        whole = [("all", test)] if train_domain == "all" else []
        for name, part in whole + list(test.groupby("domain")):
            counts = (int((part["label"] == 1).sum()), int((part["label"] == 0).sum()))
            place = (fraction, fold, train_domain, name, *counts)
            rows += [(*place, *value) for value in measure(part, watched).items()]
    columns = ["fraction", "fold", "train_domain", "test_domain", "n_positive", "n_negative"]
    return pd.DataFrame(rows, columns=[*columns, "metric", "value"])
