import numpy as np
import pytest
from scipy import stats

from cryotome.evaluation.statistics.fold_tests import (
    corrected_t,
    equivalence,
    quantiles,
    smallest_possible_p,
    variance_components,
)


def test_corrected_t_by_hand():
    """Mean 0.02, SD 0.01, five folds: error = sqrt(0.2 + 0.3125) * 0.01 = 0.0071589."""
    gaps = np.array([0.01, 0.01, 0.02, 0.03, 0.03])
    assert gaps.std(ddof=1) == pytest.approx(0.01)
    t, p = corrected_t(gaps, 0.3125)
    assert t == pytest.approx(0.02 / 0.00715891, rel=1e-5)
    assert p == pytest.approx(2 * stats.t.sf(t, 4))
    plain = stats.ttest_1samp(gaps, 0)
    assert corrected_t(gaps, 0.0) == pytest.approx((plain.statistic, plain.pvalue))
    assert np.isnan(corrected_t(np.zeros(5), 0.3)).all()
    assert np.isnan(corrected_t(np.array([0.1]), 0.3)).all()


def test_five_folds_cannot_reach_significance_by_signs():
    gaps = np.arange(1, 6) / 100
    assert stats.wilcoxon(gaps).pvalue == smallest_possible_p(5) == 0.0625
    assert smallest_possible_p(6) < 0.05


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [(0.0, 0.005, "equivalent"), (0.05, 0.005, "different"), (0.02, 0.005, "undecided"),
     (-0.05, 0.005, "different"), (0.0, 0.02, "undecided"), (0.0, np.nan, "undecided")],
)  # fmt: skip
def test_equivalence_within_a_stated_margin(value, error, said):
    assert equivalence(value, error, freedom=100, margin=0.02, alpha=0.05) == said


def test_seed_and_draw_variance_apart():
    """Folds 0.80 and 0.84 in the mean, seeds +-0.01 about it: seed variance 0.0002."""
    values = np.array([[0.79, 0.81], [0.83, 0.85]])
    parts = variance_components(values, seeded=True)
    assert parts["sd_seed"] == pytest.approx(np.sqrt(0.0002))
    assert parts["sd_draw"] == pytest.approx(np.sqrt(0.0008 - 0.0001))
    alone = variance_components(values[:, :1], seeded=True)
    assert np.isnan(alone["sd_seed"]) and np.isnan(alone["sd_draw"])  # one seed cannot tell
    unique = variance_components(values[:, :1], seeded=False)
    assert unique == {"sd_seed": 0, "sd_draw": pytest.approx(np.std([0.79, 0.83], ddof=1))}
    assert np.isnan(variance_components(values[:1], seeded=False)["sd_draw"])


def test_quantiles_pass_over_draws_without_a_class():
    assert quantiles(np.array([np.nan, *np.linspace(0, 1, 101)])) == pytest.approx((0.025, 0.975))
