"""Ceiling: what a model may reach at most against labels of raters who disagree.

The assumption: the raters of a cell are drawn anew from a large pool; a share p of the pool votes
for the second class, and p follows a beta distribution over cells. Mean and agreement of the votes
give the distribution. The best model knows every cell's p, and no more can be known of a vote.
"""

import numpy as np
from scipy.stats import beta, binom

from cryotome.evaluation.statistics.kappa import cohen_kappa

ASSUMPTION = (
    "if the raters of a cell are drawn from a pool whose share of votes is beta-distributed over "
    "cells, and the model knows this share"
)
EDGES = np.sin(np.linspace(0, np.pi / 2, 401)) ** 2  # of p, closer where it is near 0 or 1
MIDDLES = (EDGES[1:] + EDGES[:-1]) / 2
MIN_AGREEMENT = 1e-3  # below it the votes of a cell have nothing in common


def vote_moments(slide: np.ndarray, votes: np.ndarray, slides: int) -> np.ndarray:
    """Return cells, votes for the second class and pairs that disagree by slide, (slides, 3).

    Votes and pairs are shares of those of a cell.

    Parameters
    ----------
    slide : (n,) int
    votes : (n, raters) 0 or 1
    """
    raters, positive = votes.shape[1], votes.sum(axis=1)
    apart = 2 * positive * (raters - positive) / (raters * (raters - 1))
    parts = (np.ones(len(votes)), positive / raters, apart)
    return np.stack([np.bincount(slide, part, slides) for part in parts], axis=1)


def share_distribution(moments: np.ndarray) -> np.ndarray:
    """Return the probability that p lies in each interval of `EDGES`, (draws, intervals).

    Parameters
    ----------
    moments : (draws, 3)
        Sums over slides of `vote_moments`.
    """
    mean, apart = (moments[:, [1, 2]] / moments[:, [0]]).T
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = np.clip(1 - apart / (2 * mean * (1 - mean)), MIN_AGREEMENT, 1 - MIN_AGREEMENT)
    size = 1 / agreement - 1
    known = beta.cdf(EDGES[:, None], mean * size, (1 - mean) * size)
    return np.diff(known, axis=0).T


def ceilings(shares: np.ndarray, raters: int) -> dict[str, np.ndarray]:
    """Return the best AUROC and balanced accuracy against labels, and kappa with one rater.

    Parameters
    ----------
    shares : (draws, intervals)
        Of `share_distribution`.
    raters
        Whose majority is the label; a tie is either label.

    Returns
    -------
    `auroc`, `balanced_accuracy` and `kappa`, (draws,) each; the last two at their best threshold
    """
    label = binom.sf(raters / 2, raters, MIDDLES)
    label = label + binom.pmf(raters / 2, raters, MIDDLES) / 2 * (raters % 2 == 0)
    positive, negative = shares * label, shares * (1 - label)
    below = np.cumsum(negative, axis=1)
    totals = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = (positive * (below - negative / 2)).sum(axis=1) / totals
        missed = np.cumsum(positive, axis=1) / positive.sum(axis=1, keepdims=True)
        accuracy = (1 - missed + below / negative.sum(axis=1, keepdims=True)) / 2
    found, lost = np.cumsum(shares * MIDDLES, axis=1), np.cumsum(shares * (1 - MIDDLES), axis=1)
    table = (found[:, [-1]] - found, lost[:, [-1]] - lost, found, lost)
    kappa = np.nanmax(cohen_kappa(*(part[:, :-1] for part in table)), axis=1)
    return {"auroc": auroc, "balanced_accuracy": accuracy.max(axis=1), "kappa": kappa}


def misfit(shares: np.ndarray, votes: np.ndarray) -> float:
    """Return how far the shares of cells by number of votes are from the distribution, at most.

    Parameters
    ----------
    shares : (intervals,)
    votes : (n, raters) 0 or 1
    """
    raters = votes.shape[1]
    counts = np.arange(raters + 1)
    expected = binom.pmf(counts[:, None], raters, MIDDLES) @ shares
    found = np.bincount(votes.sum(axis=1), minlength=raters + 1) / len(votes)
    return float(np.abs(found - expected).max())
