import pytest
from conftest import CONFIG

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CardError
from cryotome.study.applications import (
    Application,
    applications,
    applied_rows,
    applied_run,
    slide_applications,
    synthetic_notice,
)
from cryotome.study.checks import checked_study
from cryotome.study.study import Study

ROWS = [{"model": "colour_histogram", "head": "ridge"}]
LEAST = {"study": "s", "datasets": ["demo_rois"], "rows": ROWS}


def study(**changes) -> Study:
    return checked_study(LEAST | changes, CONFIG)


def test_the_models_are_those_of_the_studys_dataset_and_strictest_scheme():
    made = study(apply=["demo_slides"], schemes=["random", "slide_grouped", "from_*"])
    assert applications(made) == [Application("demo_slides", "demo_rois", "slide_grouped")]
    assert made.targets == ["demo_slides"]
    assert "demo_slides" not in made.all_datasets
    assert applications(study()) == []


def test_an_entry_may_say_which_models():
    said = {"target": "demo_slides", "dataset": "demo_rois", "scheme": "from_demo_lung"}
    domains = list(study().dataset("demo_rois")["domains"])
    said["scheme"] = f"from_{domains[0]}"
    made = study(apply=[said], schemes=["random", "from_*"])
    assert applications(made) == [Application("demo_slides", "demo_rois", said["scheme"])]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"apply": ["demo_slides"], "keep": False}, "needs the models, and `keep: false`"),
        ({"apply": ["demo_rois"]}, "'demo_rois' trains these models. Name a dataset"),
        ({"apply": ["demo_cohort"]}, "trains no classifier of slides"),
        ({"apply": ["demo_slides"], "schemes": ["from_*"]},
         r"which of \['from_.*\] trained the models. Write `\{target: demo_slides, dataset: …, sch"),
        ({"apply": ["amibr"], "datasets": ["demo_rois", "demo_slides"]},
         r"which of \['demo_rois', 'demo_slides'\] trained the models"),
        ({"apply": [{"target": "demo_slides", "dataset": "ccmct"}]},
         r"dataset: 'ccmct' is none of \['demo_rois'\]"),
        ({"apply": [{"target": "demo_slides", "scheme": "no_overlap"}]},
         r"scheme: 'no_overlap' is none of \['random'\]"),
        ({"apply": ["no_such_card"]}, "no_such_card.yaml does not exist"),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_refused_before_planning(changes, said):
    with pytest.raises(CardError, match=said):
        study(**changes)


SLIDES = {"cohort": "demo_cohort", "scheme": "patient_folds", "heads": ["mean_pool"]}


def study_of_slides(**changes) -> Study:
    part = {"rows": ["resnet10t_random"], "slides": SLIDES}
    empty = {"datasets": [], "rows": [], "schemes": []}
    return study(**empty | {"colorectal": part} | changes)


def test_classifiers_of_slides_are_applied_to_slides():
    made = study_of_slides(apply=["demo_external"])
    assert slide_applications(made) == [
        Application("demo_external", "demo_cohort", "patient_folds")
    ]
    assert applications(made) == []
    assert slide_applications(study(apply=["demo_slides"])) == []
    with pytest.raises(CardError, match="'demo_cohort' trains these models. Name a cohort"):
        study_of_slides(apply=["demo_cohort"])
    with pytest.raises(CardError, match=r"scheme: 'random' is none of \['patient_folds'\]"):
        study_of_slides(apply=[{"target": "demo_external", "scheme": "random"}])


def test_what_is_synthetic_is_said_of_target_and_training():
    made = study_of_slides(apply=["demo_external"])
    said = synthetic_notice(made, "demo_external", "demo_cohort")
    assert said == "demo_external: synthetic demo cohort; demo_cohort: synthetic demo cohort"
    assert synthetic_notice(made, "amibr", "amibr") == ""


def test_rows_without_a_kept_model_are_left_out():
    rows = [
        *({"model": "resnet10t_random", "head": head} for head in ("endtoend", "endtoend_last")),
        {"model": "slide_identity", "head": "slide_prevalence"},
        *ROWS,
    ]
    found = [row.key for row in applied_rows(study(rows=rows, apply=["demo_slides"]))]
    assert found == ["resnet10t_random + endtoend", "colour_histogram + ridge"]


def test_a_row_or_a_dataset_that_is_not_applied_is_named():
    made = study(apply=["demo_slides"])
    of, row = applied_run(made, "demo_slides", "colour_histogram", "ridge")
    assert (of.dataset, row.key) == ("demo_rois", "colour_histogram + ridge")
    for asked in (("ccmct", "colour_histogram", "ridge"), ("demo_slides", "uni", "ridge")):
        with pytest.raises(CardError, match=r"applies no .* names \['demo_slides'\], its rows"):
            applied_run(made, *asked)


def test_one_study_of_ours_applies_its_models():
    """Its targets are made by `all`: synthetic slides, for the page's attention."""
    studies = (CONFIG / "studies").glob("*.yaml")
    assert [path.stem for path in studies if read_yaml(path).get("apply")] == ["demo_patients"]
