"""Rows of a study with their paired scores, influences and bootstrap draws, by setting."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.data.domains import put_scanners
from cryotome.evaluation.statistics.clustered_auroc import Influence
from cryotome.evaluation.statistics.fold_tests import smallest_possible_p
from cryotome.evaluation.statistics.paired_scores import PairedScores, Setting, load_paired_scores
from cryotome.study.facts import RowFacts
from cryotome.study.statistical_unit import UNKNOWN

SETTING = ["dataset", "scheme", "fraction", "tested"]  # columns of every table
MIN_COVERAGE = 0.92  # of a 95 % interval; one that covers less is named in the table
SLIDES_TOLERANCE = 1.25  # ratio; effective slides scatter from draw to draw
CLUSTERED_COVERAGE = "covered by the clustered interval"  # value of `what` in calibration.csv


class Rows:
    """The rows of one setting and what their comparison needs, each computed once.

    Attributes
    ----------
    scores
        The rows' scores on the test cells of the setting.
    slides : (s,) str, sorted
        Images, where slides are not known.
    draw_count
        Bootstrap draws of slides.
    slides_unknown
        Whether the dataset's card says that slides are not known.
    """

    def __init__(
        self, scores: PairedScores, *, draws: int, calibration: pd.DataFrame, unknown: bool = False
    ) -> None:
        self.scores, self.draw_count, self._calibration = scores, draws, calibration
        self.slides, self.slides_unknown = scores.slides, unknown

    @property
    def unit_count(self) -> str:
        """The number and the name of the intervals' units: 20 slides."""
        return f"{len(self.slides):,} {UNKNOWN if self.slides_unknown else 'slides'}"

    @property
    def coverage_note(self) -> str:
        """Where simulated 95 % intervals covered less than 92 %; empty elsewhere."""
        if self.slides_unknown:  # it was simulated for slides
            return ""
        known = self._calibration
        known = known[known["what"] == CLUSTERED_COVERAGE]
        folds = "grouped" if self.scores.folds_split_slides else "random"
        by_domain = len(self.scores.parts) > len(set(self.scores.folds))
        alike = (known["folds"] == folds) & ((known["tested"] == "domains") == by_domain)
        effective = self.scores.effective_slides
        few = known["effective_slides"] * SLIDES_TOLERANCE >= effective
        low = known[alike & few & (known["share"] < MIN_COVERAGE)]
        if low.empty:
            return ""
        worst = low.sort_values("share").iloc[0]
        return (
            f"slides of unequal size count as {effective:.1f} equal ones: with about "
            f"{worst['effective_slides']:.0f}, 95 % intervals cover {100 * worst['share']:.0f} % "
            f"(simulated, {worst['folds']} folds, slides of {worst['dataset']})"
        )

    def note(self, row: str, alpha: float) -> str:
        """Return the caveats of a row's interval, joined by semicolons."""
        what = "image" if self.slides_unknown else "slide"
        single = self.influences[row].single_cluster
        one = f"no interval: a class of a tested part is on one {what} only" if single else ""
        few = too_few_slides(self, alpha) or self.coverage_note
        unit = f"{self.unit_count}: too narrow where images share a slide"
        notes = [unit if self.slides_unknown else "", self.scores.constant_note(row), one, few]
        return "; ".join(filter(None, notes))

    def gap(self, row: str, other: str) -> tuple[Influence, float]:
        """Return what an AUROC has over another, slides paired, and its error by the bootstrap."""
        error = float(np.nanstd(self.bootstrap[row] - self.bootstrap[other]))
        return self.influences[row].minus(self.influences[other]), error

    @cached_property
    def influences(self) -> dict[str, Influence]:
        """Row to the influence of each slide."""
        return {r: self.scores.influence(r, clusters=self.slides) for r in self.scores.rows}

    @cached_property
    def bootstrap(self) -> dict[str, np.ndarray]:
        """Row to its AUROC in each draw of slides, (draws,)."""
        slides, draws = self.slides, self.draw_count
        return {
            row: self.scores.bootstrap(row, slides=slides, draws=draws) for row in self.scores.rows
        }


def load_rows(
    cells: list[Path], predictions: list[Path], calibration: Path, facts: RowFacts
) -> dict[Setting, Rows]:
    """Read the predictions of a study and prepare them for comparison.

    Parameters
    ----------
    cells
        Tables of cells, each named as its dataset.
    calibration
        config/calibration.csv, of `prepare_rows`.
    """
    of_cells = {path.stem: load_cells(path).set_index("id") for path in cells}
    for name, scanners in facts.scanners.items():
        of_cells[name]["scanner"] = put_scanners(of_cells[name], scanners)
    scores = load_paired_scores(predictions, of_cells)
    draws = facts.statistics.draws
    return prepare_rows(scores, draws, read_csv(calibration), facts.unknown_slides)


def prepare_rows(
    settings: dict[Setting, PairedScores],
    draws: int,
    calibration: pd.DataFrame,
    unknown: Sequence[str] = (),
) -> dict[Setting, Rows]:
    """Prepare the settings of a study for comparison.

    Parameters
    ----------
    draws
        Bootstrap draws of slides.
    calibration
        How often our intervals covered in simulated studies, from config/calibration.csv.
    unknown
        Datasets whose slides are not known.
    """
    how: dict[str, Any] = {"draws": draws, "calibration": calibration}
    return {key: Rows(one, **how, unknown=key[0] in unknown) for key, one in settings.items()}


def too_few_slides(rows: Rows, alpha: float) -> str:
    """Return why no test over slides can reach a level; empty where one can."""
    least = smallest_possible_p(len(rows.slides))
    if least < alpha:
        return ""
    return f"{rows.unit_count}: no test can reach {alpha} (least p {least:.3g})"
