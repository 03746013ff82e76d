"""Binary metrics of labels and scores: AUROC, average precision, F1, calibration error."""

import numpy as np
import pandas as pd

BINS = 15  # number, of the calibration error, of equal width


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

    A bin includes its upper end. It adds the absolute difference between fraction of positives
    and mean score, weighted by its cells.

    >>> round(calibration_error(np.array([0, 1, 1, 1]), np.array([0.5, 0.5, 0.9, 0.9])), 3)
    0.05
    """
    place = np.clip(np.ceil(score * BINS) - 1, 0, BINS - 1).astype(int)
    gap = np.bincount(place, label - score, BINS)
    return float(np.abs(gap).sum() / len(label))


def precision_recall(
    label: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall at each distinct score as threshold, and the scores, ascending.

    Some cell must be positive.

    >>> precision_recall(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))[:2]
    (array([0.66666667, 1.        ]), array([1. , 0.5]))
    """
    thresholds, place = np.unique(score, return_inverse=True)
    called = np.bincount(place)[::-1].cumsum()[::-1]
    hits = np.bincount(place, label)[::-1].cumsum()[::-1]
    return hits / called, hits / hits[0], thresholds


def average_precision(label: np.ndarray, score: np.ndarray) -> float:
    """Return the average precision (step-wise, as scikit-learn); NaN where a class is missing.

    >>> average_precision(np.array([0, 1, 1]), np.array([0.3, 0.2, 0.9]))
    0.8333333333333333
    """
    if len(np.unique(label)) < 2:
        return float("nan")
    precision, recall, _ = precision_recall(label, score)
    return float(-np.sum(np.diff(recall, append=0.0) * precision))


def recalls(label: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return the recall of the negatives and of the positives; NaN where there are none."""
    right, cells = np.bincount(label[label == called], minlength=2), np.bincount(label, minlength=2)
    return np.divide(right, cells, out=np.full(2, np.nan), where=cells > 0)


def f1_scores(label: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return F1 of the negatives and of the positives; 0 where none exists and none is predicted.

    >>> f1_scores(np.array([0, 1, 1]), np.array([0, 0, 1]))
    array([0.66666667, 0.66666667])
    """
    right = np.bincount(label[label == called], minlength=2)
    both = np.bincount(label, minlength=2) + np.bincount(called, minlength=2)
    return np.divide(2 * right, both, out=np.zeros(2), where=both > 0)
