"""Metrics of predictions of cells, per fraction, fold and test domain."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from cryotome.core.metrics import (
    auroc,
    average_precision,
    calibration_error,
    f1_per_class,
    precision_recall,
    recall_per_class,
)
from cryotome.evaluation.statistics.slide_pairs import auroc_within

Measure = Callable[[pd.DataFrame, pd.DataFrame], dict[str, float]]

# The lowest score that is called positive unless validation chooses another: the next float above
# 0.5. At 0.5 itself, as with 10 of 20 votes, the classes tie, and ties go to the first class, as
# in scikit-learn and with more classes.
THRESHOLD = np.nextafter(0.5, 1)
MIN_VALIDATION_CELLS = 20  # to choose a threshold; 0.1 % of MIDOG 2022 has 4


def choose_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """Return the lowest score that is called positive: that of the largest F1 on validation.

    `THRESHOLD` where validation has fewer than 20 cells, or one class only.
    """
    if len(label) < MIN_VALIDATION_CELLS or len(np.unique(label)) < 2:
        return float(THRESHOLD)
    precision, recall, thresholds = precision_recall(label, score)
    with np.errstate(invalid="ignore"):
        f1 = 2 * precision * recall / (precision + recall)
    return float(thresholds[np.nanargmax(f1)])


def measure_auroc(test: pd.DataFrame, validation: pd.DataFrame) -> dict[str, float]:
    """Compute the AUROC alone, with the arguments of `measure_scores`."""
    return {"auroc": auroc(test["label"].to_numpy(), test["score"].to_numpy())}


def measure_scores(test: pd.DataFrame, validation: pd.DataFrame) -> dict[str, float]:
    """Compute every metric of one set of test cells.

    Parameters
    ----------
    test
        Columns slide, label, score (P of label 1).
    validation
        The validation cells of the fold. They choose the threshold of the metrics named
        `..._at_validation`; all others use `THRESHOLD`.

    Returns
    -------
    metric to value; NaN where a class is missing and the metric needs both
    """
    label, score = test["label"].to_numpy(), test["score"].to_numpy()
    threshold = choose_threshold(validation["label"].to_numpy(), validation["score"].to_numpy())
    cells = np.bincount(label, minlength=2)
    called, chosen = (score >= THRESHOLD).astype(int), (score >= threshold).astype(int)
    values = {
        **measure_auroc(test, validation),
        "auroc_within_slide": auroc_within(test["slide"].to_numpy(), label, score),
        "f1_weighted": np.average(f1_per_class(label, called), weights=cells),
        "f1_at_validation": f1_per_class(label, chosen)[1],
        "brier": float(np.mean((score - label) ** 2)),
        "ece": calibration_error(label, score),
        "threshold": threshold,
    }
    return values | {
        "average_precision": average_precision(label, score),
        "balanced_accuracy": recall_per_class(label, called).mean(),
        "sensitivity_at_validation": recall_per_class(label, chosen)[1],
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
        Function of the test and the validation cells of a fold, to metric and value.

    Returns
    -------
    data frame with columns fraction, fold, train_domain, test_domain, n_positive,
    n_negative, metric, value
    """
    rows = []
    of_cell = cells.set_index("id")[["slide", "domain"]]
    for (fraction, fold), table in predictions.items():
        validation = table[table["role"] == "validation"]
        test = table[table["role"] == "test"].join(of_cell, on="id")
        whole = [("all", test)] if train_domain == "all" else []
        for name, part in whole + list(test.groupby("domain")):
            counts = (int((part["label"] == 1).sum()), int((part["label"] == 0).sum()))
            place = (fraction, fold, train_domain, name, *counts)
            rows += [(*place, *value) for value in measure(part, validation).items()]
    columns = ["fraction", "fold", "train_domain", "test_domain", "n_positive", "n_negative"]
    return pd.DataFrame(rows, columns=[*columns, "metric", "value"])
