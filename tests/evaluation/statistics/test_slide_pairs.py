import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cryotome.evaluation.statistics import slide_pairs
from cryotome.evaluation.statistics.slide_pairs import (
    auroc_within,
    bootstrap_auroc,
    count_wins,
    resample_slides,
    resample_slides_in_chunks,
)


def cells(count: int = 300, slides: int = 7, seed: int = 0):
    rng = np.random.default_rng(seed)
    label = rng.integers(2, size=count)
    return rng.integers(slides, size=count), label, np.round(rng.normal(size=count) + label, 1)


@pytest.mark.parametrize("at_once", [2**23, 200])
def test_wins_are_those_of_every_pair(monkeypatch, at_once):
    monkeypatch.setattr(slide_pairs, "CHUNK_VALUES", at_once)  # slides counted in several goes
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
    assert auroc_within(slide, label, score) == pytest.approx(
        (size * values).sum() / size.sum(), abs=1e-12
    )


@pytest.mark.parametrize(("dense", "at_once"), [(2048, 2**23), (0, 2**23), (0, 700)])
def test_weighted_slides_are_weighted_cells(monkeypatch, dense, at_once):
    monkeypatch.setattr(
        slide_pairs, "MAX_DENSE_SLIDES", dense
    )  # 0: cells are sorted, slides are not paired
    monkeypatch.setattr(slide_pairs, "CHUNK_VALUES", at_once)
    slide, label, score = cells()
    counts = resample_slides(7, draws=5, seed=1)
    expected = [roc_auc_score(label, score, sample_weight=c[slide]) for c in counts]
    assert count_wins(slide, label, score).weighted_auroc(counts) == pytest.approx(
        expected, abs=1e-12
    )


def test_many_slides_take_memory_by_cells_and_give_the_same(monkeypatch):
    slide, label, score = cells(400, slides=150)
    names, counts = (
        np.unique(slide.astype(str)),
        resample_slides(len(np.unique(slide)), draws=9, seed=0),
    )
    dense = count_wins(slide, label, score)
    monkeypatch.setattr(slide_pairs, "MAX_DENSE_SLIDES", len(names) - 1)
    sparse = count_wins(slide, label, score)
    assert type(sparse) is not type(dense)
    assert sparse.auroc == pytest.approx(dense.auroc, abs=1e-12)
    given = [bootstrap_auroc([one], names, [counts]) for one in (dense, sparse)]
    assert given[0] == pytest.approx(given[1], abs=1e-12)


def test_draws_in_parts_are_the_draws_at_once(monkeypatch):
    whole = resample_slides(50, draws=20, seed=3)
    monkeypatch.setattr(slide_pairs, "CHUNK_VALUES", 200)
    parts = list(resample_slides_in_chunks(50, draws=20, seed=3))
    assert [len(part) for part in parts] == [4] * 5
    assert (np.concatenate(parts) == whole).all()


@pytest.mark.parametrize("dense", [2048, 0])
def test_one_class_has_no_auroc(monkeypatch, dense):
    monkeypatch.setattr(slide_pairs, "MAX_DENSE_SLIDES", dense)
    wins = count_wins(np.array([1, 2]), np.array([1, 1]), np.array([0.1, 0.2]))
    assert np.isnan(wins.auroc)
    assert np.isnan(auroc_within(np.array([1, 2]), np.array([1, 1]), np.array([0.1, 0.2])))
    assert np.isnan(wins.weighted_auroc(np.ones((1, 2)))).all()


def test_a_part_that_lacks_a_class_in_a_draw_is_left_out_of_its_mean():
    whole = count_wins(np.array([0, 0]), np.array([0, 1]), np.array([0.1, 0.9]))
    apart = count_wins(np.array([0, 1]), np.array([0, 1]), np.array([0.9, 0.1]))
    counts = np.array([[1.0, 1.0], [2.0, 0.0]])
    assert bootstrap_auroc([whole, apart], np.array(["0", "1"]), [counts]).tolist() == [0.5, 1.0]
