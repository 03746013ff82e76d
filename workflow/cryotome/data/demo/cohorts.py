"""Synthetic colorectal cohorts: their patients, slides and labels, without drawing a slide."""

import random
from dataclasses import dataclass

MIN_FOR_ODDITIES = 12  # slides; smaller cohorts have no special cases
MSI_LOW = "MSI-L"  # label of every third negative patient


@dataclass(frozen=True)
class DemoCohort:
    """One synthetic cohort.

    Attributes
    ----------
    prefix
        First letters of every patient's name.
    count
        Slides. Of 12 or more, one has no tissue, one no µm/px, one patient in ten has two with
        tissue, and one patient (two of 30 slides or more) has no label.
    side
        Of a slide, level-0 px.
    effect
        Increase of the fraction of lymphocytes among the nuclei in MSI-H.
    laboratory
        Index of the stain and scanner in `slides.LABORATORIES`.
    """

    prefix: str
    count: int
    side: int = 512
    effect: float = 0.35
    laboratory: int = 0
    seed: int = 1


COHORTS = {
    "demo_cohort": DemoCohort("DC", 14),
    "demo_external": DemoCohort("DE", 4, laboratory=1, seed=2),
    # enough patients for a meaningful AUROC
    "demo_patients": DemoCohort("DP", 60, side=1500, seed=3),
    "demo_patients_external": DemoCohort("DX", 30, side=1500, laboratory=1, seed=4),
}


@dataclass(frozen=True)
class DemoSlide:
    """A slide: file name without suffix, patient, the patient's label, and its content.

    `label`: `MSI-H`, `MSI-L`, `MSS`, or empty; `shows`: `tissue`, `glass`, `no mpp`.
    """

    name: str
    patient: str
    label: str
    shows: str


def cohort_slides(cohort: DemoCohort) -> list[DemoSlide]:
    """Return the slides of a cohort by name. Half the labelled patients are MSI-H.

    >>> [slide.name for slide in cohort_slides(DemoCohort("DE", 2))]
    ['DE-001-DX1', 'DE-002-DX1']
    """
    odd = cohort.count >= MIN_FOR_ODDITIES
    shown = ["glass", "no mpp"] + ["tissue"] * (cohort.count // 10) if odd else []
    unknown = odd * (1 + (cohort.count >= 30))
    known = cohort.count - len(shown) - unknown
    draw = random.Random(cohort.seed)
    negative = [MSI_LOW if number % 3 == 2 else "MSS" for number in range(known - known // 2)]
    labels = ["MSI-H"] * (known // 2) + negative
    draw.shuffle(labels)
    labels += [""] * unknown
    patients = [f"{cohort.prefix}-{number:03d}" for number in range(1, len(labels) + 1)]
    twice = draw.sample(range(known), len(shown))
    slides = [
        DemoSlide(f"{name}-DX1", name, label, "tissue")
        for name, label in zip(patients, labels, strict=True)
    ]
    slides += [
        DemoSlide(f"{patients[place]}-DX2", patients[place], labels[place], shows)
        for place, shows in zip(twice, shown, strict=True)
    ]
    return sorted(slides, key=lambda slide: slide.name)
