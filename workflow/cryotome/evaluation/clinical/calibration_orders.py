"""Orders of rows by calibration and by AUROC, and how far the two agree."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from cryotome.evaluation.clinical.recalibrated import BEFORE, ERRORS
from cryotome.evaluation.clinical.recalibration import SETTING, Measured, Setting
from cryotome.evaluation.statistics.fold_tests import quantiles

MIN_ROWS = 3  # two rows agree or do not
COLUMNS = [*SETTING, "method", "labels_spent", "measure", "rows", "rho", "low", "high"]


def rank_correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return Spearman's rank correlation of the rows of each draw, (draws,).

    Parameters
    ----------
    one, other : (rows, draws)
        A draw in which all rows are equal gives NaN.

    >>> rank_correlation(np.array([[1.0], [2.0], [3.0]]), np.array([[9.0], [5.0], [7.0]]))
    array([-0.5])
    """
    a, b = (rankdata(values, axis=0) - (len(values) + 1) / 2 for values in (one, other))
    with np.errstate(invalid="ignore"):
        return (a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))


def compare_orders(setting: Setting, measured: dict[str, Measured]) -> pd.DataFrame:
    """Correlate the order of rows by AUROC with that by each error, the least error first.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, where, method, labels_spent, measure, rows,
    rho (1: the row that separates classes better is calibrated better too), low, high (95 % of the
    draws of slides, the same for all rows); no line where fewer than three rows are compared
    """
    names = list(measured)
    lines = []
    better = [measured[row][BEFORE]["auroc"] for row in names]
    for key in measured[names[0]] if len(names) >= MIN_ROWS else []:
        for name in ERRORS:
            errors = [measured[row][key][name] for row in names]
            found, drawn = (
                rank_correlation(np.array(a), -np.array(b))
                for a, b in (
                    ([[one.value] for one in better], [[one.value] for one in errors]),
                    ([one.drawn for one in better], [one.drawn for one in errors]),
                )
            )
            known = np.isfinite(drawn).any()
            ends = quantiles(drawn) if known else (np.nan, np.nan)
            lines.append((*setting, *key, name, len(names), float(found[0]), *ends))
    return pd.DataFrame(lines, columns=COLUMNS).astype({"fraction": float})
