"""Metrics of predictions of patients: per fold, over folds, and of the folds' mean score."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri

from cryotome.core.files import RunPath
from cryotome.core.metrics import auroc, average_precision, recall_per_class
from cryotome.core.qualified_names import split_qualified
from cryotome.evaluation.scores import choose_threshold
from cryotome.evaluation.statistics.clustered_auroc import auroc_interval, influence
from cryotome.learners.predictions import read_predictions

Folds = dict[int, pd.DataFrame]  # fold to a table id, role, label, score
# values of the column fold: the mean score of all folds' models; the mean AUROC over folds; the
# mean AUROC over folds of the validation patients
ENSEMBLE, ALL, VALIDATION = "mean", "all", "validation"
COLUMNS = ["fraction", "fold", "train_domain", "test_domain", "n_positive", "n_negative"]
COLUMNS += ["metric", "value", "sd", "low", "high"]


def read_folds(paths: list[Path]) -> Folds:
    """Read the predictions of the folds of one scheme, patients as text.

    Raises
    ------
    StoreError
        A file is not one of predictions, or differs from its provenance.
    """
    return {RunPath.of(path).fold: read_predictions(path, text_ids=True) for path in paths}


def measure_patients(test: pd.DataFrame, validation: pd.DataFrame) -> dict[str, float]:
    """Compute every metric of one set of patients.

    Parameters
    ----------
    test, validation
        Columns label, score. Validation patients choose the lowest score that is called
        positive, by the largest F1; with fewer than 20 it is `scores.THRESHOLD`.
    """
    label, score = test["label"].to_numpy(), test["score"].to_numpy()
    threshold = choose_threshold(validation["label"].to_numpy(), validation["score"].to_numpy())
    specificity, sensitivity = recall_per_class(label, (score >= threshold).astype(int))
    return {
        "auroc": auroc(label, score),
        "average_precision": average_precision(label, score),
        "balanced_accuracy": (specificity + sensitivity) / 2,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "brier": float(np.mean((score - label) ** 2)),
        "threshold": threshold,
    }


def with_role(table: pd.DataFrame, role: str, dataset: str | None = None) -> pd.DataFrame:
    """Return the patients of a role; of one dataset alone where `dataset` names it."""
    rows = table[table["role"] == role]
    if dataset is None:
        return rows
    return rows[[split_qualified(name)[0] == dataset for name in rows["id"]]]


def mean_over_folds(folds: Folds, external: str | None = None) -> pd.DataFrame:
    """Return the external patients with their mean score over folds, and all validation patients.

    `external` names one of several external cohorts. A patient who is in the validation set of
    several folds is listed once for each, to choose the threshold.
    """
    tables = list(folds.values())
    tested = pd.concat([with_role(table, "external", external) for table in tables])
    mean = tested.groupby(["id", "role", "label"], as_index=False)["score"].mean()
    return pd.concat([mean, *(with_role(table, "validation") for table in tables)])


def score_cohort(folds: Folds, *, cohort: str, external: list[str]) -> pd.DataFrame:
    """Score every fold's model on its test patients and on every external cohort.

    Returns
    -------
    data frame fraction, fold, train_domain, test_domain, n_positive, n_negative, metric,
    value, sd, low, high
        `fold` is a number, `mean` for the mean score of all folds on an external cohort, `all`
        for the mean AUROC over folds (with its population SD), `validation` for that of the
        validation patients; low, high: the 95 % interval of an AUROC over patients.
    """
    sets = [(str(fold), cohort, table, "test") for fold, table in folds.items()]
    for other in external:
        sets += [(str(fold), other, table, "external") for fold, table in folds.items()]
        sets += [(ENSEMBLE, other, mean_over_folds(folds, other), "external")]
    rows = []
    for fold, domain, table, role in sets:
        tested = with_role(table, role, domain)
        counts = [int((tested["label"] == label).sum()) for label in (1, 0)]
        for metric, value in measure_patients(tested, with_role(table, "validation")).items():
            span = patient_interval([tested]) if metric == "auroc" else (np.nan, np.nan)
            rows.append(("1.0", fold, cohort, domain, *counts, metric, value, np.nan, *span))
    table = pd.DataFrame(rows, columns=COLUMNS)
    return pd.concat([table, _over_folds(folds, cohort, external)], ignore_index=True)


def _over_folds(folds: Folds, cohort: str, external: list[str]) -> pd.DataFrame:
    """Return the lines of means over folds, with the columns of `score_cohort`."""
    sets = [(ALL, cohort, "test"), *((ALL, other, "external") for other in external)]
    sets += [(VALIDATION, cohort, "validation")]
    summary = pd.DataFrame(
        _summary([with_role(table, role, domain) for table in folds.values()])
        for _, domain, role in sets
    )
    lines = summary.rename(columns={"mean": "value"}).assign(
        fraction="1.0",
        fold=[fold for fold, _, _ in sets],
        train_domain=cohort,
        test_domain=[domain for _, domain, _ in sets],
        metric="auroc",
    )
    counts = ["n_positive", "n_negative"]
    return lines.astype(dict.fromkeys(counts, int))[COLUMNS]


def patient_interval(tables: list[pd.DataFrame], level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a mean AUROC over patients, the models taken as trained.

    Each patient's contributions to the AUROC of all tables are summed before they are squared
    (`clustered_auroc.influence`, every patient a cluster), so that a patient scored by five
    models counts once, and patients of different folds count separately. Where every positive
    outscores every negative all contributions are zero, and the interval is Newcombe's
    (`newcombe_interval`), of the largest table's patients, or of all where none is shared.

    Parameters
    ----------
    tables
        Columns id, label, score: the test patients of each fold, or the external patients
        as each fold's model scores them.

    Returns
    -------
    (low, high), NaN where no table holds both classes
    """
    known = [table for table in tables if table["label"].nunique() == 2]
    if not known:
        return float("nan"), float("nan")
    people = {name: place for place, name in enumerate(pd.concat(known)["id"].unique())}
    found = influence(
        [table["id"].map(people).to_numpy() for table in known],
        [table["label"].to_numpy() for table in known],
        [table["score"].to_numpy() for table in known],
        len(people),
    )
    if 0 < found.auroc < 1:
        return auroc_interval(found.auroc, found.error, freedom=found.freedom, level=level)
    shared = len(people) < sum(map(len, known))
    sizes = [((t["label"] == 1).sum(), (t["label"] == 0).sum()) for t in known]
    return newcombe_interval(found.auroc, [max(sizes)] if shared else sizes, level=level)


def newcombe_interval(
    value: float, sizes: list[tuple[int, int]], level: float = 0.95
) -> tuple[float, float]:
    """Return the interval of a mean AUROC by Newcombe's method 5, defined at an AUROC of 1 too.

    Newcombe 2006, Statistics in Medicine 25, 559-573: all AUROCs whose distance to the one
    found is at most z times their own standard error, with the variance of Hanley and McNeil
    where (m + n) / 2 replaces both m and n.

    Parameters
    ----------
    value
        The mean over sets of different patients.
    sizes
        Positives and negatives of each set.

    >>> [round(float(end), 3) for end in newcombe_interval(1.0, [(10, 20)])]
    [0.849, 1.0]
    """
    z = ndtri((1 + level) / 2)

    def beyond(other: float) -> float:
        shape = (1 - other) / (2 - other) + other / (1 + other)
        each = [(1 + ((m + n) / 2 - 1) * shape) / (m * n) for m, n in sizes]
        return abs(value - other) - z * np.sqrt(other * (1 - other) * sum(each)) / len(sizes)

    tiny = 1e-12
    low = brentq(beyond, tiny, min(value, 1 - tiny)) if value > 0 else 0.0
    high = brentq(beyond, max(value, tiny), 1 - tiny) if value < 1 else 1.0
    return float(low), float(high)


def _summary(tables: list[pd.DataFrame]) -> dict[str, float]:
    """Return the mean AUROC over folds, its population SD, its interval, and the patients.

    The SD divides by the number of folds, as in HistoBistro's utils.py; NaN with one fold.
    """
    values = [auroc(table["label"].to_numpy(), table["score"].to_numpy()) for table in tables]
    people = pd.concat(tables).drop_duplicates("id")["label"]
    low, high = patient_interval(tables)
    return {
        "mean": float(np.mean(values)),
        "sd": float(np.std(values)) if len(values) > 1 else float("nan"),
        "low": low,
        "high": high,
        "n_positive": int((people == 1).sum()),
        "n_negative": int((people == 0).sum()),
    }
