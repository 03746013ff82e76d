"""Calibration of scores as probabilities: reliability, Brier score, calibration error, slope."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from cryotome.core.metrics import CALIBRATION_BINS, calibration_bins
from cryotome.evaluation.statistics.clustered_auroc import difference_interval, effective_number
from cryotome.evaluation.statistics.slide_pairs import resample_slides_in_chunks

MIN_PROBABILITY = 1e-6  # scores are clipped to it, and to 1 minus it, before the logit
MAX_ITERATIONS, TOLERANCE = 50, 1e-8  # of Newton's method
MAX_SLOPE = 1e3  # a steeper slope means perfect separation


@lru_cache(maxsize=8)
def cached_resamples(count: int, *, draws: int, seed: int) -> tuple[np.ndarray, ...]:
    """Return `resample_slides` in chunks (some draws, count), in the smallest integer type."""
    parts = resample_slides_in_chunks(count, draws=draws, seed=seed)
    return tuple(part.astype(np.min_scalar_type(int(part.max()))) for part in parts)


def slide_mean(value: np.ndarray, slide: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of cells, and its 95 % interval with the slide as the unit.

    The mean is a ratio of sums over slides; its variance is that of the ratio's linear part,
    m / (m - 1) of m slides; Student's t has as degrees of freedom the
    effective number of slides minus 1.

    Parameters
    ----------
    value, slide : (n,)

    Returns
    -------
    mean, low, high between 0 and 1; NaN intervals with one slide or equal slides
    """
    mean = float(value.mean())
    _, place = np.unique(slide, return_inverse=True)
    sizes, deviations = np.bincount(place), np.bincount(place, value - mean)
    if len(sizes) < 2 or not np.any(deviations):
        return mean, float("nan"), float("nan")
    error = float(np.sqrt((deviations**2).sum() * len(sizes) / (len(sizes) - 1)) / len(value))
    low, high = difference_interval(mean, error, freedom=effective_number(sizes) - 1)
    return mean, max(low, 0.0), min(high, 1.0)


@dataclass(frozen=True)
class CalibrationError:
    """An expected calibration error over draws of slides.

    Attributes
    ----------
    value
        Of the sample.
    drawn : (draws,)
        Of each draw, which has the noise of the sample and of the draw.
    noise : (draws,)
        Errors of as many cells on as many slides under perfect calibration.
    """

    value: float
    drawn: np.ndarray
    noise: np.ndarray

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval: percentiles, reflected at the error of the sample.

        It begins at 0 where perfect calibration would give as large an error in one of
        forty studies or more.
        """
        low, high = 2 * self.value - np.quantile(self.drawn, [0.975, 0.025])
        kept = min(max(float(low), 0.0), self.value)
        by_noise = self.value <= np.quantile(self.noise, 0.975)
        return 0.0 if by_noise else kept, max(float(high), self.value)


def draw_calibration_error(
    label: np.ndarray,
    score: np.ndarray,
    slide: np.ndarray,
    draws: int,
    model: np.ndarray | None = None,
) -> CalibrationError:
    """Compute the expected calibration error, 15 bins of equal width, and that of drawn slides.

    Parameters
    ----------
    slide : (n,)
        Slides are drawn with replacement; one alone tells no spread.
    model : (n,) int
        Which model scored each cell: bins of several models are kept apart, so that their errors
        cannot cancel, and the error is that of each model, weighted by its cells.
    """
    slides, place = np.unique(slide, return_inverse=True)
    models = np.zeros(len(label), dtype=int) if model is None else model
    shape = len(slides), CALIBRATION_BINS * (int(models.max()) + 1)
    bins = calibration_bins(score) + CALIBRATION_BINS * models
    gaps = np.bincount(place * shape[1] + bins, label - score, shape[0] * shape[1]).reshape(shape)
    sizes = np.bincount(place)
    parts = cached_resamples(len(slides), draws=draws, seed=0)
    drawn, cells = (
        np.concatenate([part.astype(np.float64) @ sums for part in parts]) for sums in (gaps, sizes)
    )
    expected = np.outer(cells / len(label), gaps.sum(axis=0))
    scale = np.sqrt(len(slides) / max(len(slides) - 1, 1))
    return CalibrationError(
        float(np.abs(gaps.sum(axis=0)).sum() / len(label)),
        np.abs(drawn).sum(axis=1) / cells,
        np.abs(drawn - expected).sum(axis=1) / cells * scale,
    )


def calibration_interval(
    label: np.ndarray, score: np.ndarray, slide: np.ndarray, draws: int
) -> tuple[float, float, float]:
    """Return the expected calibration error, 15 bins of equal width, and its 95 % interval.

    Returns
    -------
    ece, low, high; the interval is NaN with one slide
    """
    found = draw_calibration_error(label, score, slide, draws)
    if len(np.unique(slide)) < 2:
        return found.value, float("nan"), float("nan")
    return found.value, *found.interval


def recalibrate(label: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Return the calibration slope and the calibration intercept (Van Calster et al. 2019).

    Returns
    -------
    slope
        b of logit P = a + b logit(score): 1 is calibrated, less is overconfident.
    intercept
        a of logit P = a + logit(score): 0 is calibrated, below 0 scores are too high.

    NaN where there is no optimum: one class only, scores that are all equal (slope), or that
    separate the classes perfectly (slope).
    """
    unknown = float("nan")
    if len(np.unique(label)) < 2:
        return unknown, unknown
    x = logit(np.clip(score, MIN_PROBABILITY, 1 - MIN_PROBABILITY))
    (intercept,) = _fit_logistic(np.ones((len(x), 1)), label, x)
    if np.ptp(x) == 0:
        return unknown, intercept
    slope = _fit_logistic(np.column_stack([np.ones(len(x)), x]), label, np.zeros(len(x)))[1]
    return slope if abs(slope) < MAX_SLOPE else unknown, intercept


def _fit_logistic(columns: np.ndarray, label: np.ndarray, offset: np.ndarray) -> list[float]:
    """Fit logit P = columns @ w + offset by Newton's method; NaN without convergence.

    On probes' scores statsmodels gives the same ten digits, in 2 to 4 times the time and 0.3 s of
    import. On saturated or nearly equal scores Logit raises LinAlgError and GLM diverges (an
    intercept of 9e14 for 7.0), where these bounded steps converge.
    """
    weights = np.zeros(columns.shape[1])
    for _ in range(MAX_ITERATIONS):
        probability = expit(columns @ weights + offset)
        hessian = (columns * (probability * (1 - probability))[:, None]).T @ columns
        if not np.linalg.det(hessian) > 0:
            break
        step = np.linalg.solve(hessian, columns.T @ (label - probability))
        weights += step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < TOLERANCE:
            return weights.tolist()
    return [float("nan")] * len(weights)


def summarise_calibration(parts: list[pd.DataFrame], draws: int) -> dict[str, float | str]:
    """Measure how well scores are calibrated.

    Parameters
    ----------
    parts
        Of each fold, columns label, score (P of label 1), slide; a cell that several folds test
        counts in each.

    Returns
    -------
    n, positives, brier, brier_low, brier_high, ece, ece_low, ece_high, slope, intercept, note
        No slope where all scores are equal in every fold.
    """
    tested = pd.concat(parts)
    label, score = tested["label"].to_numpy(), tested["score"].to_numpy()
    slide = tested["slide"].cat.codes.to_numpy()
    spans = {
        "brier": slide_mean((score - label) ** 2, slide),
        "ece": calibration_interval(label, score, slide, draws),
    }
    found: dict[str, float | str] = {"n": len(label), "positives": int(label.sum())}
    for name, span in spans.items():
        found |= dict(zip((name, f"{name}_low", f"{name}_high"), span, strict=True))
    slope, intercept = recalibrate(label, score)
    equal = sum(part["score"].nunique() == 1 for part in parts)
    slope = float("nan") if equal == len(parts) else slope
    note = f"all scores are equal in {equal} of {len(parts)} folds" if equal else ""
    return found | {"slope": slope, "intercept": intercept, "note": note}


def reliability_bins(tested: pd.DataFrame) -> pd.DataFrame:
    """Compare the fraction of positives in each bin of scores with their mean score.

    Returns
    -------
    data frame with columns bin, low, high (ends of the bin), n, mean_score, share_positive,
    share_low, share_high (95 %, slides as the unit); empty bins have no line
    """
    lines = []
    places = calibration_bins(tested["score"].to_numpy())
    for place in np.unique(places):
        part = tested[places == place]
        share = slide_mean(part["label"].to_numpy(), part["slide"].cat.codes.to_numpy())
        ends = (place / CALIBRATION_BINS, (place + 1) / CALIBRATION_BINS)
        lines.append((place, *ends, len(part), part["score"].mean(), *share))
    columns = ["bin", "low", "high", "n", "mean_score", "share_positive"]
    return pd.DataFrame(lines, columns=[*columns, "share_low", "share_high"])
