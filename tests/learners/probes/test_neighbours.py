import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.neighbors import KNeighborsClassifier

from cryotome.core.errors import ProbeError
from cryotome.evaluation.multiclass import argmax_classes
from cryotome.evaluation.scores import measure_scores
from cryotome.learners.probes.neighbours import _search, score_knn, score_prevalence
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


def drawn(seed, kind, *, cells=300, width=24):
    """Training and wanted embeddings (n, width) float32, with ties of a kind."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(cells, width))
    match kind:
        case "whole numbers":
            x = np.round(x)
        case "repeated":
            x = x[rng.integers(cells // 3, size=cells)]
        case "within rounding":
            x = x[rng.integers(cells // 50, size=cells)] * (1 + 1e-7 * rng.normal(size=x.shape))
        case "far off":
            x += 1e4
        case "of all lengths":
            x *= 10.0 ** rng.uniform(-30, 18, size=(cells, 1))
    return np.split(x.astype(np.float32), [cells * 4 // 5])


KINDS = ["plain", "whole numbers", "repeated", "within rounding", "far off", "of all lengths"]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(KINDS),
    classes=st.integers(2, 9),
    neighbours=st.sampled_from([1, 2, 20, 239, 240, 500]),
)
def test_votes_are_scikit_learns_for_any_embeddings(seed, kind, classes, neighbours):
    x, wanted = drawn(seed, kind)
    y = np.arange(len(x)) % classes
    scores, used = score_knn(x, y, wanted, neighbours=neighbours, normalised=False)
    there = KNeighborsClassifier(used).fit(x, y).predict_proba(wanted)
    assert (scores == (there[:, 1] if classes == 2 else there)).all()


@pytest.mark.parametrize(
    ("kind", "neighbours", "labels", "settled"),
    [
        ("plain", 20, 2, True),
        ("plain", 240, 2, True),
        ("repeated", 20, 2, False),
        ("repeated", 20, 1, True),
        ("far off", 20, 2, False),
    ],
)
def test_scikit_learn_is_asked_where_ties_or_rounding_decide(kind, neighbours, labels, settled):
    x, wanted = drawn(0, kind)
    shares = _search(x, np.arange(len(x)) % labels, wanted, neighbours)
    assert (shares is not None) == settled


def test_the_order_of_equal_distances_that_float64_rounds_apart_is_scikit_learns():
    one = np.random.default_rng(0).normal(size=1536).astype(np.float32)
    both, wanted = np.stack([one, one[::-1]]), np.ones((1, 1536), np.float32)
    assert _search(both, np.array([0, 1]), wanted, 1) is None
    assert _search(np.stack([one, -one]), np.array([0, 1]), wanted, 1) is not None


def test_blocks_of_wanted_cells_do_not_change_votes(monkeypatch):
    x, wanted = drawn(0, "plain")
    label = np.arange(len(x)) % 3
    whole = _search(x, label, wanted, 20)
    monkeypatch.setattr("cryotome.learners.probes.neighbours.BLOCK_PRODUCTS", 7 * len(x))
    assert (_search(x, label, wanted, 20) == whole).all()


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
    assert (argmax_classes(both) == called).all()
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
