"""Learning curves: AUROC against the training fraction, fitted, with crossing points."""

import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from cryotome.core.cards import Card
from cryotome.evaluation.statistics.fold_tests import quantiles
from cryotome.evaluation.statistics.paired_scores import Setting
from cryotome.evaluation.statistics.rows import Rows

NEAR_ONE = 0.999  # AUROC; a fitted limit above it lies at the bound of the fit
FITTED_DRAWS = 200  # bootstrap draws to which a learning curve is fitted
MIN_FRACTIONS = 4  # training fractions; fewer do not determine a curve of three parameters
CURVES = ["dataset", "scheme", "row", "limit", "low", "high", "power", "doubled", "note"]
CROSSINGS = ["dataset", "scheme", "row", "fraction", "auroc", "reference", "equal_fraction"]
CROSSINGS += ["low", "high", "text"]
Curve = list[tuple[float, Rows]]  # training fraction and rows, ascending


def _curves(settings: dict[Setting, Rows]) -> dict[tuple[str, str], Curve]:
    """Sort the settings that test all cells into curves over fractions, by dataset and scheme."""
    curves: dict[tuple[str, str], Curve] = {}
    for (dataset, scheme, fraction, tested), rows in settings.items():
        if tested == "all":
            curves.setdefault((dataset, scheme), []).append((float(fraction), rows))
    return {k: sorted(v, key=lambda pair: pair[0]) for k, v in curves.items() if len(v) > 1}


def learning_curves(settings: dict[Setting, Rows]) -> pd.DataFrame:
    """Fit AUROC = limit - drop n^-power to every row's learning curve, with its interval.

    Returns
    -------
    data frame with columns dataset, scheme, row, limit, low, high (limit of endless data; 95 %
    by resampling slides; empty where all of it is AUROC 1, the bound of the fit), power,
    doubled (what twice the full training set would add), note
    """
    lines = [
        {"dataset": dataset, "scheme": scheme, "row": row} | _fit_row(curve, row)
        for (dataset, scheme), curve in _curves(settings).items()
        for row in curve[-1][1].scores.rows
    ]
    return pd.DataFrame(lines, columns=CURVES)


def _of_row(curve: Curve, row: str) -> Curve:
    """Return the fractions at which a row was run."""
    return [(fraction, rows) for fraction, rows in curve if row in rows.scores.rows]


def _fit_row(curve: Curve, row: str) -> Card:
    """Return limit, low, high, power, doubled and note of one row; the note alone without a fit."""
    curve = _of_row(curve, row)
    cells = np.array([rows.scores.training_cells[row] for _, rows in curve])
    fit = fit_curve(cells, np.array([rows.influences[row].auroc for _, rows in curve]))
    if fit is None:
        why = "; more cells do not make it better" if len(curve) >= MIN_FRACTIONS else ""
        return {"note": f"{len(curve)} fractions: no law is fitted{why}"}
    draws = np.array([rows.bootstrap[row][:FITTED_DRAWS] for _, rows in curve]).T
    limits = [found[0] for found in (fit_curve(cells, draw) for draw in draws) if found]
    low, high = quantiles(np.array(limits)) if limits else (np.nan, np.nan)
    limit, drop, power = fit
    gain = drop * (cells[-1] ** -power - (2 * cells[-1]) ** -power)
    note = "at the edge of the law: AUROC 1 is not excluded" if high > NEAR_ONE else ""
    if low > NEAR_ONE:  # a bound of the fit, not a finding
        limit, low, high = (np.nan,) * 3
    found = {"limit": limit, "low": low, "high": high, "power": power, "doubled": gain}
    return found | {"note": note}


def _equal_fraction(
    curve: Curve, row: str, rows: Rows, reference: str
) -> tuple[float, float, float]:
    """Return the fraction at which the reference reaches a row of a setting, and its interval."""
    curve = _of_row(curve, reference)
    fractions = np.array([fraction for fraction, _ in curve])
    middle = np.array([one.influences[reference].auroc for _, one in curve])
    draws = np.array([one.bootstrap[reference] for _, one in curve]).T
    pairs = zip(draws, rows.bootstrap[row], strict=True)
    found = [crossing_fraction(fractions, one, own) for one, own in pairs]
    low, high = np.quantile(found, [0.025, 0.975], method="inverted_cdf")
    return crossing_fraction(fractions, middle, rows.influences[row].auroc), low, high


def crossings(settings: dict[Setting, Rows], reference: str) -> pd.DataFrame:
    """Find the fraction at which the reference reaches what a row reaches at each fraction.

    Returns
    -------
    data frame with columns dataset, scheme, row, fraction, auroc, reference, equal_fraction,
    low, high (95 % by resampling slides), text
        equal_fraction is 0 where the reference's smallest fraction is enough already, and
        infinite where its largest is not.
    """
    lines = []
    for (dataset, scheme), curve in _curves(settings).items():
        fractions = [fraction for fraction, _ in _of_row(curve, reference)]
        for fraction, rows in curve:
            others = [row for row in rows.scores.rows if row != reference]
            for row in others if fractions else []:
                equal, low, high = _equal_fraction(curve, row, rows, reference)
                text = _crossing_text(row, fraction, reference, equal, fractions)
                names = (dataset, scheme, row, fraction, rows.influences[row].auroc)
                lines.append((*names, reference, equal, low, high, text))
    return pd.DataFrame(lines, columns=CROSSINGS)


def _crossing_text(
    row: str, fraction: float, reference: str, equal: float, fractions: list[float]
) -> str:
    if equal == 0:
        there = f"less than {reference} at {100 * fractions[0]:g} %"
    elif np.isinf(equal):
        there = f"more than {reference} at {100 * fractions[-1]:g} %"
    else:
        there = f"{reference} at {100 * equal:.2g} %"
    return f"{row} at {100 * fraction:g} % equals {there}"


def _power_curve(n: np.ndarray, limit: float, drop: float, power: float) -> np.ndarray:
    return limit - drop * n**-power


def fit_curve(cells: np.ndarray, aurocs: np.ndarray) -> tuple[float, float, float] | None:
    """Fit AUROC = limit - drop n^-power to a learning curve.

    Parameters
    ----------
    cells, aurocs : (k,) training cells and AUROC at each fraction

    Returns
    -------
    limit, drop, power; None with fewer than four fractions, or where no curve fits, for example
    where more cells make it worse
    """
    good = np.isfinite(aurocs)
    if good.sum() < MIN_FRACTIONS:
        return None
    n, y = cells[good].astype(float), aurocs[good]
    first = (min(y.max() + 0.02, 1.0), max(np.ptp(y), 0.01) * n.min() ** 0.3, 0.3)
    bounds = ([0, -1e3, 0.01], [1, 1e3, 3])
    try:
        found, _ = curve_fit(_power_curve, n, y, p0=first, bounds=bounds, maxfev=5000)
    except RuntimeError:  # no convergence
        return None
    limit, drop, power = map(float, found)
    return (limit, drop, power) if drop >= 0 else None


def crossing_fraction(fractions: np.ndarray, curve: np.ndarray, value: float) -> float:
    """Return the fraction at which a learning curve first reaches a value.

    The curve is straight between measured fractions on a logarithmic axis.

    Returns
    -------
    0.0 where the smallest fraction gives more already, infinity where none is enough, NaN
    where a value is unknown

    >>> curve = np.array([0.6, 0.7, 0.8])
    >>> round(crossing_fraction(np.array([0.01, 0.1, 1.0]), curve, 0.75), 3)
    0.316
    >>> crossing_fraction(np.array([0.1, 1.0]), np.array([0.6, 0.7]), 0.9)
    inf
    """
    if not np.isfinite([*curve, value]).all():
        return float("nan")
    if value < curve[0]:
        return 0.0
    if value == curve[0]:
        return float(fractions[0])
    for left in range(len(curve) - 1):
        low, high = curve[left], curve[left + 1]
        if low < value <= high:
            place = (value - low) / (high - low)  # 0 to 1 between the two fractions
            ends = np.log(fractions[left : left + 2])
            return float(np.exp(ends[0] + place * (ends[1] - ends[0])))
    return float("inf")
