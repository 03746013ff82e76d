"""Rows of a study with their paired scores, by dataset, scheme and fraction."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.evaluation.statistics.fold_tests import smallest_possible_p
from cryotome.evaluation.statistics.paired_scores import Keys, PairedScores, load_paired_scores
from cryotome.study.statistical_unit import UNKNOWN

BLOCK = ["dataset", "scheme", "fraction", "tested"]


COVERED = 0.92  # a 95 % interval that covers less is named in the table


NEARLY = 1.25  # effective slides scatter from draw to draw


CLUSTERED = "covered by the clustered interval"


class Rows:
    """The rows of one block and what their comparison needs, each computed once."""

    def __init__(
        self, block: PairedScores, *, draws: int, calibration: pd.DataFrame, unknown: bool = False
    ) -> None:
        self.block, self.count, self._calibration = block, draws, calibration
        self.slides, self.unknown = block.slides, unknown  # images, where slides are not known

    @property
    def named(self) -> str:
        """What the intervals take as their unit, and how many there are."""
        return f"{len(self.slides):,} {UNKNOWN if self.unknown else 'slides'}"

    @property
    def coverage_note(self) -> str:
        """Say where 95 % intervals are known to cover less than 92 %, else nothing."""
        if self.unknown:  # it was simulated for slides
            return ""
        known = self._calibration
        known = known[known["what"] == CLUSTERED]
        folds = "grouped" if self.block.grouped else "random"
        parted = len(self.block.parts) > len(set(self.block.folds))  # a fold by its domains
        alike = (known["folds"] == folds) & ((known["tested"] == "domains") == parted)
        mine = self.block.effective_slides
        few = known["effective_slides"] * NEARLY >= mine
        low = known[alike & few & (known["share"] < COVERED)]
        if low.empty:
            return ""
        worst = low.sort_values("share").iloc[0]
        return (
            f"{mine:.1f} effective slides: with about {worst['effective_slides']:.0f} "
            f"(simulated, {worst['folds']} folds, slides of {worst['dataset']}) 95 % intervals "
            f"cover {100 * worst['share']:.0f} %"
        )

    def note(self, row: str, alpha: float) -> str:
        """Return what must be known of a row's interval."""
        slides = self.influences[row]
        what = "image" if self.unknown else "slide"
        one = f"a part has one {what} of a label: no interval" if slides.single else ""
        few = too_few_slides(self, alpha) or self.coverage_note
        unit = f"{self.named}: too narrow where images share a slide" if self.unknown else ""
        return "; ".join(filter(None, [unit, self.block.constant(row), one, few]))

    @cached_property
    def influences(self) -> dict:
        """Row to the influence of each slide."""
        return {r: self.block.influence(r, clusters=self.slides) for r in self.block.rows}

    @cached_property
    def draws(self) -> dict[str, np.ndarray]:
        """Row to its AUROC in each draw of slides."""
        slides, draws = self.slides, self.count
        return {row: self.block.draws(row, slides=slides, draws=draws) for row in self.block.rows}


def load_blocks(
    cells: list[Path], predictions: list[Path], calibration: Path, about: Card
) -> dict[Keys, Rows]:
    """Gather the predictions of a study and prepare them for comparison.

    Parameters
    ----------
    cells
        Tables of cells, each named as its dataset.
    calibration, about
        The file, and the study's facts, that `read_blocks` takes its own from.
    """
    of_cells = {path.stem: load_cells(path).set_index("id") for path in cells}
    gathered = load_paired_scores(predictions, of_cells)
    unknown = about.get("unknown_slides", [])
    return read_blocks(gathered, about["statistics"], read_csv(calibration), unknown)


def read_blocks(
    blocks: dict[Keys, PairedScores],
    about: Card,
    calibration: pd.DataFrame,
    unknown: Sequence[str] = (),
) -> dict[Keys, Rows]:
    """Prepare the blocks of a study.

    Parameters
    ----------
    about
        The study's `statistics`.
    calibration
        How often our intervals covered in simulated studies, from config/calibration.csv.
    unknown
        Datasets whose slides are not known.
    """
    how = {"draws": about["draws"], "calibration": calibration}
    return {keys: Rows(block, **how, unknown=keys[0] in unknown) for keys, block in blocks.items()}


def too_few_slides(rows: Rows, alpha: float) -> str:
    """Say where a block has too few slides for any statement about slides, else nothing."""
    least = smallest_possible_p(len(rows.slides))
    if least < alpha:
        return ""
    return f"{rows.named}: no test can reach {alpha} (least p {least:.3g})"
