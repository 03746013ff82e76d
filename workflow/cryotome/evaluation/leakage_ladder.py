"""What each rung of the leakage ladder costs each row, at equal training size."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.files import RunPath
from cryotome.core.tables import read_csv
from cryotome.evaluation.statistics.clustered_auroc import (
    Influence,
    auroc_interval,
    difference_interval,
)
from cryotome.evaluation.statistics.fold_tests import t_test
from cryotome.evaluation.statistics.rows import Rows
from cryotome.study.schemes import LADDER, MATCHED, Scheme

RUNGS = [f"{scheme}{MATCHED}" for scheme in LADDER]
# measures of a split's audit that the table repeats, shares of the test cells
LEAKS = ["on_training_slide", "pixels_with_training", "centre_of_other_label"]
LEAKS += ["duplicate_of_training", "near_training_of_other_label", "slide_prevalence_auroc"]


def read_leaks(paths: list[Path]) -> pd.DataFrame:
    """Read the audits of splits: columns dataset, rung, and the mean share of each leak."""
    tables = []
    for path in paths:
        run = RunPath.of(path)
        rung = str(Scheme.parse(run.scheme).every)
        shares = read_csv(path).set_index("measure")["share"].reindex(LEAKS)
        tables.append({"dataset": run.dataset, "rung": rung, **shares})
    return pd.DataFrame(tables).groupby(["dataset", "rung"], as_index=False).mean()


def _rungs(blocks: dict, dataset: str) -> dict[str, Rows]:
    """Return the rungs of a dataset in order, one domain at a time where there are more."""
    found = {}
    for rung in RUNGS:
        for tested in ("domains", "all"):
            keys = (dataset, rung, "1.0", tested)
            if keys in blocks and rung not in found:
                found[rung] = blocks[keys]
    return found


@dataclass(frozen=True)
class LadderStep:
    """One row on one rung: its influence on, and its draws over, all slides of the ladder."""

    influence: Influence
    draws: np.ndarray

    def cost(self, here: "LadderStep") -> tuple[float, ...]:
        """Return what is lost from this rung to another, its interval and its p-value.

        Slides are resampled, the same for both rungs.
        """
        gap = self.influence.minus(here.influence)
        error = float(np.nanstd(self.draws - here.draws))
        low, high = difference_interval(gap.auroc, error, freedom=gap.freedom)
        return gap.auroc, low, high, t_test(gap.auroc, error, gap.freedom)


def _of_row(rows: Rows, row: str, slides: np.ndarray) -> LadderStep:
    draws = rows.block.draws(row, slides=slides, draws=rows.count)
    return LadderStep(rows.block.influence(row, clusters=slides), draws)


def measure_ladder(blocks: dict, leaks: pd.DataFrame, about: Card) -> pd.DataFrame:
    """Price every rung for every row, slides paired between rungs.

    The AUROC is that within domains, averaged over them, because it means the same on every
    rung: a scheme that tests one domain gains nothing by telling domains apart.

    Parameters
    ----------
    blocks
        (dataset, scheme, fraction, tested) to `Rows`, of the matched schemes.
    leaks
        From `read_leaks`.
    about
        `labels`, `rungs` (scheme to title).

    Returns
    -------
    data frame with columns dataset, row, rung, title, n_train, auroc, low, high,
    within_slide, cost, cost_low, cost_high, cost_p (the first rung less this one), step,
    step_low, step_high (the rung before less this one), then the leaks of the rung's splits
    """
    lines = []
    for dataset in dict.fromkeys(keys[0] for keys in blocks):
        rungs = _rungs(blocks, dataset)
        slides = np.unique(np.concatenate([rows.slides for rows in rungs.values()]))
        for row in next(iter(rungs.values())).block.rows:
            of = {rung: _of_row(rows, row, slides) for rung, rows in rungs.items()}
            first = before = next(iter(of))
            for rung, rows in rungs.items():
                here = of[rung].influence
                place = (dataset, row, rung, about["rungs"][rung], rows.block.trained[row])
                span = auroc_interval(here.auroc, here.error, freedom=here.freedom)
                cost, step = (of[one].cost(of[rung]) for one in (first, before))
                within = rows.block.within(row)
                lines.append((*place, here.auroc, *span, within, *cost, *step[:3]))
                before = rung
    columns = ["dataset", "row", "rung", "title", "n_train", "auroc", "low", "high"]
    columns += ["within_slide", "cost", "cost_low", "cost_high", "cost_p"]
    table = pd.DataFrame(lines, columns=[*columns, "step", "step_low", "step_high"])
    return table.merge(leaks, on=["dataset", "rung"], how="left")


def markdown_table(table: pd.DataFrame, labels: dict[str, str]) -> pd.DataFrame:
    """Turn the ladder into the cells that Markdown prints: one line a row and rung."""

    def span(line: dict, name: str, low: str, high: str) -> str:
        reach = "" if np.isnan(line[low]) else f" ({line[low]:.3f} to {line[high]:.3f})"
        return f"{line[name]:.3f}{reach}"

    return pd.DataFrame(
        {
            "Dataset": line["dataset"],
            "Row": labels[line["row"]],
            "LadderStep": line["title"],
            "Cells": f"{line['n_train']:,.0f}",
            "AUROC": span(line, "auroc", "low", "high"),
            "Within slides": f"{line['within_slide']:.3f}",
            "Cost": "" if line["rung"] == RUNGS[0] else span(line, "cost", "cost_low", "cost_high"),
        }
        for line in table.to_dict("records")
    )
