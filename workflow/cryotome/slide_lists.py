"""Which slides a cohort has, known before anything is planned."""

import os
from pathlib import Path

from cryotome.cards import Card, below
from cryotome.demo_cohorts import COHORTS, cohort_slides
from cryotome.errors import CryotomeError, DataError
from cryotome.site import PLAN, Site, folder_of
from cryotome.slide_folders import Found, find_slides
from cryotome.slide_names import IMAGES, slide_of
from cryotome.study import Study


def _planned(card: Card) -> list[str]:
    """Return names for slides that nobody has seen yet, one a labelled patient."""
    return [f"slide_{number:04d}" for number in range(card["expect"]["labelled"])]


def slide_files(study: Study, site: Site, dataset: str) -> dict[str, str]:
    """Return the slides of a cohort, named without suffix, to their files.

    A slide that the slide table names and that is not on disk has the file "". Where only a
    plan is made and the slides are not at hand, names are made up, one a labelled patient.

    Raises
    ------
    CryotomeError
        The folder of the slides does not exist.
    DataError
        Two files have one name, a name cannot be used, or the folder holds no slide.
    """
    card = study.dataset(dataset)
    folder = below(folder_of(card, site.data_root), card["images"])
    if "synthetic" in card:
        slides = cohort_slides(COHORTS[dataset])
        return {slide.name: str(folder / f"{slide.name}.tiff") for slide in slides}
    if not folder.is_dir():
        if PLAN in os.environ:
            return dict.fromkeys(_planned(card), "")
        raise CryotomeError(
            f"{folder} does not exist, so {dataset!r} has no slides. `make data "
            f"STUDY={study.name}` says what to fetch and where to put it."
        )
    named = _named(card, site.data_root)
    found = dict.fromkeys(map(slide_of, named), "") | find_slides(folder, named).files
    if not found:
        raise DataError(
            f"{folder} and the folders below it hold no slide ({', '.join(sorted(IMAGES))}). Put "
            f"the slides of {dataset!r} there, or correct `images:` in its card."
        )
    return found


def look_for_slides(card: Card, data_root: Path) -> Found:
    """Return what `slide_files` finds of a real cohort's card, and what it passes over."""
    return find_slides(below(data_root, card["images"]), _named(card, data_root))


def _named(card: Card, data_root: Path) -> list[str]:
    """Return the slides that the slide table names, as it writes them, where there is one."""
    path = below(data_root, card.get("slide_table", ""))
    if "slide_table" not in card or not path.exists():
        return []
    from cryotome.cohorts import read_slide_table  # pandas, seldom needed

    return read_slide_table(path)["FILENAME"].tolist()


def labelled_slides(study: Study, site: Site, dataset: str) -> list[str]:
    """Return the slides of a cohort whose patients have a label: those that are embedded.

    Raises
    ------
    CryotomeError
        As `slide_files`; or the tables of patients and slides are not at hand, or wrong.
    """
    card, files = study.dataset(dataset), slide_files(study, site, dataset)
    if "synthetic" in card:
        return [slide.name for slide in cohort_slides(COHORTS[dataset]) if slide.label]
    if PLAN in os.environ and not any(files.values()):
        return list(files)
    from cryotome.cohorts import join_cohort, read_labels, read_slides  # pandas, seldom needed

    paths = {"labels": card["labels"]["table"], "slides": card.get("slide_table")}
    at = {name: below(site.data_root, said) for name, said in paths.items() if said}
    for path in at.values():
        if not path.exists():
            raise CryotomeError(
                f"{path} does not exist, so nobody knows the patients of {dataset!r}. "
                f"`make data STUDY={study.name}` says what to fetch and where to put it."
            )
    slides = read_slides(list(files), table=at.get("slides"), pattern=card.get("patient"))
    cohort = join_cohort(read_labels(at["labels"], card["labels"]), slides, dataset)
    return cohort.slides["FILENAME"].tolist()
