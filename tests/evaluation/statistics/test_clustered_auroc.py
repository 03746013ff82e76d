import numpy as np
import pytest
from MLstatkit import Delong_test
from sklearn.metrics import roc_auc_score

from cryotome.evaluation.statistics.clustered_auroc import (
    auroc_interval,
    difference_interval,
    effective_number,
    influence,
)
from cryotome.evaluation.statistics.fold_tests import (
    t_test,
)


def cells(count: int = 200, slides: int = 12, seed: int = 0):
    rng = np.random.default_rng(seed)
    label, slide = rng.integers(2, size=count), rng.integers(slides, size=count)
    common = rng.normal(size=slides)[slide] + label
    return slide, label, *(np.round(common + rng.normal(size=count), 1) for _ in range(2))


def psi(up: float, down: float) -> float:
    return 1.0 if up > down else 0.5 if up == down else 0.0


def obuchowski(slide, label, score) -> tuple[float, float]:
    """AUROC and variance by the sums of Obuchowski 1997, word for word and slow."""
    up, down = np.flatnonzero(label == 1), np.flatnonzero(label == 0)
    m, n = len(up), len(down)
    v10 = {i: sum(psi(score[i], score[j]) for j in down) / n for i in up}
    v01 = {j: sum(psi(score[i], score[j]) for i in up) / m for j in down}
    theta = sum(v10.values()) / m
    clusters = sorted(set(slide))
    x = {c: sum(v10[i] - theta for i in up if slide[i] == c) for c in clusters}
    y = {c: sum(v01[j] - theta for j in down if slide[j] == c) for c in clusters}
    i10, i01, i = len(set(slide[up])), len(set(slide[down])), len(clusters)
    s10 = i10 / ((i10 - 1) * m) * sum(v * v for v in x.values())
    s01 = i01 / ((i01 - 1) * n) * sum(v * v for v in y.values())
    s11 = i / (i - 1) * sum(x[c] * y[c] for c in clusters)
    return theta, s10 / m + s01 / n + 2 * s11 / (m * n)


def test_a_clustered_error_is_obuchowskis():
    slide, label, score, _ = cells()
    found = influence([slide], [label], [score], 12)
    theta, variance = obuchowski(slide, label, score)
    assert found.auroc == pytest.approx(theta, abs=1e-12)
    assert found.error == pytest.approx(np.sqrt(variance), rel=1e-10)
    assert found.auroc == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_an_error_worked_by_hand():
    """Slides a (1: 0.9; 0: 0.2) and b (1: 0.4; 0: 0.6): three of four pairs are won.

    V10 = 1, 0.5; V01 = 1, 0.5; theta = 0.75; x = y = +-0.25 on a and b.
    s10 = s01 = 2 / (1 * 2) * 0.125, s11 = 2 * 0.125; variance = 2 * 0.0625 + 2 * 0.0625.
    """
    where, label = np.array([0, 0, 1, 1]), np.array([1, 0, 1, 0])
    found = influence([where], [label], [np.array([0.9, 0.2, 0.4, 0.6])], 2)
    assert found.auroc == 0.75
    assert found.error == pytest.approx(0.5)


def test_with_clusters_of_one_cell_the_difference_is_delongs_of_a_second_library():
    _, label, one, other = cells()
    each = np.arange(len(label))
    gap = influence([each], [label], [one], len(label)).minus(
        influence([each], [label], [other], len(label))
    )
    z, p, *_ = Delong_test(label, one, other)
    assert abs(gap.auroc / gap.error) == pytest.approx(abs(z), rel=1e-6)
    assert t_test(gap.auroc, gap.error, np.inf) == pytest.approx(p, rel=1e-5)


def test_folds_that_repeat_the_same_cells_add_nothing():
    slide, label, score, _ = cells()
    once = influence([slide], [label], [score], 12)
    thrice = influence([slide] * 3, [label] * 3, [score] * 3, 12)
    assert thrice.error == pytest.approx(once.error, rel=1e-12)


def test_a_fold_of_one_class_is_left_out_and_one_cluster_has_no_error():
    slide, label, score, _ = cells()
    whole = influence([slide], [label], [score], 12)
    up = label == 1
    more = influence([slide, slide[up]], [label, label[up]], [score, score[up]], 12)
    assert more.auroc == whole.auroc
    assert np.isnan(influence([slide * 0], [label], [score], 1).error)


def test_clustered_errors_are_larger_where_slides_differ():
    """A slide's stain shifts its scores, and slides differ in prevalence, as in real cohorts."""
    rng = np.random.default_rng(0)
    slide, each = np.repeat(np.arange(12), 50), np.arange(600)
    label = (rng.uniform(size=600) < rng.uniform(0.1, 0.9, size=12)[slide]).astype(int)
    score = rng.normal(size=600) + label + rng.normal(size=12)[slide]
    cells_apart = influence([each], [label], [score], 600).error
    assert influence([slide], [label], [score], 12).error > 1.5 * cells_apart


def test_the_interval_is_on_the_logit_scale_and_wider_with_few_slides():
    low, high = auroc_interval(0.8, 0.02, freedom=np.inf)
    reach = 1.959964 * 0.02 / 0.16
    assert (low, high) == pytest.approx(
        tuple(1 / (1 + np.exp(-(np.log(4) + s * reach))) for s in (-1, 1)), abs=1e-6
    )
    few = auroc_interval(0.8, 0.02, freedom=5)
    assert few[0] < low < high < few[1]
    assert np.isnan(auroc_interval(1.0, 0.0, freedom=5)).all()
    assert np.isnan(auroc_interval(0.7, np.nan, freedom=5)).all()


def test_a_gap_and_its_p_value_agree():
    low, high = difference_interval(0.05, 0.02, freedom=9)
    assert (low, high) == pytest.approx((0.05 - 2.262157 * 0.02, 0.05 + 2.262157 * 0.02))
    assert t_test(2.262157 * 0.02, 0.02, 9) == pytest.approx(0.05, abs=1e-6)
    assert np.isnan(t_test(0.0, 0.0, 9))


def test_effective_slides_of_unequal_sizes():
    assert effective_number(np.array([21, *[1] * 79])) == pytest.approx(100**2 / (441 + 79))


def test_folds_that_part_the_slides_have_an_honest_error():
    """Few slides a fold, as in leave-slides-out: the mean error is the SD over studies."""
    rng = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(300):
        slide = np.repeat(np.arange(30), 20)
        label = (rng.uniform(size=600) < rng.uniform(0.2, 0.8, size=30)[slide]).astype(int)
        score = rng.normal(size=600) + label + rng.normal(scale=0.7, size=30)[slide]
        folds = [slide % 6 == k for k in range(6)]
        parts = ([values_[f] for f in folds] for values_ in (slide, label, score))
        found = influence(*parts, 30)
        values.append(found.auroc)
        errors.append(found.error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.12)


def test_a_part_with_one_slide_of_a_label_has_no_error():
    slide, label = np.array([0, 0, 0, 1]), np.array([0, 1, 1, 0])
    found = influence([slide], [label], [np.array([0.1, 0.9, 0.3, 0.4])], 2)
    assert found.single_cluster
    assert np.isnan(found.error)


def test_degrees_of_freedom_by_what_slides_weigh_and_which_folds_they_lie_in():
    slide, label = np.repeat(np.arange(20), 4), np.tile([0, 1], 40)
    score = np.random.default_rng(0).normal(size=80)
    once = influence([slide], [label], [score], 20)
    assert once.freedom == pytest.approx(19)  # equal slides, less one
    assert influence([slide] * 5, [label] * 5, [score] * 5, 20).freedom == pytest.approx(19)
    folds = [slide % 5 == k for k in range(5)]
    parted = influence(*([v[f] for f in folds] for v in (slide, label, score)), 20)
    assert parted.freedom == pytest.approx(15)  # every fold has slides of its own
    heavy = np.minimum(slide, 10)  # one slide as large as ten
    assert influence([heavy], [label], [score], 11).freedom == pytest.approx(400 / 110 - 1)
