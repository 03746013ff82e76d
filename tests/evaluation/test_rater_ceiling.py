import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score

from cryotome.core.metrics import auroc
from cryotome.evaluation.rater_ceiling import (
    MIDDLES,
    ceilings,
    misfit,
    share_distribution,
    vote_moments,
)

A, B = 0.3, 0.9  # of the planted beta distribution: mean 0.25, agreement 1 / (1 + a + b) = 0.45


def planted(raters, cells=200_000, seed=0):
    rng = np.random.default_rng(seed)
    share = rng.beta(A, B, size=cells)
    return share, (rng.random((cells, raters)) < share[:, None]).astype(int)


def of_votes(votes):
    moments = vote_moments(np.zeros(len(votes), int), votes, 1)
    return share_distribution(moments)


@pytest.mark.parametrize("raters", [2, 3, 5])
def test_the_ceilings_are_what_the_model_that_knows_every_share_reaches(raters):
    share, votes = planted(raters)
    found = ceilings(of_votes(votes), raters)
    ties = np.random.default_rng(1).integers(0, 2, size=len(votes))
    twice = 2 * votes.sum(axis=1)
    label = np.where(twice == raters, ties, twice > raters).astype(int)
    assert found["auroc"][0] == pytest.approx(auroc(label, share), abs=0.004)
    best = [balanced_accuracy_score(label, share > at) for at in np.arange(0.1, 0.6, 0.02)]
    assert found["balanced_accuracy"][0] == pytest.approx(max(best), abs=0.004)
    best = [cohen_kappa_score(votes[:, 0], share > at) for at in np.arange(0.2, 0.8, 0.02)]
    assert found["kappa"][0] == pytest.approx(max(best), abs=0.006)


def test_readers_who_agree_always_or_never_more_than_by_coincidence_are_the_ends():
    sure = np.repeat(np.arange(1000) % 4 == 0, 3).reshape(-1, 3).astype(int)
    assert all(value[0] > 0.99 for value in ceilings(of_votes(sure), 3).values())
    guessed = np.random.default_rng(0).integers(0, 2, size=(20_000, 3))
    found = ceilings(of_votes(guessed), 3)
    assert found["auroc"][0] < 0.6 and found["kappa"][0] < 0.1


def test_votes_of_another_distribution_are_told():
    votes = planted(3)[1]
    assert misfit(of_votes(votes)[0], votes) < 0.003
    rng = np.random.default_rng(0)
    share = np.where(rng.random(100_000) < 0.5, 0.05, rng.choice([0.5, 0.99], size=100_000))
    other = (rng.random((100_000, 3)) < share[:, None]).astype(int)
    assert misfit(of_votes(other)[0], other) > 0.01


def test_moments_are_summed_by_slide_and_weighted_by_draws():
    votes = np.array([[1, 1, 0], [0, 0, 0], [1, 1, 1]])
    moments = vote_moments(np.array([1, 0, 1]), votes, 2)
    assert moments == pytest.approx(np.array([[1, 0, 0], [2, 5 / 3, 2 / 3]]))
    shares = share_distribution(np.array([[1.0, 1.0], [1.0, 0.5]]) @ moments)
    assert shares.sum(axis=1) == pytest.approx([1, 1])
    assert shares @ MIDDLES == pytest.approx([5 / 9, 5 / 12], abs=0.002)
