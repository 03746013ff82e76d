"""Soft labels: heads on embeddings fitted to the share of raters' votes, a row for each vote.

The cross-entropy with a share of votes is the mean of the cross-entropies with each vote, so that a
cell that trains once for every vote has the same optimum. The cost C is divided by the rows of a
cell where the objective sums over rows, so that it means what it means for labels.
"""

from collections.abc import Iterator

import numpy as np

from cryotome.core.cards import Card
from cryotome.core.errors import ProbeError
from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.labelled import Fold, LabelledEmbeddings
from cryotome.learners.probes.linear import IN_NUMPY, Execution
from cryotome.learners.probes.probe import Arrays, Notes, fit_and_score_folds

SUMMED = ("ridge", "ridge_cv", "logreg")  # learners whose loss is a sum over rows


def fit_head(
    card: Card, known: LabelledEmbeddings, folds: list[Fold], *, execution: Execution = IN_NUMPY
) -> Iterator[tuple[np.ndarray, Notes, Arrays]]:
    """Fit the head of a card on labels, or on votes where it says so; as `fit_and_score_folds`.

    Raises
    ------
    ProbeError
        The cells have no votes, or a fold cannot be fitted.
    """
    rows = [fold.rows for fold in folds]
    if card.get("labels") != "soft":
        yield from fit_and_score_folds(card, known.x, known.y, rows, execution=execution)
        return
    if known.votes is None:
        raise ProbeError(
            "The head has `labels: soft`, and the table of cells has no votes. Name the columns of "
            "votes in `raters:` of the dataset's card, or take a head on labels."
        )
    votes, weighted = known.votes, "vote_weights" in card
    raters = votes.shape[1]
    each = raters * (raters if weighted else 1)  # rows of a cell of full weight
    x, y = np.concatenate([known.x, known.x]), np.repeat([0, 1], len(known.x))
    of_votes = [vote_rows(fold, votes, weighted=weighted) for fold in rows]
    fitted = fit_and_score_folds(_divided(card, each), x, y, of_votes, execution=execution)
    for scores, notes, arrays in fitted:
        if card["learner"] in SUMMED:
            notes["effective_c"] *= each
        yield scores, notes | {"rows_per_cell": each}, arrays


def vote_rows(fold: FoldRows, votes: np.ndarray, *, weighted: bool) -> FoldRows:
    """Return the rows of a fold, once for each vote, in features that are there twice.

    Parameters
    ----------
    votes : (n, raters)
        0 or 1. A vote for 0 is a row of the first n features, one for 1 of the second n.
    weighted
        Whether each vote counts as often as the majority of its cell has more votes than the
        minority: a cell without a majority trains nothing.

    >>> fold = FoldRows(np.array([1]), np.array([], int), np.array([0]))
    >>> votes = np.array([[0, 0, 0], [0, 1, 1]])
    >>> vote_rows(fold, votes, weighted=False).train.tolist()
    [1, 3, 3]
    """

    def repeated(rows: np.ndarray) -> np.ndarray:
        positive, every = votes[rows].sum(axis=1), votes.shape[1]
        times = abs(2 * positive - every) if weighted else 1
        own = np.concatenate([rows, rows + len(votes)])
        return np.repeat(own, np.concatenate([(every - positive) * times, positive * times]))

    return FoldRows(repeated(fold.train), repeated(fold.validation), fold.scored)


def _divided(card: Card, each: int) -> Card:
    """Return a card whose C is for `each` rows a cell."""
    if card["learner"] not in SUMMED:  # the mean over rows is that over cells
        return card
    changed = {"cost_factor": card["cost_factor"] / each}
    if "c_grid" in card:
        changed["c_grid"] = [cost / each for cost in card["c_grid"]]
    return card | changed
