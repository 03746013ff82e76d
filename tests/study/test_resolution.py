import pytest
from conftest import CONFIG
from tests.study.test_study import study

from cryotome.core.cards import load_card, without_notes
from cryotome.study.resolution import at_own_resolution, nominal_mpp, own_resolution, seen_mpp


def patches(mpp: float, side: int = 224) -> dict:
    return {"patch": {"side": side, "resolution": mpp}}


@pytest.mark.parametrize(
    ("trained", "mpp", "said"),
    [
        ([0.5], 0.25, "no"),
        ([0.5], 0.34, "yes"),
        ([0.5], 0.74, "yes"),
        ([0.5], 0.76, "no"),
        ([2.0, 0.25], 0.25, "yes"),
    ],
)
def test_a_resolution_is_a_models_own_up_to_half_as_much_again(trained, mpp, said):
    assert at_own_resolution({"trained_mpp": trained}, patches(mpp), "paper-fp16") == said


def test_enlarging_a_patch_makes_its_pixels_finer():
    model = {"trained_mpp": [0.25]}
    assert seen_mpp(model, patches(0.25, 56), "fit-fp32") == 0.0625
    assert at_own_resolution(model, patches(0.25, 56), "paper-fp32") == "yes"
    assert at_own_resolution(model, patches(0.25, 56), "fit-fp32") == "no"
    assert at_own_resolution(model, patches(1.0, 56), "fit-fp32") == "yes"


def test_datasets_that_differ_are_named():
    two = {"a": patches(0.25), "b": patches(0.5)}
    assert (
        own_resolution({"trained_mpp": [0.5]}, two, ["paper-fp16"]) == "a paper: no; b paper: yes"
    )
    assert own_resolution({}, two, ["paper-fp16"]) == "unknown"


def test_what_a_card_says_of_its_pixels_reruns_nothing():
    card = load_card(CONFIG, "datasets", "midog2022")
    assert nominal_mpp(card) == 0.25
    assert without_notes(card) == without_notes(card | {"nominal_mpp": 0.5})
    assert nominal_mpp(card | {"mpp": 0.5}) == 0.5
    assert nominal_mpp({"patch": {"resolution": "native"}}) is None


def test_five_of_the_six_pathology_encoders_of_ganz2024_see_patches_at_another_resolution():
    ganz = study("ganz2024")
    encoders = [row.model for row in ganz.rows if "trained_mpp" in ganz.model(row.model)]
    card = ganz.dataset("midog2022")
    said = {name: at_own_resolution(ganz.model(name), card, ganz.view) for name in set(encoders)}
    assert list(said.values()).count("no") == len(said) - 1 == 5
    assert said["virchow2"] == "yes"
