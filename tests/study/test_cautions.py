from tests.study.test_study import study

from cryotome.study.cautions import cautions, own_resolutions
from cryotome.study.gather_facts import page_facts


def test_a_study_names_the_encoders_that_were_trained_at_another_resolution():
    made = study("ganz2024")
    said = cautions(made)
    assert said[0].endswith(
        "(trained at 0.5 µm/px) see patches of midog2022 at 0.25 µm/px, more than 1.5 times off."
    )
    assert said[0].startswith("gigapath, ")
    assert not any("virchow2" in one for one in said)
    assert own_resolutions(made)["virchow2"] == "yes"
    assert own_resolutions(made)["resnet50_imagenet"] == "unknown"
    assert page_facts(made).cautions == said


def test_a_study_without_such_models_says_nothing():
    assert cautions(study("demo")) == []
    assert cautions(study("amibr")) == []


def test_a_dataset_that_cannot_be_split_by_scanner_is_named():
    made = study("ganz2024", schemes=["random", "from_scanner_*"])
    assert cautions(made)[0] == (
        "ccmct is not split by scanner (its card names one scanner): a scanner effect cannot be "
        "parted from that of the domain there."
    )
