"""A published test set: a study's rows, and what others published of the same cells.

Every fold has a model of its own and all are tested on the same cells, so that the SD over folds
is one over models. The intervals are over slides.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.files import RunPath, sha256
from cryotome.core.metrics import auroc, recall_per_class
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.measured import LONG
from cryotome.evaluation.scores import THRESHOLD
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.slide_pairs import resample_slides
from cryotome.learners.predictions import read_predictions
from cryotome.study.facts import RowFacts

OURS, THEIRS = "this study", "published"
BALANCED, CHOSEN = "balanced_accuracy", "balanced_accuracy_at_validation"
QUANTITIES = ["auroc", BALANCED, CHOSEN]
KEYS = ["dataset", "scheme", "whose", "model", "head"]
PARTS = ["", "_sd", "_low", "_high"]
COLUMNS = [*KEYS, "models", *[f"{name}{part}" for name in QUANTITIES for part in PARTS]]
COLUMNS += ["note", "source"]


def balanced_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """Return the lowest score called positive at the largest balanced accuracy on these cells.

    `THRESHOLD` where they are of one class. Of equal maxima the lowest is taken.

    >>> balanced_threshold(np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.1, 0.3]))
    0.3
    """
    if len(np.unique(label)) < 2:
        return float(THRESHOLD)
    at = np.unique(score)
    negatives, positives = (np.sort(score[label == one]) for one in (0, 1))
    refused = np.searchsorted(negatives, at) / len(negatives)
    found = 1 - np.searchsorted(positives, at) / len(positives)
    return float(at[np.argmax(refused + found)])


def resample_balanced_accuracy(
    folds: list[pd.DataFrame], thresholds: list[float], draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the balanced accuracy of each fold, and its mean for each draw of slides.

    Parameters
    ----------
    folds
        Columns slide, label, score; of the same slides.
    thresholds
        Of each fold, the lowest score that is called positive.

    Returns
    -------
    values : (folds,) float64
    resampled : (draws,) float64, NaN where a class is missing in a draw
    """
    slides = np.unique(np.concatenate([table["slide"].to_numpy(dtype=str) for table in folds]))
    counts, values, means = resample_slides(len(slides), draws=draws, seed=0), [], []
    for table, threshold in zip(folds, thresholds, strict=True):
        label = table["label"].to_numpy()
        called = (table["score"].to_numpy() >= threshold).astype(int)
        at = np.searchsorted(slides, table["slide"].to_numpy(dtype=str))
        recalls = []
        for one in (0, 1):
            cells = np.bincount(at[label == one], minlength=len(slides))
            right = np.bincount(at[(label == one) & (called == one)], minlength=len(slides))
            with np.errstate(invalid="ignore", divide="ignore"):
                recalls.append((counts @ right) / (counts @ cells))
        values.append(recall_per_class(label, called).mean())
        means.append(np.mean(recalls, axis=0))
    return np.array(values), np.mean(means, axis=0)


def _measure_row(folds: list[tuple[pd.DataFrame, pd.DataFrame]], draws: int) -> Card:
    """Return the quantities of a row but the interval of its AUROC; test and validation cells."""
    tests = [test for test, _ in folds]
    values = [auroc(t["label"].to_numpy(), t["score"].to_numpy()) for t in tests]
    line: Card = {"models": len(folds), "auroc": np.mean(values), "auroc_sd": np.std(values)}
    chosen = [balanced_threshold(v["label"].to_numpy(), v["score"].to_numpy()) for _, v in folds]
    for name, thresholds in ((BALANCED, [float(THRESHOLD)] * len(folds)), (CHOSEN, chosen)):
        each, resampled = resample_balanced_accuracy(tests, thresholds, draws)
        low, high = quantiles(resampled)
        line |= {name: each.mean(), f"{name}_sd": each.std()}
        line |= {f"{name}_low": low, f"{name}_high": high}
    return line


def measure_rows(
    cells: list[Path], predictions: list[Path], intervals: Path, facts: RowFacts
) -> pd.DataFrame:
    """Measure every row on the published test sets of a study.

    Parameters
    ----------
    cells
        Tables of cells, each named as its dataset.
    predictions
        Every row and fold of these datasets at one fraction; their paths carry the keys.
    intervals
        The study's intervals.csv, for the intervals of AUROC.

    Returns
    -------
    data frame with `COLUMNS`; SDs are population SDs over the folds' models
    """
    slides = {path.stem: load_cells(path).set_index("id")["slide"] for path in cells}
    of = {path.stem: sha256(path) for path in cells}
    folds: dict[tuple, list] = {}
    for path in predictions:
        run = RunPath.of(path)
        table = read_predictions(path, cells_sha256=of[run.dataset])
        table = table.assign(slide=table["id"].map(slides[run.dataset]))
        test, validation = (table[table["role"] == role] for role in ("test", "validation"))
        key = (run.dataset, run.scheme, run.model, run.head)
        folds.setdefault(key, []).append((test, validation))
    ends = read_csv(intervals)
    ends = ends[ends["tested"] == "all"].set_index(["dataset", "scheme", "row"])
    lines = []
    for (dataset, scheme, model, head), parts in folds.items():
        line: Card = {"dataset": dataset, "scheme": scheme, "whose": OURS}
        line |= {"model": model, "head": head}
        line |= _measure_row(parts, facts.statistics.draws)
        known = ends.loc[[(dataset, scheme, f"{model} + {head}")]].iloc[-1]
        lines.append(line | {"auroc_low": known["low"], "auroc_high": known["high"]})
    return pd.DataFrame(lines, columns=COLUMNS)


def rows_published(published: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Return the published numbers of the same test sets, a line a model and head.

    Parameters
    ----------
    published
        From `read_published`.
    measured
        From `measure_rows`: its datasets and schemes are taken.

    Returns
    -------
    data frame with `COLUMNS`
    """
    mine = published.merge(measured[["dataset", "scheme"]].drop_duplicates())
    lines = []
    for key, part in mine.groupby(["dataset", "scheme", "model", "head"], sort=False):
        first = part.iloc[0]
        line: Card = dict(zip(["dataset", "scheme", "model", "head"], key, strict=True))  # type: ignore[arg-type]
        line |= {"whose": THEIRS, "note": first["note"], "source": first["source"]}
        line["models"] = pd.to_numeric(first["folds"])
        for name, value, sd in zip(part["quantity"], part["value"], part["sd"], strict=True):
            line |= {name: pd.to_numeric(value), f"{name}_sd": pd.to_numeric(sd)}
        lines.append(line)
    return pd.DataFrame(lines, columns=COLUMNS)


def benchmark(measured: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return both in one table, the highest AUROC of a test set first."""
    both = [part for part in (measured, rows_published(published, measured)) if len(part)]
    table = pd.concat(both or [measured], ignore_index=True)
    order = ["dataset", "scheme", "auroc"]
    return table.sort_values(order, ascending=[True, True, False], ignore_index=True)


def read_benchmark(path: Path) -> pd.DataFrame:
    """Read a study's own balanced accuracies, with the columns of `measured.read_summaries`."""
    table = read_csv(path)
    table = table[table["whose"] == OURS]
    names = {BALANCED: "value", f"{BALANCED}_sd": "sd"}
    names |= {f"{BALANCED}_low": "low", f"{BALANCED}_high": "high"}
    table = table.rename(columns=names).assign(quantity=BALANCED, fraction=1.0)
    return table.reindex(columns=LONG)
