"""Heads on frozen embeddings: all folds of a model and a dataset, fitted and scored."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from cryotome.core.cards import Card
from cryotome.learners.probes.fold_batches import check_numbers
from cryotome.learners.probes.linear import LinearFit, Told, fit_folds, probabilities
from cryotome.learners.probes.logistic import score_logistic
from cryotome.learners.probes.neighbours import score_knn, score_prevalence
from cryotome.learners.probes.ridge_cv import fit_ridge_cv_folds
from cryotome.study.costs.resources import estimate_fit_mb

CHUNK = 4096  # rows that are scored at once, in float64
UNSCALED = ("knn", "prevalence", "logreg")  # learners of one fold each, without `target_sd`
Notes = dict[str, Any]


@dataclass(frozen=True)
class Fold:
    """Rows of the features that train, that validate, and that are scored, each (n,) int."""

    train: np.ndarray
    validation: np.ndarray
    scored: np.ndarray


def feature_sd(x: np.ndarray) -> float:
    """Return the root of the mean variance of the features (n, M).

    >>> feature_sd(np.array([[1.0, 5.0], [3.0, 5.0]])) ** 2
    0.5000000000000001
    """
    total, square = np.zeros((2, x.shape[1]))
    shift = x[0].astype(np.float64)
    for first in range(0, len(x), CHUNK):
        part = x[first : first + CHUNK] - shift
        total += part.sum(axis=0)
        square += (part**2).sum(axis=0)
    return float(np.sqrt((square / len(x) - (total / len(x)) ** 2).clip(0).mean()))


def fit_and_score_folds(
    card: Card,
    x: np.ndarray,
    y: np.ndarray,
    folds: list[Fold],
    *,
    device: str | None = None,
    told: Told = lambda folds: None,
) -> Iterator[tuple[np.ndarray, Notes]]:
    """Fit the head of a card on the training rows of every fold; score others.

    Parameters
    ----------
    card
        A head card. `target_sd` multiplies all features by one number, so that the root of their
        mean variance over all rows of `x` is that. `permute_labels` fits labels that are
        shuffled over all rows, for the floor that no leak lifts.
    x : (n, M) float32
    y : (n,)
    device
        Of torch, such as `cuda`; None computes in numpy, on a processor as fast as torch
        and without the seconds of its import.
    told
        Is told how many more folds are fitted.

    Yields
    ------
    scores : (scored,) float64, or (scored, K) of more than two classes
    notes
        What to remember of the fit, for the prediction's metadata.

    Raises
    ------
    ProbeError
        A fold cannot be fitted; the text says why.
    """
    check_numbers(x, np.arange(len(x)))
    learner = card["learner"]
    if card.get("permute_labels"):
        y = np.random.default_rng(0).permutation(y)
    if learner in UNSCALED:
        yield from _one_by_one(card, x, y, folds, told)
        return
    factor = 1.0
    if "target_sd" in card:
        factor = card["target_sd"] / (feature_sd(x) or card["target_sd"])
        x = x * np.float32(factor)
    trains, penalty = [fold.train for fold in folds], card["cost_factor"]
    how: Notes = {"penalty": penalty, "device": device, "told": told}
    if learner == "ridge_cv":
        validations = [fold.validation for fold in folds]
        fits = fit_ridge_cv_folds(x, y, trains, validations, strengths=card["c_grid"], **how)
    else:
        fits = fit_folds(x, y, trains, squared=learner == "ridge", **how)
    margins = _margins(x, fits)
    for fold, fit, margin in zip(folds, fits, margins, strict=True):
        yield probabilities(margin[fold.scored]), prediction_notes(fit) | {"feature_factor": factor}


def said_of_memory(card: Card, x: np.ndarray, *, folds: int, classes: int) -> str:
    """Return one line for the log on what a fit is about to take."""
    most = estimate_fit_mb(card["learner"], *x.shape, folds=folds, classes=classes)
    return (
        f"{len(x):,} embeddings of {x.shape[1]:,} numbers are in memory, {x.nbytes / 1e6:,.0f} MB; "
        f"{folds} fits of {card['learner']} take at most about {most:,.0f} MB"
    )


def prediction_notes(fit: LinearFit) -> Notes:
    """Return what a prediction's metadata keeps of a linear fit."""
    names = ["zero", "converged", "optimality", "iterations", "passes", "objective"]
    notes = {name: getattr(fit, name) for name in [*names, "weight_norm", "feature_sd"]}
    notes["effective_c"] = fit.c_effective
    return notes | ({"choice": fit.choice} if fit.choice else {})


def _margins(x: np.ndarray, fits: list[LinearFit]) -> list[np.ndarray]:
    """Return the logits of all rows in all folds, (n,) or (n, K) each, by one product."""
    columns = np.concatenate([np.atleast_2d(fit.weights) for fit in fits]).T
    bias = np.concatenate([np.atleast_1d(fit.bias) for fit in fits])
    out = np.empty((len(x), len(bias)))
    for first in range(0, len(x), CHUNK):
        part = slice(first, first + CHUNK)
        out[part] = x[part].astype(np.float64) @ columns + bias
    ends = np.cumsum([0, *(np.size(fit.bias) for fit in fits)])
    parts = [out[:, a:b] for a, b in itertools.pairwise(ends)]
    return [part[:, 0] if part.shape[1] == 1 else part for part in parts]


def _one_by_one(
    card: Card, x: np.ndarray, y: np.ndarray, folds: list[Fold], told: Told
) -> Iterator[tuple[np.ndarray, Notes]]:
    for fold in folds:
        rows = x[fold.train], y[fold.train], x[fold.scored]
        notes: Notes = {}
        if card["learner"] == "prevalence":
            scores = score_prevalence(*rows)
        elif card["learner"] == "logreg":
            scores, notes = score_logistic(
                *rows,
                penalty=card["cost_factor"],
                iterations=card["max_iterations"],
                tolerance=card["tolerance"],
            )
        else:
            how = {"neighbours": card["neighbours"], "normalised": card.get("normalised", True)}
            scores, notes["neighbours_used"] = score_knn(*rows, **how)
        told(1)
        yield scores, notes


def fit_log_line(card: Card, fold: Fold, notes: Notes) -> str:
    """Return one line on a fit for the log, with a warning where its scores say little."""
    count = len(fold.train)
    if card["learner"] == "logreg":
        said = f"n {count}, C {notes['effective_c']:.3g}, {notes['iterations']} iterations"
        said += f", gradient {notes['gradient']:.1e} of that without weights"
        return said + (f"\nWarning: {notes['warning']}" if notes["warning"] else "")
    if card["learner"] in ("knn", "prevalence"):
        if notes.get("neighbours_used") != count:
            return f"n {count}"
        asked = card["neighbours"]
        return f"n {count}; all {count} training cells vote, of {asked} neighbours asked for"
    said = f"n {count}, SD {notes['feature_sd']:.3g}, effective C {notes['effective_c']:.3g}"
    said += f", zero {'yes' if notes['zero'] else 'no'}, gap {notes['optimality']:.1e}"
    said += f", C {notes['choice']} of its grid" if notes.get("choice") else ""
    if not notes["converged"]:
        said += "; the solver stopped short of its tolerance"
    if notes["zero"] and card["learner"] == "probe":
        said += (
            "\nWarning: W = 0 is the optimum: the penalty outweighs the gradient, every score is "
            "equal, AUROC 0.5 by construction; see ridge"
        )
    return said
