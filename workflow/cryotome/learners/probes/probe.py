"""Heads on frozen embeddings: all folds of a model and a dataset, fitted and scored."""

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.learners.probes.fold_batches import FoldRows, check_finite
from cryotome.learners.probes.linear import (
    IN_NUMPY,
    Execution,
    LinearFit,
    fit_folds,
    probabilities,
)
from cryotome.learners.probes.logistic import fit_logistic
from cryotome.learners.probes.neighbours import score_knn, score_prevalence
from cryotome.learners.probes.ridge_cv import fit_ridge_cv_folds
from cryotome.study.costs.resources import estimate_fit_mb

CHUNK_ROWS = 4096  # rows that are scored at once, in float64
SINGLE_FOLD_LEARNERS = ("knn", "prevalence", "logreg")  # fitted fold by fold, without `target_sd`
Notes = dict[str, Any]
Arrays = dict[str, np.ndarray]


def feature_sd(x: np.ndarray) -> float:
    """Return the root of the mean variance of the features (n, M).

    >>> feature_sd(np.array([[1.0, 5.0], [3.0, 5.0]])) ** 2
    0.5000000000000001
    """
    total, square = np.zeros((2, x.shape[1]))
    shift = x[0].astype(np.float64)
    for first in range(0, len(x), CHUNK_ROWS):
        rows = x[first : first + CHUNK_ROWS] - shift
        total += rows.sum(axis=0)
        square += (rows**2).sum(axis=0)
    return float(np.sqrt((square / len(x) - (total / len(x)) ** 2).clip(0).mean()))


def fit_and_score_folds(
    card: Card,
    x: np.ndarray,
    y: np.ndarray,
    folds: list[FoldRows],
    *,
    execution: Execution = IN_NUMPY,
) -> Iterator[tuple[np.ndarray, Notes, Arrays]]:
    """Fit the head of a card on the training rows of every fold and score the others.

    Parameters
    ----------
    card
        A head card. `target_sd` multiplies all features by one number, so that the root of their
        mean variance over all rows of `x` is `target_sd`. `permute_labels` fits labels that are
        shuffled over all rows: without a leak, AUROC is then at chance level.
    x : (n, M) float32
    y : (n,)

    Yields
    ------
    scores : (scored,) float64, or (scored, K) of more than two classes
    notes
        Facts of the fit for the metadata of the predictions.
    arrays
        What `kept_head` scores other rows with: coefficients, or the labels of the training rows
        of learners that have none.

    Raises
    ------
    ProbeError
        A fold cannot be fitted; the message has the reason.
    """
    check_finite(x, np.arange(len(x)))
    learner = card["learner"]
    if card.get("permute_labels"):
        y = np.random.default_rng(0).permutation(y)
    if learner in SINGLE_FOLD_LEARNERS:
        yield from _fit_one_by_one(card, x, y, folds, execution)
        return
    factor = 1.0
    if "target_sd" in card:
        factor = card["target_sd"] / (feature_sd(x) or card["target_sd"])
        x = x * np.float32(factor)
    how: Notes = {"penalty": card["cost_factor"], "execution": execution}
    if learner == "ridge_cv":
        fits = fit_ridge_cv_folds(x, y, folds, c_grid=card["c_grid"], **how)
    else:
        fits = fit_folds(x, y, [fold.train for fold in folds], squared=learner == "ridge", **how)
    for fold, fit, logits in zip(folds, fits, _logits(x, fits), strict=True):
        notes = prediction_notes(fit) | {"feature_factor": factor}
        arrays = {"factor": np.array(factor, np.float32), "weights": fit.weights.T}
        yield probabilities(logits[fold.scored]), notes, arrays | {"bias": np.array(fit.bias)}


def log_memory(card: Card, x: np.ndarray, *, folds: int, classes: int) -> None:
    """Log how much memory the coming fits need."""
    most = estimate_fit_mb(card["learner"], *x.shape, folds=folds, classes=classes)
    print(
        f"{len(x):,} embeddings of {x.shape[1]:,} numbers are in memory, {x.nbytes / 1e6:,.0f} MB; "
        f"{folds} fits of {card['learner']} take at most about {most:,.0f} MB",
        file=sys.stderr,
        flush=True,
    )


def prediction_notes(fit: LinearFit) -> Notes:
    """Return the facts of a linear fit for the metadata of its predictions."""
    names = ["zero", "converged", "optimality", "iterations", "passes", "objective"]
    notes = {name: getattr(fit, name) for name in [*names, "weight_norm", "feature_sd"]}
    notes["effective_c"] = fit.c_effective
    return notes | ({"choice": fit.choice} if fit.choice else {})


def _logits(x: np.ndarray, fits: list[LinearFit]) -> list[np.ndarray]:
    """Return the logits of all rows in all folds, (n,) or (n, K) each, by one product."""
    columns = np.concatenate([np.atleast_2d(fit.weights) for fit in fits]).T
    bias = np.concatenate([np.atleast_1d(fit.bias) for fit in fits])
    logits = np.empty((len(x), len(bias)))
    for first in range(0, len(x), CHUNK_ROWS):
        rows = slice(first, first + CHUNK_ROWS)
        logits[rows] = x[rows].astype(np.float64) @ columns + bias
    ends = np.cumsum([0, *(np.size(fit.bias) for fit in fits)])
    by_fold = [logits[:, a:b] for a, b in itertools.pairwise(ends)]
    return [own[:, 0] if own.shape[1] == 1 else own for own in by_fold]


def _fit_one_by_one(
    card: Card, x: np.ndarray, y: np.ndarray, folds: list[FoldRows], execution: Execution
) -> Iterator[tuple[np.ndarray, Notes, Arrays]]:
    for fold in folds:
        known, queries = (x[fold.train], y[fold.train]), x[fold.scored]
        arrays = {"label": known[1]}
        if card["learner"] == "logreg":
            fit, notes = fit_logistic(
                *known,
                penalty=card["cost_factor"],
                iterations=card["max_iterations"],
                tolerance=card["tolerance"],
            )
            scores, arrays = fit.score(queries), fit.arrays
        else:
            scores, notes = score_by_cells(card, *known, queries)
        execution.on_progress(1)
        yield scores, notes, arrays


def score_by_cells(
    card: Card, x: np.ndarray, y: np.ndarray, queries: np.ndarray
) -> tuple[np.ndarray, Notes]:
    """Score rows (m, M) by their neighbours or equals among training rows (n, M), labels (n,)."""
    if card["learner"] == "prevalence":
        return score_prevalence(x, y, queries), {}
    how = {"neighbours": card["neighbours"], "normalised": card.get("normalised", True)}
    scores, used = score_knn(x, y, queries, **how)
    return scores, {"neighbours_used": used}


def fit_log_line(card: Card, fold: FoldRows, notes: Notes) -> str:
    """Return a log line on a fit, with a warning where its scores are of little use."""
    count = len(fold.train)
    if card["learner"] == "logreg":
        line = f"n {count}, C {notes['effective_c']:.3g}, {notes['iterations']} iterations"
        line += f", gradient {notes['gradient']:.1e} of that without weights"
        return line + (f"\nWarning: {notes['warning']}" if notes["warning"] else "")
    if card["learner"] in ("knn", "prevalence"):
        if notes.get("neighbours_used") != count:
            return f"n {count}"
        asked = card["neighbours"]
        return f"n {count}; all {count} training cells vote, of {asked} neighbours asked for"
    line = f"n {count}, SD {notes['feature_sd']:.3g}, effective C {notes['effective_c']:.3g}"
    line += f", zero {'yes' if notes['zero'] else 'no'}, gap {notes['optimality']:.1e}"
    line += f", C {notes['choice']} of its grid" if notes.get("choice") else ""
    if not notes["converged"]:
        line += "; the solver stopped before it reached its tolerance"
    if notes["zero"] and card["learner"] == "probe":
        line += (
            "\nWarning: W = 0 is the optimum: the penalty outweighs the gradient, every score is "
            "equal, AUROC 0.5 by construction; see ridge"
        )
    return line
