import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from cryotome.core.metrics import auroc
from cryotome.evaluation.patients import (
    mean_over_folds,
    measure_patients,
    newcombe_interval,
    patient_interval,
    score_cohort,
)
from cryotome.evaluation.scores import THRESHOLD
from cryotome.evaluation.statistics.clustered_auroc import influence


def rows(role: str, labels: list[int], scores: list[float], prefix: str = "p") -> pd.DataFrame:
    of = "away" if role == "external" else "home"
    names = [f"{of}:{prefix}{place}" for place in range(len(labels))]
    return pd.DataFrame({"id": names, "role": role, "label": labels, "score": scores})


@pytest.fixture
def folds():
    """Two folds of four test patients each, and the same three external ones."""
    return {
        0: pd.concat([
            rows("validation", [0, 1], [0.2, 0.8], "v"),
            rows("test", [1, 1, 0, 0], [0.9, 0.4, 0.5, 0.1], "a"),
            rows("external", [1, 0, 0], [0.6, 0.7, 0.1], "x"),
        ]),
        1: pd.concat([
            rows("validation", [0, 1], [0.2, 0.8], "w"),
            rows("test", [1, 1, 0, 0], [0.9, 0.8, 0.5, 0.1], "b"),
            rows("external", [1, 0, 0], [0.9, 0.2, 0.3], "x"),
        ]),
    }  # fmt: skip


def test_a_row_is_the_mean_over_folds_and_their_population_sd(folds):
    found = score_cohort(folds, cohort="home", external=["away"])
    found = found[found["fold"] == "all"].set_index("test_domain")
    assert found["value"].to_dict() == {"home": 0.875, "away": 0.75}
    assert found["sd"].to_dict() == {"home": 0.125, "away": 0.25}  # of 0.75, 1 and of 0.5, 1
    assert found[["n_positive", "n_negative"]].to_numpy().tolist() == [[4, 4], [1, 2]]


def test_equal_names_in_several_external_cohorts_are_apart(folds):
    """`third` has patients of the same names as `away`, of the opposite labels."""
    for fold, table in folds.items():
        other = table[table["role"] == "external"].copy()
        other["id"] = other["id"].str.replace("away:", "third:")
        other["label"], other["score"] = 1 - other["label"], 1 - other["score"]
        folds[fold] = pd.concat([table, other])
    table = score_cohort(folds, cohort="home", external=["away", "third"])
    aurocs = table[table["metric"] == "auroc"].set_index(["fold", "test_domain"])["value"]
    assert aurocs["mean", "away"] == aurocs["mean", "third"] == 1.0
    assert table.loc[table["test_domain"] == "third", "n_positive"].unique().tolist() == [2]


def test_the_ensemble_scores_the_mean_of_the_models(folds):
    mean = mean_over_folds(folds)
    external = mean[mean["role"] == "external"]
    assert external["score"].tolist() == pytest.approx([0.75, 0.45, 0.2])
    assert (mean["role"] == "validation").sum() == 4


def test_scores_of_every_fold_at_home_and_abroad_and_of_their_mean_abroad(folds):
    table = score_cohort(folds, cohort="home", external=["away"])
    aurocs = table[table["metric"] == "auroc"]
    assert aurocs[["fold", "test_domain", "value"]].to_numpy().tolist()[:-1] == [
        ["0", "home", 0.75],
        ["1", "home", 1.0],
        ["0", "away", 0.5],
        ["1", "away", 1.0],
        ["mean", "away", 1.0],
        ["all", "home", 0.875],
        ["all", "away", 0.75],
    ]
    assert aurocs.iloc[-1][["fold", "test_domain"]].tolist() == ["validation", "home"]
    assert aurocs.set_index("fold").loc["all", "sd"].tolist() == [0.125, 0.25]
    assert set(table["train_domain"]) == {"home"}
    assert table.loc[table["metric"] != "auroc", ["low", "high"]].isna().all(axis=None)
    alone = score_cohort(folds, cohort="home", external=[])
    assert set(alone["test_domain"]) == {"home"}


def test_sensitivity_and_specificity_are_at_the_threshold_of_the_validation_patients():
    watched = rows("validation", [0] * 10 + [1] * 10, [0.1] * 10 + [0.7] * 10)
    tested = rows("test", [0, 0, 1, 1], [0.6, 0.8, 0.65, 0.9])
    found = measure_patients(tested, watched)
    assert found["threshold"] == 0.7
    assert (found["sensitivity"], found["specificity"]) == (0.5, 0.5)
    assert found["balanced_accuracy"] == 0.5
    few = measure_patients(tested, watched[5:15])
    assert few["threshold"] == THRESHOLD  # ten patients cannot choose one
    assert (few["sensitivity"], few["specificity"]) == (1.0, 0.0)


def test_five_models_on_the_same_patients_are_no_five_times_as_many_patients():
    one = rows("external", [1, 1, 1, 0, 0, 0], [0.9, 0.6, 0.3, 0.5, 0.4, 0.1])
    others = [one.assign(id=f"{n}" + one["id"]) for n in range(5)]
    same, apart = patient_interval([one] * 5), patient_interval(others)
    assert same == pytest.approx(patient_interval([one]))
    assert apart[1] - apart[0] < (same[1] - same[0]) / 1.5


def test_newcombes_ends_are_where_the_distance_is_z_standard_errors():
    """Method 5: Hanley and McNeil's variance at the end itself, 29 / 2 + 1/2 for both counts."""
    low, high = newcombe_interval(0.8, [(10, 20)])
    for end in (low, high):
        shape = (1 - end) / (2 - end) + end / (1 + end)
        error = np.sqrt(end * (1 - end) * (1 + 14 * shape) / 200)
        assert abs(end - 0.8) == pytest.approx(1.959964 * error, rel=1e-4)
    assert low < 0.8 < high


def test_a_perfect_ranking_has_an_interval_that_says_how_few_patients_rank():
    few = rows("test", [1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1])
    assert patient_interval([few]) == newcombe_interval(1.0, [(2, 2)])
    assert patient_interval([few])[0] < 0.6
    many = [few.assign(id=f"{n}" + few["id"]) for n in range(5)]
    assert 0.6 < patient_interval(many)[0] < 1 == patient_interval(many)[1]
    assert patient_interval([few] * 5) == patient_interval([few])  # the same four patients
    assert newcombe_interval(0.0, [(2, 2)])[0] == 0


def test_one_class_has_no_interval():
    assert np.isnan(patient_interval([rows("test", [1, 1], [0.1, 0.2])])).all()


@pytest.mark.parametrize(
    ("shared", "positive", "negative", "truth"),
    [(False, 4, 8, 0.75), (True, 10, 20, 0.9)],
)
def test_the_interval_holds_the_truth_as_often_as_it_says(shared, positive, negative, truth):
    """200 studies of five folds: own patients in each, or the same ones in all."""
    rng, held = np.random.default_rng(0), 0
    count, label = positive + negative, np.repeat([1, 0], [positive, negative])
    for _ in range(200):
        common = rng.normal(size=count)
        tables = []
        for fold in range(5):
            noise = rng.normal(size=count)
            noise = np.sqrt(0.8) * common + np.sqrt(0.2) * noise if shared else noise
            score = noise + np.sqrt(2) * norm.ppf(truth) * label
            tables.append(rows("t", label.tolist(), score.tolist(), "" if shared else f"{fold}-"))
        low, high = patient_interval(tables)
        held += low <= truth <= high
    assert 0.92 <= held / 200 <= 0.99


def test_the_standard_error_is_that_of_delong_for_one_model():
    rng = np.random.default_rng(3)
    label, score = np.repeat([1, 0], [9, 14]), rng.normal(size=23)
    wins = (score[:9, None] > score[None, 9:]).astype(float)
    delong = np.sqrt(wins.mean(1).var(ddof=1) / 9 + wins.mean(0).var(ddof=1) / 14)
    moved = influence([np.arange(23)], [label], [score], 23)
    assert moved.auroc == pytest.approx(auroc(label, score))
    assert moved.error == pytest.approx(delong)
