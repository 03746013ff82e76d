import numpy as np
import pytest
from scipy.stats import spearmanr

from cryotome.evaluation.clinical.calibration_orders import (
    COLUMNS,
    compare_orders,
    rank_correlation,
)
from cryotome.evaluation.clinical.recalibrated import BEFORE, ERRORS, Estimate

SETTING = ("amibr", "from_*", "0.1", "out")


def measured(aurocs, errors, spread=0.001):
    """Rows with these AUROCs and errors, and draws that scatter by `spread` about them."""
    rng = np.random.default_rng(0)

    def estimate(value):
        return Estimate(value, (0, 1), value + rng.normal(scale=spread, size=300))

    return {
        f"m{n} + h": {BEFORE: {"auroc": estimate(auroc)} | {e: estimate(error) for e in ERRORS}}
        for n, (auroc, error) in enumerate(zip(aurocs, errors, strict=True))
    }


def test_each_draw_has_spearmans_correlation():
    one, other = np.random.default_rng(1).integers(0, 6, size=(2, 7, 50)).astype(float)
    expected = [spearmanr(a, b).statistic for a, b in zip(one.T, other.T, strict=True)]
    assert rank_correlation(one, other) == pytest.approx(expected)
    assert np.isnan(rank_correlation(np.ones((3, 1)), other[:3, :1])).all()


@pytest.mark.parametrize(
    ("errors", "rho"), [((0.3, 0.2, 0.1, 0.05), 1), ((0.1, 0.2, 0.3, 0.4), -1)]
)
def test_the_better_row_is_the_one_with_the_smaller_error(errors, rho):
    table = compare_orders(SETTING, measured((0.6, 0.7, 0.8, 0.9), errors))
    assert list(table.columns) == COLUMNS
    assert list(table["measure"]) == ERRORS
    assert set(table["rho"]) == set(table["low"]) == set(table["high"]) == {rho}
    assert set(table["rows"]) == {4} and set(table["fraction"]) == {0.1}


def test_orders_that_the_slides_do_not_decide_have_a_wide_interval():
    table = compare_orders(SETTING, measured((0.6, 0.61, 0.62, 0.9), (0.2, 0.2, 0.2, 0.1), 0.05))
    assert (table["high"] - table["low"] > 0.5).all()


def test_two_rows_have_no_order_to_compare():
    assert compare_orders(SETTING, measured((0.6, 0.7), (0.1, 0.2))).empty
