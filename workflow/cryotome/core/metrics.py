"""Metrics of labels and scores of two classes: AUROC, average precision, F1, calibration error.

All but the calibration error are those of scikit-learn, as the tests show. They are written here
because importing sklearn.metrics takes 1.5 s of CPU time, more than the jobs that score take.
"""

import numpy as np
import pandas as pd

CALIBRATION_BINS = 15  # of equal width


def average_ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value from 1, (n,) float; equal values share their mean rank."""
    return pd.Series(values).rank().to_numpy()


def auroc(label: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counted half; NaN where a class is missing.

    >>> auroc(np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.4]))
    0.875
    """
    positive = label == 1
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    ranks = average_ranks(score)[positive].sum()
    return float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def calibration_bins(score: np.ndarray) -> np.ndarray:
    """Return the bin of each score, 15 of equal width, each with its upper end.

    >>> calibration_bins(np.array([0.0, 1 / 15, 0.07, 1.0])).tolist()
    [0, 0, 1, 14]
    """
    bins = np.ceil(score * CALIBRATION_BINS) - 1
    return np.clip(bins, 0, CALIBRATION_BINS - 1).astype(int)


def calibration_error(label: np.ndarray, score: np.ndarray) -> float:
    """Return the expected calibration error of P(positive), 15 bins of equal width.

    Each bin holds its upper end. Per bin, the absolute difference of the
    fraction of positives and the mean score, weighted by the bin's number of cells.

    >>> round(calibration_error(np.array([0, 1, 1, 1]), np.array([0.5, 0.5, 0.9, 0.9])), 3)
    0.05
    """
    gap = np.bincount(calibration_bins(score), label - score, CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(label))


def precision_recall(
    label: np.ndarray, score: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision and recall at each threshold, and the thresholds, ascending.

    Each distinct score is a threshold. At least one cell must be positive.

    >>> precision_recall(np.array([0, 1, 1]), np.array([0.2, 0.2, 0.9]))[:2]
    (array([0.66666667, 1.        ]), array([1. , 0.5]))
    """
    thresholds, place = np.unique(score, return_inverse=True)
    called = np.bincount(place)[::-1].cumsum()[::-1]
    hits = np.bincount(place, label)[::-1].cumsum()[::-1]
    return hits / called, hits / hits[0], thresholds


def average_precision(label: np.ndarray, score: np.ndarray) -> float:
    """Return the step-wise area under the precision-recall curve; NaN where a class is missing.

    >>> average_precision(np.array([0, 1, 1]), np.array([0.3, 0.2, 0.9]))
    0.8333333333333333
    """
    if len(np.unique(label)) < 2:
        return float("nan")
    precision, recall, _ = precision_recall(label, score)
    return float(-np.sum(np.diff(recall, append=0.0) * precision))


def recall_per_class(label: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return specificity and sensitivity, (2,); NaN where the class has no cell."""
    right, cells = np.bincount(label[label == called], minlength=2), np.bincount(label, minlength=2)
    return np.divide(right, cells, out=np.full(2, np.nan), where=cells > 0)


def f1_per_class(label: np.ndarray, called: np.ndarray) -> np.ndarray:
    """Return F1 of the negatives and of the positives; 0 of a class absent from label and called.

    >>> f1_per_class(np.array([0, 1, 1]), np.array([0, 0, 1]))
    array([0.66666667, 0.66666667])
    """
    right = np.bincount(label[label == called], minlength=2)
    both = np.bincount(label, minlength=2) + np.bincount(called, minlength=2)
    return np.divide(2 * right, both, out=np.zeros(2), where=both > 0)
