"""Ranks of rows with intervals, over the same draws of slides as everything else."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from cryotome.evaluation.statistics.comparisons import holm
from cryotome.evaluation.statistics.fold_tests import quantiles, t_test
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import SETTING, Rows, too_few_slides

COLUMNS = [*SETTING, "row", "auroc", "rank", "rank_low", "rank_high", "first", "group", "note"]


def rank_rows_with_intervals(settings: dict[Setting, Rows], alpha: float) -> pd.DataFrame:
    """Rank the rows of every setting, with the interval of each rank and the share of first places.

    Parameters
    ----------
    alpha
        The level at which two rows differ, corrected by Holm over all pairs of the setting.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, tested, row, auroc, rank (1 is best),
    rank_low, rank_high (95 % of the draws of slides), first (share of the draws in which the row
    has the highest AUROC; equal rows share it), group, note
        Rows of one letter of `group` are not told apart, and neighbours by AUROC; a row may have
        several letters. No letters where too few slides are tested for any test.
    """
    tables = []
    for setting, rows in settings.items():
        names = sorted(rows.influences, key=lambda row: -rows.influences[row].auroc)
        values = [rows.influences[row].auroc for row in names]
        draws = np.array([rows.bootstrap[row] for row in names])
        draws = draws[:, np.isfinite(draws).all(axis=0)]
        ranks = rankdata(-draws, axis=0)
        best = draws == draws.max(axis=0)
        low, high = np.array([quantiles(of_row) for of_row in ranks]).T
        few = too_few_slides(rows, alpha)
        about = dict(zip(SETTING, setting, strict=True)) | {"row": names, "auroc": values}
        about |= {"rank": rankdata(np.negative(values)), "rank_low": low, "rank_high": high}
        about |= {"first": (best / best.sum(axis=0)).mean(axis=1), "note": few}
        about["group"] = "" if few else _letters(_alike(rows, names, alpha))
        tables.append(pd.DataFrame(about))
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)
    return whole[COLUMNS]


def _alike(rows: Rows, names: list[str], alpha: float) -> np.ndarray:
    """Return whether each two rows are not told apart, (rows, rows) bool; slides are paired."""
    alike = np.eye(len(names), dtype=bool)
    pairs = list(combinations(range(len(names)), 2))
    p = []
    for one, other in pairs:
        gap, error = rows.gap(names[one], names[other])
        p.append(t_test(gap.auroc, error, freedom=gap.freedom))
    for (one, other), value in zip(pairs, holm(pd.Series(p, dtype=float)), strict=True):
        alike[one, other] = alike[other, one] = not value < alpha  # unknown: not told apart
    return alike


def _letters(alike: np.ndarray) -> list[str]:
    """Return the letters of each row, one for each longest run in which all pairs are alike.

    >>> _letters(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], dtype=bool))
    ['a', 'ab', 'b']
    """
    runs: list[range] = []
    for first in range(len(alike)):
        last = first
        while last + 1 < len(alike) and alike[first : last + 2, first : last + 2].all():
            last += 1
        if not runs or last + 1 > runs[-1].stop:
            runs.append(range(first, last + 1))
    names = [chr(ord("a") + n) if n < 26 else f"({n + 1})" for n in range(len(runs))]
    return [
        "".join(name for name, run in zip(names, runs, strict=True) if row in run)
        for row in range(len(alike))
    ]
