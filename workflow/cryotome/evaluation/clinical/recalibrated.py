"""Recalibrated scores: Brier score, log loss, calibration error and AUROC over drawn slides."""

from dataclasses import dataclass

import numpy as np

from cryotome.core.metrics import auroc
from cryotome.evaluation.clinical.calibration import (
    MIN_PROBABILITY,
    cached_resamples,
    draw_calibration_error,
)
from cryotome.evaluation.clinical.recalibrators import Recalibrator
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.slide_pairs import bootstrap_auroc, count_wins

Key = tuple[str, int]  # method, labelled cells of the target
BEFORE: Key = ("none", 0)
BY_MODEL = "ece_by_model"
UNKNOWN = (float("nan"), float("nan"))  # the interval of one slide
ERRORS = ["brier", "log_loss", "ece", BY_MODEL]  # measures of which less is better


@dataclass(frozen=True)
class ScoredPart:
    """The test cells of one model on one target.

    Attributes
    ----------
    label, slide : (n,)
    scores
        Method and labels to scores (n,); `BEFORE` are those of the model.
    maps
        The same keys but `BEFORE` to what was fitted; None where scores are left as they were.
    used
        Labels of training and validation.
    """

    label: np.ndarray
    slide: np.ndarray
    scores: dict[Key, np.ndarray]
    maps: dict[Key, Recalibrator | None]
    used: int


@dataclass(frozen=True)
class Estimate:
    """A measure, and its value in each draw of slides.

    Attributes
    ----------
    interval
        95 %, over slides; NaN with one slide.
    drawn : (draws,)
    reflected
        Whether draws have noise that the value has too, as those of calibration errors have.
    floor
        What perfect calibration would give on as many cells; NaN where that is not 0.
    """

    value: float
    interval: tuple[float, float]
    drawn: np.ndarray
    reflected: bool = False
    floor: float = float("nan")

    def change_from(self, before: "Estimate") -> dict[str, float]:
        """Return what it has over the same measure before, with its 95 % interval.

        Slides are paired. Of calibration errors, whose draws have more noise where less is wrong,
        the ends of both intervals are joined as if they were independent (Zou and Donner 2008).
        """
        change = self.value - before.value
        low, high = quantiles(self.drawn - before.drawn)
        if self.reflected and (low or high):
            reach = [self.value - self.interval[0], self.interval[1] - self.value]
            back = [before.interval[1] - before.value, before.value - before.interval[0]]
            low, high = change - np.hypot(reach[0], back[0]), change + np.hypot(reach[1], back[1])
        if np.isnan(self.interval).any():
            low, high = self.interval
        return {"change": change, "change_low": float(low), "change_high": float(high)}


def measure_parts(parts: list[ScoredPart], draws: int) -> dict[Key, dict[str, Estimate]]:
    """Measure a row before and after every recalibration.

    Brier score, log loss and `ece` are over all cells, as in `calibration.csv`; `ece_by_model`
    keeps the bins of each model apart; `auroc` is the mean over models, as in `intervals.csv`,
    and measured before alone: a rising map changes none.
    """
    label = np.concatenate([part.label for part in parts])
    names = np.concatenate([part.slide for part in parts])
    slides, slide = np.unique(names, return_inverse=True)  # numbers are sorted much faster
    model = np.repeat(np.arange(len(parts)), [len(part.label) for part in parts])
    found: dict[Key, dict[str, Estimate]] = {}
    for key in parts[0].scores:
        score = np.concatenate([part.scores[key] for part in parts])
        chance = np.clip(np.where(label == 1, score, 1 - score), MIN_PROBABILITY, None)
        losses = {"brier": (score - label) ** 2, "log_loss": -np.log(chance)}
        found[key] = {name: _mean(loss, slide, draws) for name, loss in losses.items()}
        for name, apart in (("ece", None), (BY_MODEL, model)):
            found[key][name] = _calibration(label, score, slide, draws, apart)
    found[BEFORE]["auroc"] = _auroc(parts, slides, draws)
    return found


def _mean(value: np.ndarray, slide: np.ndarray, draws: int) -> Estimate:
    slides, place = np.unique(slide, return_inverse=True)
    sums = np.column_stack([np.bincount(place, value), np.bincount(place)])
    drawn = np.concatenate([
        part.astype(float) @ sums for part in cached_resamples(len(slides), draws=draws, seed=0)
    ])  # fmt: skip
    ratio = drawn[:, 0] / drawn[:, 1]
    return Estimate(float(value.mean()), _ends(ratio, slides), ratio)


def _ends(drawn: np.ndarray, slides: np.ndarray) -> tuple[float, float]:
    return quantiles(drawn) if len(slides) > 1 else UNKNOWN


def _calibration(
    label: np.ndarray, score: np.ndarray, slide: np.ndarray, draws: int, model: np.ndarray | None
) -> Estimate:
    found = draw_calibration_error(label, score, slide, draws, model)
    ends = found.interval if len(np.unique(slide)) > 1 else UNKNOWN
    floor = float(found.noise.mean())
    return Estimate(found.value, ends, found.drawn, reflected=True, floor=floor)


def _auroc(parts: list[ScoredPart], slides: np.ndarray, draws: int) -> Estimate:
    wins = [count_wins(part.slide, part.label, part.scores[BEFORE]) for part in parts]
    counts = (part.astype(float) for part in cached_resamples(len(slides), draws=draws, seed=0))
    drawn = bootstrap_auroc(wins, slides, counts)
    values = [auroc(part.label, part.scores[BEFORE]) for part in parts]
    return Estimate(float(np.nanmean(values)), _ends(drawn, slides), drawn)
