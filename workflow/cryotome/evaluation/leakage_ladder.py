"""Leakage ladder: the AUROC that each row loses from rung to rung, at equal training size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.files import RunPath
from cryotome.core.tables import read_csv
from cryotome.evaluation.statistics.clustered_auroc import (
    Influence,
    auroc_interval,
    difference_interval,
)
from cryotome.evaluation.statistics.fold_tests import t_test
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import Rows
from cryotome.study.schemes import LADDER, MATCHED, Scheme

RUNGS = [f"{scheme}{MATCHED}" for scheme in LADDER]
# measures of a split's audit that the table repeats, fractions of the test cells
LEAKS = ["on_training_slide", "pixels_with_training", "centre_of_other_label"]
LEAKS += ["duplicate_of_training", "near_training_of_other_label", "slide_prevalence_auroc"]
COLUMNS = ["dataset", "row", "rung", "title", "n_train", "auroc", "low", "high", "within_slide"]
COLUMNS += ["cost", "cost_low", "cost_high", "cost_p", "step", "step_low", "step_high"]


def read_leaks(paths: list[Path]) -> pd.DataFrame:
    """Read the audits of splits: columns dataset, rung, and the mean fraction of each leak."""
    tables = []
    for path in paths:
        run = RunPath.of(path)
        rung = str(Scheme.parse(run.scheme).every)
        shares = read_csv(path).set_index("measure")["share"].reindex(LEAKS)
        tables.append({"dataset": run.dataset, "rung": rung, **shares})
    return pd.DataFrame(tables).groupby(["dataset", "rung"], as_index=False).mean()


def _rungs(settings: dict[Setting, Rows], dataset: str) -> dict[str, Rows]:
    """Return the rungs of a dataset in order, tested within domains where there are several."""
    found = {}
    for rung in RUNGS:
        for tested in ("domains", "all"):
            setting = (dataset, rung, "1.0", tested)
            if setting in settings and rung not in found:
                found[rung] = settings[setting]
    return found


@dataclass(frozen=True)
class LadderStep:
    """One row on one rung: influences and bootstrap draws over all slides of the ladder."""

    influence: Influence
    draws: np.ndarray

    def cost(self, other: "LadderStep") -> tuple[float, ...]:
        """Return the AUROC lost from this rung to another, its interval and its p-value.

        Slides are resampled, the same for both rungs.
        """
        gap = self.influence.minus(other.influence)
        error = float(np.nanstd(self.draws - other.draws))
        low, high = difference_interval(gap.auroc, error, freedom=gap.freedom)
        return gap.auroc, low, high, t_test(gap.auroc, error, gap.freedom)


def _ladder_step(rows: Rows, row: str, slides: np.ndarray) -> LadderStep:
    draws = rows.scores.bootstrap(row, slides=slides, draws=rows.draw_count)
    return LadderStep(rows.scores.influence(row, clusters=slides), draws)


def measure_ladder(
    settings: dict[Setting, Rows], leaks: pd.DataFrame, titles: dict[str, str]
) -> pd.DataFrame:
    """Measure the cost of every rung for every row, slides paired between rungs.

    The AUROC is that within domains, averaged over them, because it means the same on every
    rung: a scheme that tests one domain gains nothing by telling domains apart.

    Parameters
    ----------
    settings
        Rows of the matched schemes.
    leaks
        From `read_leaks`.
    titles
        Of the rungs.

    Returns
    -------
    data frame with columns dataset, row, rung, title, n_train, auroc, low, high,
    within_slide, cost, cost_low, cost_high, cost_p (the first rung minus this one), step,
    step_low, step_high (the rung before minus this one), then the leaks of the rung's splits
    """
    lines = []
    for dataset in dict.fromkeys(setting[0] for setting in settings):
        rungs = _rungs(settings, dataset)
        slides = np.unique(np.concatenate([rows.slides for rows in rungs.values()]))
        for row in next(iter(rungs.values())).scores.rows:
            lines += _measure_row(rungs, row, slides, (dataset, titles))
    table = pd.DataFrame(lines, columns=COLUMNS)
    return table.merge(leaks, on=["dataset", "rung"], how="left")


def _measure_row(
    rungs: dict[str, Rows], row: str, slides: np.ndarray, names: tuple[str, dict[str, str]]
) -> list[tuple]:
    """Return a line of each rung for one row; `names`: the dataset, and rung to title."""
    steps = {rung: _ladder_step(rows, row, slides) for rung, rows in rungs.items()}
    lines, first = [], next(iter(steps.values()))
    before, (dataset, titles) = first, names
    for rung, step in steps.items():
        scores, here = rungs[rung].scores, step.influence
        span = auroc_interval(here.auroc, here.error, freedom=here.freedom)
        place = (dataset, row, rung, titles[rung], scores.training_cells[row])
        values = (here.auroc, *span, scores.within_slide(row))
        lines.append((*place, *values, *first.cost(step), *before.cost(step)[:3]))
        before = step
    return lines
