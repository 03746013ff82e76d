"""Variance components of AUROCs that share slides: crossed factors beside a known slide error.

The model is AUROC = mean + one random effect of each factor + a rest + the error of the part's
slides. Of that error the covariance is known from the slides' influences (Obuchowski 1997), also
between parts that share slides. A component comes from the sum of squares that its factor explains
after all others (Henderson 1953, method III), less what slides and rest give on average. Its
interval holds the variances under which that sum lies within the middle 95 % of a chi-square
distribution of the same mean and variance (Satterthwaite 1946).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import chi2

from cryotome.evaluation.statistics.fold_tests import quantiles

SLIDE, REST = "slide", "rest"  # components that are no factor
MOST = 0.25  # the largest variance of anything between 0 and 1
TINY = 1e-9  # singular values below are none
UNKNOWN = float("nan")
CONFOUNDED = "its levels cannot be told from those of the others"


@dataclass(frozen=True)
class Component:
    """The part of the variance of an AUROC that one cause gives.

    Attributes
    ----------
    variance, low, high
        With its 95 % interval; NaN where it is not identified, and `note` says why.
    levels
        How many of the cause were seen: slides, scanners, domains, folds, or parts.
    freedom
        Independent contrasts between levels that the others leave; of slides, one less than these.
    """

    variance: float
    low: float
    high: float
    levels: int
    freedom: int
    note: str = ""


def split_variance(
    auroc: np.ndarray, contributions: np.ndarray, factors: pd.DataFrame, counts: np.ndarray
) -> dict[str, Component]:
    """Split the variance of the AUROCs of parts.

    Parameters
    ----------
    auroc : (parts,)
    contributions : (parts, slides)
        From `Influence`: what each slide adds to the error of each part.
    factors
        A column for each factor: its level in each part.
    counts : (draws, slides)
        How often each slide is in each draw, for the interval of the slides' own component.

    Returns
    -------
    component to its variance: `slide` (of the AUROC of a part over draws of its slides, mean over
    parts), each factor, `rest`
    """
    error, parts = contributions @ contributions.T, len(auroc)
    effects = {str(name): pd.get_dummies(of).to_numpy(float) for name, of in factors.items()}
    mean = np.ones((parts, 1))
    every = np.column_stack([mean, *effects.values()])
    rest = _component(auroc, error, np.eye(parts), every)
    if rest.variance > 0:
        error = error + rest.variance * np.eye(parts)
    found = {SLIDE: _of_slides(contributions, counts)}
    for name, mine in effects.items():
        others = [of for other, of in effects.items() if other != name]
        found[name] = _component(auroc, error, mine, np.column_stack([mean, *others]))
    return found | {REST: rest}


def _of_slides(contributions: np.ndarray, counts: np.ndarray) -> Component:
    squares = (contributions**2).sum(axis=0) / len(contributions)
    low, high = quantiles(counts @ squares)
    slides = int((squares > 0).sum())
    return Component(float(squares.sum()), low, high, slides, max(slides - 1, 0))


def _component(
    auroc: np.ndarray, error: np.ndarray, effects: np.ndarray, others: np.ndarray
) -> Component:
    """Return the component of effects (parts, levels), all others taken as fixed."""
    levels = effects.shape[1]
    left = effects - others @ (np.linalg.pinv(others) @ effects)
    axes, sizes, _ = np.linalg.svd(left, full_matrices=False)
    axes = axes[:, sizes > TINY]
    freedom = axes.shape[1]
    if not freedom:
        note = CONFOUNDED if levels > 1 else "one level"
        return Component(UNKNOWN, UNKNOWN, UNKNOWN, levels, 0, note)
    seen = axes.T @ effects  # on these axes the mean and all others are 0
    own, known = seen @ seen.T, axes.T @ error @ axes
    contrasts = axes.T @ auroc
    squares = float((contrasts[np.abs(contrasts) > TINY] ** 2).sum())
    value = (squares - np.trace(known)) / np.trace(own)
    low, high = (_largest(squares, own, known, share) for share in (0.975, 0.025))
    return Component(float(np.clip(value, 0, MOST)), low, high, levels, freedom)


def _largest(squares: float, own: np.ndarray, known: np.ndarray, share: float) -> float:
    """Return the variance under which so small a share of studies would give as few squares.

    0 where none would, and `MOST` at most.
    """

    def excess(variance: float) -> float:
        spread = variance * own + known
        mean, freedom = np.trace(spread), np.trace(spread) ** 2 / (spread**2).sum()
        return float(squares / mean - chi2.ppf(share, freedom) / freedom)

    if not np.trace(known) > 0 and not squares > 0:
        return 0.0
    first = 0.0 if np.trace(known) > 0 else TINY**2
    if excess(first) <= 0:
        return 0.0
    return MOST if excess(MOST) >= 0 else float(brentq(excess, first, MOST, xtol=1e-12))
