import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from cryotome.errors import ProbeError
from cryotome.neighbours import score_knn, score_prevalence


def test_neighbours_vote_after_centring_and_scaling():
    x = np.array([[9.0, 1], [11, 1], [9, -1], [11, -1]])
    y, wanted = np.array([0, 1, 0, 1]), np.array([[10.5, 0.0]])
    scores, used = score_knn(x, y, wanted, neighbours=2)
    assert (scores.tolist(), used) == ([1.0], 2)
    scores, used = score_knn(x, y, x, neighbours=20)  # fewer cells than neighbours: all vote
    assert (scores.tolist(), used) == ([0.5] * 4, 4)


def test_neighbours_of_three_classes_give_the_share_of_each():
    x = np.array([[1.0, 0], [0, 1], [-1, -1]])
    scores, _ = score_knn(x, np.array(["a", "b", "c"]), x[:1], neighbours=1)
    assert scores.tolist() == [[1.0, 0.0, 0.0]]


def test_the_prevalence_of_a_slide_is_shrunk_by_one_cell_and_an_unseen_slide_has_that_of_all():
    x, y = np.array([[1.0], [1], [1], [2]]), np.array([1, 1, 0, 0])
    scores = score_prevalence(x, y, np.array([[1.0], [2.0], [9.0]]))
    assert scores.tolist() == [(2 + 0.5) / 4, 0.5 / 2, 0.5]


def test_plain_neighbours_feel_the_length_of_embeddings():
    """(3, 1.1) lies in the direction of the first and nearest to the second."""
    x, y, wanted = np.array([[9.0, 3], [3, 0.5]]), np.array([0, 1]), np.array([[3.0, 1.1]])
    plain, _ = score_knn(x, y, wanted, neighbours=1, normalised=False)
    assert plain.tolist() == [1.0]
    x = np.vstack([x, -x])  # centred already
    scaled, _ = score_knn(x, np.array([0, 1, 2, 2]), wanted, neighbours=1)
    assert scaled.tolist() == [[1.0, 0.0, 0.0]]


def test_neighbours_of_nine_classes_are_scored_in_chunks_as_scikit_learn_scores_them(monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.integers(9, size=500)
    x, wanted = np.eye(9)[y] + 0.5 * rng.normal(size=(500, 9)), rng.normal(size=(130, 9))
    whole, _ = score_knn(x, y, wanted, neighbours=20)
    monkeypatch.setattr("cryotome.neighbours.CHUNK", 50)
    parts, _ = score_knn(x, y, wanted, neighbours=20)
    assert (whole == parts).all()
    plain, _ = score_knn(x, y, wanted, neighbours=20, normalised=False)
    assert (plain == KNeighborsClassifier(20).fit(x, y).predict_proba(wanted)).all()


def test_one_class_is_refused():
    for score in (score_prevalence, lambda *rows: score_knn(*rows, neighbours=1)):
        with pytest.raises(ProbeError, match="All 2 training rows have one label. Raise the"):
            score(np.eye(2), np.array([1, 1]), np.eye(2))
