import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cryotome import pairs
from cryotome.pairs import count_wins, draw_slides, resample


def cells(count: int = 300, slides: int = 7, seed: int = 0):
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=count)
    return rng.integers(slides, size=count), label, np.round(rng.normal(size=count) + label, 1)


@pytest.mark.parametrize("columns", [512, 3])
def test_wins_are_those_of_every_pair(monkeypatch, columns):
    monkeypatch.setattr(pairs, "COLUMNS", columns)  # slides counted in several goes
    slide, label, score = cells(60)
    wins = count_wins(slide, label, score)
    for s in range(7):
        for t in range(7):
            up = score[(slide == s) & (label == 1)][:, None]
            down = score[(slide == t) & (label == 0)][None, :]
            assert wins.won[s, t] == (up > down).sum() + (up == down).sum() / 2
    assert wins.positives.sum() == label.sum()


def test_auroc_is_scikit_learns_and_within_counts_pairs_of_one_slide():
    slide, label, score = cells()
    wins = count_wins(slide, label, score)
    assert wins.auroc == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    of_slide = [(label[slide == s], score[slide == s]) for s in range(7)]
    size = np.array([y.sum() * (1 - y).sum() for y, _ in of_slide])
    values = np.array([roc_auc_score(*one) for one in of_slide])
    assert wins.within == pytest.approx((size * values).sum() / size.sum(), abs=1e-12)


def test_weighted_slides_are_weighted_cells():
    slide, label, score = cells()
    counts = draw_slides(7, draws=5, seed=1)
    expected = [roc_auc_score(label, score, sample_weight=c[slide]) for c in counts]
    assert count_wins(slide, label, score).weighted(counts) == pytest.approx(expected, abs=1e-12)


def test_one_class_has_no_auroc():
    wins = count_wins(np.array([1, 2]), np.array([1, 1]), np.array([0.1, 0.2]))
    assert np.isnan(wins.auroc)
    assert np.isnan(wins.within)
    assert np.isnan(wins.weighted(np.ones((1, 2)))).all()


def test_a_part_that_lacks_a_class_in_a_draw_is_left_out_of_its_mean():
    whole = count_wins(np.array([0, 0]), np.array([0, 1]), np.array([0.1, 0.9]))
    apart = count_wins(np.array([0, 1]), np.array([0, 1]), np.array([0.9, 0.1]))
    counts = np.array([[1.0, 1.0], [2.0, 0.0]])
    assert resample([whole, apart], np.array(["0", "1"]), counts).tolist() == [0.5, 1.0]
