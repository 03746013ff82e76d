"""Every metric of every row with its interval over slides: the table behind "All metrics"."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cryotome.evaluation.clinical.calibration import (
    cached_resamples,
    calibration_interval,
    slide_mean,
)
from cryotome.evaluation.clinical.operating_points import DRAWS
from cryotome.evaluation.scores import THRESHOLD
from cryotome.evaluation.statistics.clustered_auroc import auroc_interval
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import SETTING, Rows
from cryotome.evaluation.statistics.slide_pairs import CHUNK_VALUES

# of the operating point whose sensitivity is given; the threshold is chosen on the test cells
SPECIFICITY = 0.9
COUNTED = ("average_precision", "balanced_accuracy", "f1_weighted", "sensitivity_at_specificity")
COLUMNS = [*SETTING, "row", "metric", "value", "low", "high"]
Span = tuple[float, float, float]


def measure_counts(hits: np.ndarray, false: np.ndarray, called: int) -> dict[str, np.ndarray]:
    """Compute metrics from cumulated weights of cells, the highest score first.

    Parameters
    ----------
    hits, false : (draws, t) float
        Weight of the positives, of the negatives, at or above each of t thresholds; the last is
        the lowest score.
    called : 0 .. t
        How many thresholds are `THRESHOLD` or higher.

    Returns
    -------
    metric of `COUNTED` to (draws,); NaN where a draw has no cell of a class
    """
    zero = np.zeros((len(hits), 1))
    hits, false = (np.hstack([zero, side]).astype(float) for side in (hits, false))
    positive, negative = hits[:, -1], false[:, -1]
    up, down = hits[:, called], false[:, called]
    allowed = (1 - SPECIFICITY) * negative * (1 + 1e-9)  # tolerant of rounding
    last = (false <= allowed[:, None]).sum(axis=1) - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.diff(hits) * (hits / (hits + false))[:, 1:]
        right = negative - down
        f1 = 2 * up / (positive + up + down), 2 * right / (2 * negative - down + positive - up)
        both = np.where((positive > 0) & (negative > 0), 1.0, np.nan)
        return {
            "average_precision": both * np.nansum(steps, axis=1) / positive,
            "balanced_accuracy": (up / positive + right / negative) / 2,
            "f1_weighted": both * (positive * f1[0] + negative * f1[1]) / (positive + negative),
            "sensitivity_at_specificity": both * hits[np.arange(len(hits)), last] / positive,
        }


def draw_metrics(
    place: np.ndarray, label: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute the metrics of one part in each draw of slides.

    Parameters
    ----------
    place, label, score : (n,)
        The slide of each cell as 0 .. slides - 1, 0 or 1, P of label 1.
    weights : (draws, slides)
        How often each draw has each slide.

    Returns
    -------
    metric of `COUNTED` to (draws,)
    """
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.nan) != 0)
    called = int((score[order][ends] >= THRESHOLD).sum())
    positive, step = label[order] == 1, max(1, CHUNK_VALUES // len(order))
    found = []
    for begun in range(0, len(weights), step):
        cells = weights[begun : begun + step, place[order]]
        sides = (np.where(side, cells, 0) for side in (positive, ~positive))
        hits, false = (np.cumsum(side, axis=1, dtype=np.float32)[:, ends] for side in sides)
        found.append(measure_counts(hits, false, called))
    return {name: np.concatenate([one[name] for one in found]) for name in COUNTED}


def _mean_of_parts(values: list[np.ndarray]) -> np.ndarray:
    """Return the mean over the parts in which a metric is defined, of each draw."""
    table = np.array(values)
    known = np.isfinite(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(known, table, 0).sum(axis=0) / known.sum(axis=0)


def _spans(rows: Rows) -> Iterator[tuple[str, str, Span]]:
    """Yield row, metric and its value with interval."""
    slides, parts = rows.slides, rows.scores.parts
    places = [np.searchsorted(slides, part["slide"].to_numpy(dtype=str)) for part in parts]
    drawn = np.concatenate(cached_resamples(len(slides), draws=DRAWS, seed=0))
    weights = np.vstack([np.ones(len(slides)), drawn]).astype(np.float32)  # each slide once first
    labels = [part["label"].to_numpy() for part in parts]
    label, place = np.concatenate(labels), np.concatenate(places)
    for row, known in rows.influences.items():
        how = {"freedom": known.freedom}
        yield row, "auroc", (known.auroc, *auroc_interval(known.auroc, known.error, **how))
        scores = [part[row].to_numpy() for part in parts]
        triples = zip(places, labels, scores, strict=True)
        of_parts = [draw_metrics(*cells, weights) for cells in triples]
        for name in COUNTED:
            values = _mean_of_parts([one[name] for one in of_parts])
            error = np.nan if known.single_cluster else float(np.nanstd(values[1:]))
            yield row, name, (values[0], *auroc_interval(float(values[0]), error, **how))
        score = np.concatenate(scores)
        yield row, "brier", slide_mean((score - label) ** 2, place)
        yield row, "ece", calibration_interval(label, score, place, DRAWS)


def metric_intervals(settings: dict[Setting, Rows]) -> pd.DataFrame:
    """Give every row each metric with its 95 % interval, trained on the largest fraction.

    AUROC and its interval are those of `intervals`. Average precision, balanced accuracy and
    weighted F1 (from 0.5 a cell is called positive), and sensitivity at a specificity of
    `SPECIFICITY` are means over parts; their intervals take the SD over draws of slides, on the
    logit scale, by Student's t. Brier score and expected calibration error are of all tested
    cells together, as `summarise_calibration` has them.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, metric, value, low, high;
    NaN where a class is missing, or no interval can be given
    """
    largest: dict[tuple[str, str], float] = {}
    for dataset, scheme, fraction, _ in settings:
        known = largest.get((dataset, scheme), 0.0)
        largest[dataset, scheme] = max(known, float(fraction))
    lines = [
        (*setting, row, metric, *span)
        for setting, rows in settings.items()
        if float(setting[2]) == largest[setting[0], setting[1]]
        for row, metric, span in _spans(rows)
    ]
    return pd.DataFrame(lines, columns=COLUMNS)
