"""Who is in the invented colorectal cohorts: known without drawing a slide. Synthetic."""

import random
from dataclasses import dataclass

ODD = 12  # slides from which on a cohort has its oddities
LESS_SURE = "MSI-L"  # of every third patient who is negative


@dataclass(frozen=True)
class Cohort:
    """One invented cohort.

    Attributes
    ----------
    prefix
        Begins the name of every patient.
    count
        Slides, of 12 or more: one holds no tissue, one says no µm/px, one patient in ten has two
        with tissue, and one patient (two of 30 slides or more) has no label.
    side
        Of a slide, level-0 px.
    effect
        By how much the share of lymphocytes among the nuclei is higher in MSI-H; 0 for none.
    laboratory
        Number of the stain and scanner.
    """

    prefix: str
    count: int
    side: int = 512
    effect: float = 0.35
    laboratory: int = 0
    seed: int = 1


COHORTS = {
    "demo_cohort": Cohort("DC", 14),
    "demo_external": Cohort("DE", 4, laboratory=1, seed=2),
    # enough patients that an AUROC says something
    "demo_patients": Cohort("DP", 60, side=1500, seed=3),
    "demo_patients_external": Cohort("DX", 30, side=1500, laboratory=1, seed=4),
}


@dataclass(frozen=True)
class DemoSlide:
    """A slide: file name without suffix, its patient, the patient's label, and what it shows.

    `label`: `MSI-H`, `MSI-L`, `MSS`, or empty; `shows`: `tissue`, `glass`, `no mpp`.
    """

    name: str
    patient: str
    label: str
    shows: str


def cohort_slides(cohort: Cohort) -> list[DemoSlide]:
    """Return the slides of a cohort by name. Half the labelled patients are MSI-H.

    >>> [slide.name for slide in cohort_slides(Cohort("DE", 2))]
    ['DE-001-DX1', 'DE-002-DX1']
    """
    odd = cohort.count >= ODD
    shown = ["glass", "no mpp"] + ["tissue"] * (cohort.count // 10) if odd else []
    unknown = odd * (1 + (cohort.count >= 30))
    known = cohort.count - len(shown) - unknown
    draw = random.Random(cohort.seed)
    negative = [LESS_SURE if number % 3 == 2 else "MSS" for number in range(known - known // 2)]
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
