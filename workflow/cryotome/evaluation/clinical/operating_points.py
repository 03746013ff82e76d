"""Operating points: sensitivity at fixed rates of false positives, and of carried thresholds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.clinical.calibration import cached_resamples
from cryotome.evaluation.scores import choose_threshold
from cryotome.evaluation.statistics.clustered_auroc import (
    auroc_interval,
    difference_interval,
    effective_number,
)
from cryotome.evaluation.statistics.slide_pairs import CHUNK_VALUES

# false positives per mm²; a rate is reported where it permits at least one, but not all negatives
RATES = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
DRAWS = 200  # of slides; intervals take their SD, which more draws hardly change
MEASURED = ["what", "rate_per_mm2", "threshold", "sensitivity", "false_positives_per_mm2"]
FALSE_POSITIVE_INTERVAL = ["false_positives_low", "false_positives_high"]
PROMISED = ["promised_sensitivity", "promised_false_positives_per_mm2"]
MEASURED += ["low", "high", *FALSE_POSITIVE_INTERVAL, "specificity", *PROMISED]


@dataclass(frozen=True)
class FoldCells:
    """One fold's test cells of one domain, and all its validation cells.

    Attributes
    ----------
    test, validation
        Columns label, score, mm2 (its region's area divided by the region's cells), slide.
    """

    test: pd.DataFrame
    validation: pd.DataFrame


def _budget(rate: float, area: Any) -> Any:
    """Return how many false positives a rate permits on an area; tolerant of rounding."""
    return rate * area * (1 + 1e-9)


def permits(cells: pd.DataFrame, rate: float) -> bool:
    """Whether a rate permits at least one false positive among these cells, and not all."""
    negatives = int((cells["label"] == 0).sum())
    return bool(1 <= _budget(rate, cells["mm2"].sum(skipna=False)) < negatives)


def threshold_at(cells: pd.DataFrame, rate: float) -> float:
    """Return the lowest threshold with at most so many false positives per mm².

    Infinite where even the highest score gives too many.

    >>> cells = pd.DataFrame({"label": [1, 0, 1, 0], "score": [0.9, 0.7, 0.6, 0.4], "mm2": 0.5})
    >>> threshold_at(cells, 0.5), threshold_at(cells, 0.4)
    (0.6, 0.9)
    """
    score, negative = cells["score"].to_numpy(), (cells["label"] == 0).to_numpy()
    allowed = int(_budget(rate, cells["mm2"].sum()))
    highest = np.sort(score[negative])[::-1]
    if allowed >= len(highest):
        return float(score.min())
    return float(min(score[score > highest[allowed]], default=np.inf))


def achieved(cells: pd.DataFrame, threshold: float) -> tuple[float, float]:
    """Return sensitivity and false positives per mm² at a threshold."""
    called, positive = cells["score"] >= threshold, cells["label"] == 1
    counts = np.array([(called & positive).sum(), (called & ~positive).sum()])
    sensitivity, rate = _ratio(counts, np.array([positive.sum(), cells["mm2"].sum(skipna=False)]))
    return float(sensitivity), float(rate)


class SlideResamples:
    """Bootstrap weights of the slides of several folds; the first draw has every slide once.

    Attributes
    ----------
    slides : (s,) int, sorted
        Category codes.
    places : of each fold (n,) int
        The slide of each test cell, 0 .. s - 1.
    weights : (s, 1 + draws) float32
    freedom
        Degrees of freedom: the effective number of slides with positives, minus 1.
    """

    def __init__(self, folds: list[FoldCells], draws: int) -> None:
        codes_of = [fold.test["slide"].cat.codes.to_numpy() for fold in folds]
        self.slides = np.unique(np.concatenate(codes_of))
        self.places = [np.searchsorted(self.slides, codes) for codes in codes_of]
        drawn = np.concatenate(cached_resamples(len(self.slides), draws=draws, seed=0))
        self.weights = np.ones((len(self.slides), 1 + draws), dtype=np.float32)
        self.weights[:, 1:] = drawn.T
        positive = [fold.test["label"].to_numpy() == 1 for fold in folds]
        counts = sum(
            np.bincount(place[is_one], minlength=len(self.slides))
            for place, is_one in zip(self.places, positive, strict=True)
        )
        self.freedom = effective_number(np.asarray(counts)) - 1 if np.any(counts) else 1.0

    def sums(self, place: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Return the weighted sum of values of cells in each draw, (1 + draws,)."""
        return np.bincount(place, values, len(self.slides)) @ self.weights

    def at_rates(self, part: FoldCells, place: np.ndarray, rates: list[float]) -> list[np.ndarray]:
        """Count cells where each draw chooses the threshold that keeps to a rate.

        Returns
        -------
        of each rate (5, 1 + draws): true positives, positives, false positives, negatives, mm²
        """
        score, positive = part.test["score"].to_numpy(), part.test["label"].to_numpy() == 1
        order = np.argsort(-score, kind="stable")
        ups, downs = order[positive[order]], order[~positive[order]]
        # per negative: positives, and negatives, with a higher score
        higher = np.searchsorted(-score[ups], -score[downs], side="left")
        before = np.searchsorted(-score[downs], -score[downs], side="left")
        higher, before = np.append(higher, len(ups)), np.append(before, len(downs))
        area = self.sums(place, part.test["mm2"].to_numpy())
        found = [np.empty((5, len(area))) for _ in rates]
        step = max(1, CHUNK_VALUES // len(place))
        for some in (slice(begun, begun + step) for begun in range(0, len(area), step)):
            hits, false = (_cumulative(self.weights[place[side], some]) for side in (ups, downs))
            draw = np.arange(hits.shape[1])
            for rate, counts in zip(rates, found, strict=True):
                # the first negative over the budget
                first = (false[1:] <= _budget(rate, area[some])).sum(axis=0)
                called = hits[higher[first], draw], false[before[first], draw]
                counts[:, some] = called[0], hits[-1], called[1], false[-1], area[some]
        return found

    def at_threshold(self, part: FoldCells, place: np.ndarray, threshold: float) -> np.ndarray:
        """Count the same, (5, 1 + draws), at a given threshold."""
        called = (part.test["score"] >= threshold).to_numpy(dtype=float)
        label, mm2 = part.test["label"].to_numpy(dtype=float), part.test["mm2"].to_numpy()
        kinds = (called * label, label, called * (1 - label), 1 - label, mm2)
        return np.array([self.sums(place, kind) for kind in kinds])


def _cumulative(weights: np.ndarray) -> np.ndarray:
    """Return the summed weight of the first k lines, k = 0, 1, ..."""
    found = np.zeros((len(weights) + 1, weights.shape[1]), dtype=np.float32)
    np.cumsum(weights, axis=0, out=found[1:])
    return found


def _ratio(some: np.ndarray, of_all: np.ndarray) -> np.ndarray:
    return np.divide(some, of_all, out=np.full(len(some), np.nan), where=of_all > 0)


def _spread(draws: np.ndarray) -> float:
    known = draws[np.isfinite(draws)]
    return float(known.std()) if len(known) > 1 else float("nan")


def rates_with_intervals(counts: np.ndarray, freedom: float) -> Card:
    """Turn counts over all folds, (5, 1 + draws), into rates and their intervals over slides."""
    hits, false = _ratio(counts[0], counts[1]), _ratio(counts[2], counts[4])
    low, high = auroc_interval(float(hits[0]), _spread(hits[1:]), freedom=freedom)
    ends = difference_interval(float(false[0]), _spread(false[1:]), freedom=freedom)
    return {
        "sensitivity": float(hits[0]),
        "false_positives_per_mm2": float(false[0]),
        "low": low,
        "high": high,
        "false_positives_low": max(ends[0], 0.0),
        "false_positives_high": ends[1],
        "specificity": 1 - float(_ratio(counts[2], counts[3])[0]),
    }


def threshold_at_rate(cells: pd.DataFrame, rate: float) -> float:
    """Return the threshold of a rate on these cells; of the largest F1 for the rate NaN."""
    if np.isfinite(rate):
        return threshold_at(cells, rate)
    return choose_threshold(cells["label"].to_numpy(), cells["score"].to_numpy())


def _first_columns(what: str, rate: float, thresholds: list[float]) -> Card:
    mean = float(np.mean(thresholds)) if np.isfinite(thresholds).all() else float("nan")
    return {"what": what, "rate_per_mm2": rate, "threshold": mean}


def _permitted_rates(cells: list[pd.DataFrame]) -> list[float]:
    return [rate for rate in RATES if all(permits(part, rate) for part in cells)]


def operating_points(parts: list[FoldCells], draws: int = DRAWS) -> pd.DataFrame:
    """Measure one row on one test domain.

    Parameters
    ----------
    parts
        The folds of one scheme.
    draws
        Of slides, for the intervals.

    Returns
    -------
    data frame with columns what, rate_per_mm2, threshold, sensitivity,
    false_positives_per_mm2, low, high (of the sensitivity), false_positives_low,
    false_positives_high, specificity, promised_sensitivity,
    promised_false_positives_per_mm2
        what is `fixed_rate`: the threshold that keeps to the rate on the test cells; or
        `carried`: the threshold chosen on validation cells, by its rate there or, without a
        rate, by the largest F1; promised: the values there. Counts are sums over folds,
        thresholds and promised values means.
    """
    slides, lines = SlideResamples(parts, draws), []
    pairs = list(zip(parts, slides.places, strict=True))
    rates = _permitted_rates([part.test for part in parts])
    at_rates = [slides.at_rates(part, place, rates) for part, place in pairs]
    for rate, of_folds in zip(rates, zip(*at_rates, strict=True), strict=True):
        line = _first_columns("fixed_rate", rate, [threshold_at(part.test, rate) for part in parts])
        line |= rates_with_intervals(np.sum(of_folds, axis=0), slides.freedom)
        lines.append(
            line | dict.fromkeys(FALSE_POSITIVE_INTERVAL, np.nan)
        )  # fixed, so without an interval
    for rate in [np.nan, *_permitted_rates([part.validation for part in parts])]:
        chosen = [threshold_at_rate(part.validation, rate) for part in parts]
        pair = zip(pairs, chosen, strict=True)
        counts = np.sum([slides.at_threshold(*one, t) for one, t in pair], axis=0)
        promised = [achieved(p.validation, t) for p, t in zip(parts, chosen, strict=True)]
        line = _first_columns("carried", rate, chosen) | dict(
            zip(PROMISED, np.mean(promised, 0), strict=True)
        )
        lines.append(line | rates_with_intervals(counts, slides.freedom))
    return pd.DataFrame(lines, columns=MEASURED)
