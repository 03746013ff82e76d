import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier

from cryotome.core.errors import ProbeError
from cryotome.evaluation.multiclass import called_classes
from cryotome.evaluation.scores import measure_scores
from cryotome.learners.probes.neighbours import score_knn, score_prevalence
from cryotome.report.atlas.errors import find_errors


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


@pytest.mark.parametrize("classes", [2, 9])
@pytest.mark.parametrize("width", [3, 40])
def test_votes_are_scikit_learns_also_where_distances_tie(classes, width):
    """2,500 cells are more than two threads take in one piece."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=(700, width)).astype(np.float32)
    y, wanted = rng.integers(classes, size=700), rng.integers(0, 2, size=(2500, width))
    plain, _ = score_knn(x, y, wanted.astype(np.float32), neighbours=20, normalised=False)
    there = KNeighborsClassifier(20).fit(x, y).predict_proba(wanted.astype(np.float32))
    assert (plain == (there[:, 1] if classes == 2 else there)).all()


def test_balanced_accuracy_and_f1_of_votes_are_scikit_learns():
    """Every sixth cell has 10 of 20 votes, which scikit-learn calls the first class."""
    rng = np.random.default_rng(0)
    x, wanted = rng.normal(size=(2, 600, 40)).astype(np.float32)
    y, label = (rng.integers(2, size=(2, 600)) + (x[:, 0] > 0.7) > 0).astype(int)
    scores, _ = score_knn(x, y, wanted, neighbours=20, normalised=False)
    assert (scores == 0.5).mean() > 0.05
    called = KNeighborsClassifier(20).fit(x, y).predict(wanted)
    tested = pd.DataFrame({"slide": 0, "label": label, "score": scores})
    found = measure_scores(tested, tested[:5])
    assert found["balanced_accuracy"] == balanced_accuracy_score(label, called)
    assert found["f1_weighted"] == f1_score(label, called, average="weighted")
    assert found["f1_at_validation"] == f1_score(label, called)  # five cells choose nothing
    both = pd.DataFrame({"score_a": 1 - scores, "score_b": scores})
    assert (called_classes(both) == called).all()
    assert (find_errors(tested[["score"]], tested["label"])["score"] == called - label).all()


def test_the_mean_that_embeddings_are_centred_on_is_right_far_from_the_origin():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4000, 20)), rng.integers(2, size=4000)
    far = (x + 1e4).astype(np.float32)
    scores, _ = score_knn(far, y, far[:200], neighbours=20)
    near, _ = score_knn(far.astype(float) - 1e4, y, far[:200].astype(float) - 1e4, neighbours=20)
    assert (scores == near).mean() > 0.9


def test_one_class_is_refused():
    for score in (score_prevalence, lambda *rows: score_knn(*rows, neighbours=1)):
        with pytest.raises(ProbeError, match="All 2 training rows have one label. Raise the"):
            score(np.eye(2), np.array([1, 1]), np.eye(2))
