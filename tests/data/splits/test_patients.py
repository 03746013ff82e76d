import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import SplitError
from cryotome.data.splits.patients import draw_patients


def people(positive: int, negative: int, prefix: str = "p") -> pd.DataFrame:
    names = [f"{prefix}{place:03d}" for place in range(positive + negative)]
    return pd.DataFrame({"PATIENT": names, "TARGET": [1] * positive + [0] * negative})


def card(name: str) -> dict:
    return load_card(CONFIG, "schemes", name)


@pytest.fixture(params=["patient_folds", "patient_folds_histobistro"])
def folds(request):
    """The roles of 20 positive and 40 negative patients, one column a fold."""
    drawn = [draw_patients(people(20, 40), card(request.param), fold=k).roles for k in range(5)]
    return pd.DataFrame({k: roles.set_index("id")["role"] for k, roles in enumerate(drawn)})


def test_every_patient_tests_once_and_the_roles_are_60_20_20(folds):
    assert ((folds == "test").sum(axis=1) == 1).all()
    for fold in folds:
        assert folds[fold].value_counts().to_dict() == {"train": 36, "validation": 12, "test": 12}


def test_every_role_has_the_prevalence_of_the_cohort(folds):
    label = people(20, 40).set_index("PATIENT")["TARGET"]
    for fold in folds:
        assert label.groupby(folds[fold]).sum().to_dict() == {
            "train": 12,
            "validation": 4,
            "test": 4,
        }


def test_in_turn_the_part_before_the_tested_one_validates():
    drawn = [draw_patients(people(20, 40), card("patient_folds"), fold=k).roles for k in range(5)]
    of = [{role: set(part["id"]) for role, part in roles.groupby("role")} for roles in drawn]
    for fold in range(5):
        assert of[fold]["validation"] == of[fold - 1]["test"]


def test_the_code_validates_on_a_quarter_drawn_anew_over_the_same_test_parts():
    drawn = {name: [draw_patients(people(20, 40), card(name), fold=k).roles for k in range(5)]
             for name in ("patient_folds", "patient_folds_histobistro")}  # fmt: skip
    watched = []
    for turn, code in zip(*drawn.values(), strict=True):
        assert (turn["role"] == "test").tolist() == (code["role"] == "test").tolist()
        watched += code.loc[code["role"] == "validation", "id"].tolist()
    assert len(watched) == 60
    assert len(set(watched)) < 60  # some twice, so others never


def test_folds_do_not_hang_on_the_order_of_the_table_nor_on_how_many_are_asked_for():
    first = draw_patients(people(20, 40), card("patient_folds"), fold=2).roles
    again = draw_patients(
        people(20, 40).sample(frac=1, random_state=1), card("patient_folds"), fold=2
    ).roles
    pd.testing.assert_frame_equal(first, again)


def test_every_patient_of_another_cohort_is_external_in_every_fold():
    for fold in range(5):
        roles = draw_patients(
            people(20, 40), card("patient_folds"), fold=fold, external=people(3, 7, "x")
        ).roles
        assert roles.loc[roles["role"] == "external", "id"].tolist() == [
            f"x{place:03d}" for place in range(10)
        ]
        assert len(roles) == 70
        assert np.array_equal(roles["id"], np.sort(roles["id"]))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"patients": people(4, 40)}, "has 4 positive patients with a label and a slide, of 44, "),
        ({"patients": people(20, 0)}, "has 0 negative patients.*needs 5 of either class"),
        ({"fold": 5}, "cut into 5 parts; `folds:` of the study asks for part 6"),
        (
            {"external": people(1, 1)},
            r"2 patients are in the cohort and in the external one \(\), first 'p000'.*separate_patients",
        ),
        ({"external": people(0, 9, "x")}, r"An external cohort \(\) has 0 positive patients"),
    ],
)
def test_what_cannot_be_drawn_says_why(given, message):
    given = {"patients": people(20, 40), "fold": 0} | given
    with pytest.raises(SplitError, match=message):
        draw_patients(given.pop("patients"), card("patient_folds"), **given)


def test_other_people_of_the_same_names_are_external_where_the_card_says_so():
    mine, other = (people(20, 40, f"{dataset}:p") for dataset in ("ca", "cb"))
    with pytest.raises(SplitError, match="60 patients are in the cohort and in the external one"):
        draw_patients(mine, card("patient_folds"), fold=0, external=other)
    how = {"external": other, "separate": ["cb"]}
    roles = draw_patients(mine, card("patient_folds"), fold=0, **how).roles
    assert (roles.set_index("id")["role"] == "external").groupby(lambda name: name[:2]).mean(
    ).to_dict() == {"ca": 0, "cb": 1}  # fmt: skip
