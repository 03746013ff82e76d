from collections import Counter
from dataclasses import replace

import pytest

from cryotome.data.demo.cohorts import COHORTS, DemoCohort, cohort_slides


def test_the_demo_cohort_has_ten_labelled_patients_and_its_oddities():
    slides = cohort_slides(COHORTS["demo_cohort"])
    assert len(slides) == 14
    labels = {slide.patient: slide.label for slide in slides}
    assert Counter(labels.values()) == {"MSI-H": 5, "MSS": 4, "MSI-L": 1, "": 1}
    assert Counter(slide.shows for slide in slides) == {"tissue": 12, "glass": 1, "no mpp": 1}
    twice = [patient for patient, count in Counter(s.patient for s in slides).items() if count == 2]
    assert len(twice) == 3


def test_every_labelled_patient_has_a_slide_that_can_be_used():
    for count in (12, 14, 30, 60):
        slides = cohort_slides(DemoCohort("X", count))
        usable = {slide.patient for slide in slides if slide.shows == "tissue"}
        assert usable == {slide.patient for slide in slides}


@pytest.mark.parametrize(("count", "patients", "unlabelled"), [(60, 50, 2), (30, 23, 2), (4, 4, 0)])
def test_counts(count, patients, unlabelled):
    slides = cohort_slides(DemoCohort("X", count))
    assert len({slide.name for slide in slides}) == len(slides) == count
    labels = {slide.patient: slide.label for slide in slides}
    assert sum(label == "" for label in labels.values()) == unlabelled
    assert sum(label == "MSI-H" for label in labels.values()) == patients // 2
    assert len(labels) == patients + unlabelled


def test_the_draw_is_seeded_and_the_external_cohort_shares_no_patient():
    own = cohort_slides(COHORTS["demo_cohort"])
    assert own == cohort_slides(COHORTS["demo_cohort"])
    assert own != cohort_slides(replace(COHORTS["demo_cohort"], seed=7))
    external = cohort_slides(COHORTS["demo_external"])
    assert [slide.label for slide in external].count("MSI-H") == 2
    assert not {s.patient for s in own} & {s.patient for s in external}
