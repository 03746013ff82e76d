import numpy as np
import pytest
from conftest import CONFIG
from scipy.optimize import minimize

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, ProbeError
from cryotome.core.schemas import validate
from cryotome.learners.probes.fold_batches import FoldRows
from cryotome.learners.probes.labelled import Fold, LabelledEmbeddings
from cryotome.learners.probes.probe import fit_and_score_folds
from cryotome.learners.probes.soft_labels import fit_head, vote_rows

CARD = {"learner": "ridge", "cost_factor": 0.05}
SOFT = {"labels": "soft"}
WEIGHTED = SOFT | {"vote_weights": "agreement"}


def embeddings(cells=120, dim=6, raters=3, votes=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(cells, dim)).astype(np.float32)
    share = 1 / (1 + np.exp(-2 * x[:, 0]))
    drawn = (rng.random((cells, raters)) < share[:, None]).astype(int)
    votes = drawn if votes is None else votes
    label = (2 * votes.sum(axis=1) > raters).astype(int)
    return LabelledEmbeddings(x, label, np.arange(cells), {}, [], votes)


def folds(known, train=80, validation=20):
    ends = np.split(np.arange(len(known.x)), [train, train + validation])
    return [Fold(None, FoldRows(*ends), None)]


def scores(card, known, **how):
    ((found, notes, _),) = fit_head(card, known, folds(known, **how))
    return found, notes


def optimum(known, cost, weight):
    """Minimise C * sum of weighted cross-entropies with the share of votes + |w|² / 2, by scipy."""
    x, share = known.x[:80].astype(float), known.votes[:80].mean(axis=1)

    def value(w):
        logits = x @ w[:-1] + w[-1]
        loss = np.logaddexp(0, logits) - share * logits
        return cost * (weight[:80] * loss).sum() + (w[:-1] ** 2).sum() / 2

    best = minimize(value, np.zeros(7), method="BFGS", options={"gtol": 1e-9}).x
    return 1 / (1 + np.exp(-(known.x[100:] @ best[:-1] + best[-1])))


@pytest.mark.parametrize("learner", ["ridge", "logreg"])
@pytest.mark.parametrize("more", [SOFT, WEIGHTED])
def test_the_fit_is_the_optimum_with_the_share_of_votes(learner, more):
    known = embeddings()
    limits = {"max_iterations": 1000, "tolerance": 1e-4} if learner == "logreg" else {}
    found, notes = scores(CARD | {"learner": learner} | limits | more, known)
    weight = abs(2 * known.votes.mean(axis=1) - 1) if more is WEIGHTED else np.ones(120)
    cost = 0.05 * 6 * 2
    assert found == pytest.approx(optimum(known, cost, weight), abs=2e-4)
    assert notes["effective_c"] == pytest.approx(cost)
    assert notes["rows_per_cell"] == (9 if more is WEIGHTED else 3)


@pytest.mark.parametrize("card", [
    CARD, {"learner": "probe", "cost_factor": 0.05},
    {"learner": "ridge_cv", "cost_factor": 0.01, "c_grid": [0.01, 0.1, 1.0]},
])  # fmt: skip
def test_of_unanimous_readers_the_fit_is_that_of_the_labels(card):
    known = embeddings()
    alike = embeddings(votes=np.repeat(known.y[:, None], 3, axis=1))
    rows = [fold.rows for fold in folds(known)]
    ((hard, about, _),) = fit_and_score_folds(card, known.x, known.y, rows)
    for more in (SOFT, WEIGHTED):
        soft, notes = scores(card | more, alike)
        assert soft == pytest.approx(hard, abs=1e-4)
        assert notes["effective_c"] == pytest.approx(about["effective_c"], rel=1e-3)
    same, _ = scores(card, known)
    assert (same == hard).all()  # without `labels: soft` votes change no bit


def test_shares_of_disputed_cells_draw_scores_to_the_middle():
    known = embeddings()
    soft, _ = scores(CARD | SOFT, known)
    hard, _ = scores(CARD, known)
    assert abs(soft - 0.5).mean() < abs(hard - 0.5).mean() - 0.02


def test_a_cell_without_a_majority_trains_nothing_where_agreement_weighs():
    fold = FoldRows(np.array([0, 1, 2]), np.array([1]), np.array([2]))
    votes = np.array([[0, 1], [1, 1], [0, 0]])
    rows = vote_rows(fold, votes, weighted=True)
    assert rows.train.tolist() == [2] * 4 + [4] * 4
    assert rows.validation.tolist() == [4] * 4 and rows.scored.tolist() == [2]
    assert vote_rows(fold, votes, weighted=False).train.tolist() == [0, 2, 2, 3, 4, 4]


def test_cells_without_votes_are_refused():
    known = LabelledEmbeddings(np.ones((3, 2), np.float32), np.arange(3), np.arange(3), {}, [])
    with pytest.raises(ProbeError, match=r"`labels: soft`, and the table of cells has no votes"):
        next(fit_head(CARD | SOFT, known, []))


def test_learners_that_fit_no_share_are_refused_by_their_card():
    knn = load_card(CONFIG, "heads", "knn")
    with pytest.raises(CardError, match=r"knn_soft.yaml, learner: 'knn' is not one of"):
        validate(knn | SOFT, "head", "knn_soft.yaml")
    trained = load_card(CONFIG, "heads", "full_finetuning_short_soft")
    with pytest.raises(CardError, match="learner: 'endtoend' is not one of"):
        validate(trained | WEIGHTED, "head", "weighted.yaml")
    with pytest.raises(CardError, match="'labels' is a required property"):
        validate(CARD | {"title": "t", "source": "s", "vote_weights": "agreement"}, "head", "a")
