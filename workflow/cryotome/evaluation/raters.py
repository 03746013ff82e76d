"""Raters: every row beside the raters whose votes made the labels, and what they leave to reach.

A row calls a cell by its score at 0.5. Kappa and balanced accuracy are of the cells of all folds
together, AUROC is the mean over folds. Intervals are percentiles over the draws of slides that
every other table uses.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.rater_ceiling import (
    ASSUMPTION,
    ceilings,
    misfit,
    share_distribution,
    vote_moments,
)
from cryotome.evaluation.scores import THRESHOLD
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.kappa import balanced_accuracy, cohen_kappa, tables_by_slide
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import SETTING, Rows, too_few_slides
from cryotome.evaluation.statistics.slide_pairs import (
    bootstrap_auroc,
    count_wins,
    resample_slides,
)
from cryotome.study.schemes import Scheme

COLUMNS = [*SETTING, "measure", "cells", "who", "row", "against", "n", "value", "low", "high"]
COLUMNS += ["note"]
MEAN, MAJORITY, AGAINST_LABEL, CEILING = "raters, mean", "other raters", "label", "ceiling"
AS_GOOD = "a row is no worse than a rater if it agrees as well with the majority of the others"
Line = tuple[str, str, str, str, str, int, np.ndarray, str]  # measure .. n, values, note


class RatedCells:
    """The test cells of a setting, once a fold, with calls, votes and draws of slides.

    Attributes
    ----------
    rows
        Of the setting.
    cells : data frame
        Columns id, slide, label, part, and one of scores per row.
    votes : (n, raters) int
    raters
        Their names.
    """

    def __init__(self, rows: Rows, votes: pd.DataFrame) -> None:
        parts = [part.assign(part=n) for n, part in enumerate(rows.scores.parts)]
        self.rows, self.cells = rows, pd.concat(parts, ignore_index=True)
        self.raters = [str(name) for name in votes]
        self.votes = votes.loc[self.cells["id"]].to_numpy()
        self._slide = np.searchsorted(rows.slides, self.cells["slide"].to_numpy(rows.slides.dtype))

    @cached_property
    def weights(self) -> np.ndarray:
        """How often each slide counts, (1 + draws, slides): once, then in each draw."""
        slides = len(self.rows.slides)
        counts = resample_slides(slides, draws=self.rows.draw_count, seed=0)
        return np.concatenate([np.ones((1, slides)), counts])

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """All, unanimous and disputed cells, (n,) bool each."""
        alike = self.votes.min(axis=1) == self.votes.max(axis=1)
        return {"all": np.ones(len(alike), bool), "unanimous": alike, "disputed": ~alike}

    def calls(self, name: str) -> np.ndarray:
        """Return the calls of a row or the votes of a rater, (n,) 0 or 1."""
        if name in self.raters:
            return self.votes[:, self.raters.index(name)]
        return (self.cells[name].to_numpy() >= THRESHOLD).astype(int)

    def without(self, rater: str) -> np.ndarray:
        """Return the majority of the other raters, (n,); a tie is 0.5."""
        rest = np.delete(self.votes, self.raters.index(rater), axis=1)
        return (1 + np.sign(2 * rest.sum(axis=1) - rest.shape[1])) / 2

    def agree(
        self, measure: Callable[..., np.ndarray], one: np.ndarray, other: np.ndarray, cells: str
    ) -> np.ndarray:
        """Return a measure of two calls of some cells, (1 + draws,)."""
        mine = self.groups[cells]
        by_slide = tables_by_slide(self._slide[mine], one[mine], other[mine], self.weights.shape[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return measure(*(self.weights @ part for part in by_slide))

    def auroc(self, row: str, cells: str) -> np.ndarray:
        """Return the AUROC of a row on some cells, (1 + draws,), the mean over folds."""
        parts = self.cells[self.groups[cells]].groupby("part")
        names = ("slide", "label", row)
        wins = [count_wins(*(part[name].to_numpy() for name in names)) for _, part in parts]
        if not wins:
            return np.full(len(self.weights), np.nan)
        return bootstrap_auroc(wins, self.rows.slides, [self.weights])

    def ceiling(self) -> tuple[dict[str, np.ndarray], float]:
        """Return the ceilings, (1 + draws,) each, and how far the votes are from their model."""
        moments = vote_moments(self._slide, self.votes, self.weights.shape[1])
        shares = share_distribution(self.weights @ moments)
        return ceilings(shares, len(self.raters)), misfit(shares[0], self.votes)


def compare_raters(
    settings: dict[Setting, Rows], votes: dict[str, pd.DataFrame], alpha: float
) -> pd.DataFrame:
    """Measure every row and every rater against the raters, and rows where raters agree or not.

    Parameters
    ----------
    settings
        Those of datasets without votes are left out, and so are smaller fractions and single
        domains.
    votes
        Dataset to the votes of each rater, data frame indexed by id.
    alpha
        The level at which slides are too few.

    Returns
    -------
    data frame with `COLUMNS`
        `measure`: kappa (Cohen's), balanced_accuracy, auroc. `cells`: all, unanimous, disputed.
        `who`: row, rater, ceiling. `against`: a rater, `raters, mean` (the mean over raters),
        `other raters` (majority of all raters but one, mean over the one), label. `n`: tests,
        a cell once for every fold that tests it. `low`, `high`: 95 % over draws of slides.
    """
    lines: list[Card] = []
    for setting in _shown(settings, votes):
        rows = settings[setting]
        rated = RatedCells(rows, votes[setting[0]])
        about = dict(zip(SETTING, setting, strict=True))
        few = too_few_slides(rows, alpha)
        for measured in _measure(rated):
            who, row, values, note = measured[2], measured[3], measured[6], measured[7]
            line = about | dict(zip(COLUMNS[4:10], measured, strict=False)) | {"value": values[0]}
            known = np.isfinite(values[1:]).any()
            line |= dict(zip(("low", "high"), quantiles(values[1:]) if known else (), strict=False))
            notes = rows.note(row, alpha) if who == "row" else few
            lines.append(line | {"note": "; ".join(filter(None, [notes, note]))})
    return pd.DataFrame(lines, columns=COLUMNS)


def _shown(settings: dict[Setting, Rows], votes: dict[str, Any]) -> Iterator[Setting]:
    """Yield the settings of all domains together, at their largest fraction."""
    for setting in settings:
        dataset, name, fraction, tested = setting
        scheme = Scheme.parse(name)
        whole = tested == "all" if scheme.is_pooled else scheme.domain == "*"
        most = max((other[2] for other in settings if other[:2] == setting[:2]), key=float)
        if dataset in votes and whole and fraction == most:
            yield setting


def _measure(rated: RatedCells) -> Iterator[Line]:
    """Yield every line of a setting: what agrees with raters, where rows err, the ceiling."""
    for row in rated.rows.scores.rows:
        yield from _with_raters(rated, row, "row")
        yield from _against_label(rated, row)
    for rater in rated.raters:
        yield from _with_raters(rated, rater, "rater")
    found, off = rated.ceiling()
    size = len(rated.cells)
    note = f"{ASSUMPTION}; votes are within {off:.3f} of it"
    for measure, against in (
        ("auroc", AGAINST_LABEL),
        ("balanced_accuracy", AGAINST_LABEL),
        ("kappa", MEAN),
    ):
        yield measure, "all", CEILING, CEILING, against, size, found[measure], note


def _with_raters(rated: RatedCells, name: str, who: str) -> Iterator[Line]:
    """Yield kappa with each other rater and its mean, and agreement with the majority of others.

    A row is compared with the majority of all raters but one, for each one, a rater with the
    majority of the others: both are held against the same raters, none of them themselves.
    """
    others, size = [rater for rater in rated.raters if rater != name], len(rated.cells)
    calls = rated.calls(name)
    note = f"calls {100 * calls.mean():.1f} % of cells, raters {100 * rated.votes.mean():.1f} %"
    kappas = [rated.agree(cohen_kappa, calls, rated.calls(rater), "all") for rater in others]
    for rater, values in zip(others, kappas, strict=True):
        yield "kappa", "all", who, name, rater, size, values, note
    yield "kappa", "all", who, name, MEAN, size, np.mean(kappas, axis=0), note
    left_out = [name] if who == "rater" else rated.raters
    for label, measure in (("kappa", cohen_kappa), ("balanced_accuracy", balanced_accuracy)):
        found = [rated.agree(measure, calls, rated.without(rater), "all") for rater in left_out]
        yield label, "all", who, name, MAJORITY, size, np.mean(found, axis=0), f"{note}; {AS_GOOD}"


def _against_label(rated: RatedCells, row: str) -> Iterator[Line]:
    """Yield AUROC and balanced accuracy against the label, where raters agree and where not."""
    calls, label = rated.calls(row), rated.cells["label"].to_numpy()
    for cells, mine in rated.groups.items():
        size = int(mine.sum())
        yield "auroc", cells, "row", row, AGAINST_LABEL, size, rated.auroc(row, cells), ""
        values = rated.agree(balanced_accuracy, calls, label, cells)
        yield "balanced_accuracy", cells, "row", row, AGAINST_LABEL, size, values, ""
