"""Slides of a cohort, listed before jobs are planned."""

import os
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryotome.core.cards import Card, below
from cryotome.core.errors import CryotomeError, DataError, StoreError
from cryotome.data.demo.cohorts import COHORTS, cohort_slides
from cryotome.data.names import BAG_SUFFIX, IMAGE_SUFFIXES, slide_name
from cryotome.data.slides.slide_folder import FoundSlides, find_slides
from cryotome.study.site import PLAN, Site, folder_of
from cryotome.study.study import Study

# in a plan, all slides of a cohort that is not at hand: their jobs are alike, and are counted
EVERY_SLIDE = "every_slide"


def slide_files(study: Study, site: Site, dataset: str) -> dict[str, str]:
    """Return the slides of a cohort: name without suffix to file.

    A slide of the slide table that is not on disk has the file "". In plan mode without slides,
    the only name is `EVERY_SLIDE`.

    Raises
    ------
    CryotomeError
        The folder of the slides or of existing bags does not exist.
    DataError
        Two files have the same name, a name cannot be used, or the folder holds no slide.
    """
    card = study.dataset(dataset)
    if "images" not in card:
        return _slides_of_bags(study, site, dataset)
    folder = below(folder_of(card, site.data_root), card["images"])
    if "synthetic" in card:
        slides = cohort_slides(COHORTS[dataset])
        return {slide.name: str(folder / f"{slide.name}.tiff") for slide in slides}
    if not folder.is_dir():
        if PLAN in os.environ:
            return {EVERY_SLIDE: ""}
        raise CryotomeError(
            f"{folder} does not exist, so {dataset!r} has no slides. `make data "
            f"STUDY={study.name}` prints what to fetch and where to put it."
        )
    named = slides_in_table(card, site.data_root)
    found = dict.fromkeys(map(slide_name, named), "") | find_slides(folder, named).files
    if not found:
        raise DataError(
            f"{folder} and its subfolders hold no slide ({', '.join(sorted(IMAGE_SUFFIXES))}). "
            f"Put the slides of {dataset!r} there, or correct `images:` in its card."
        )
    return found


def slides_on_disk(card: Card, data_root: Path) -> FoundSlides:
    """Return the slides on disk of a real cohort, and the files passed over."""
    return find_slides(below(data_root, card["images"]), slides_in_table(card, data_root))


def _slides_of_bags(study: Study, site: Site, dataset: str) -> dict[str, str]:
    """Return the slides of a cohort with bags only, from the slide table and the bags."""
    card = study.dataset(dataset)
    folders = [below(site.data_root, given["folder"]) for given in card["bags"].values()]
    found = dict.fromkeys(slides_in_table(card, site.data_root), "")
    for folder in folders:
        if folder.is_dir() or PLAN not in os.environ:
            found |= dict.fromkeys(_bags_in(folder, dataset), "")
    return found or {EVERY_SLIDE: ""}


def _bags_in(folder: Path, dataset: str) -> dict[str, str]:
    """Return slide to file of a folder of existing bags.

    Raises
    ------
    CryotomeError
        The folder does not exist.
    DataError
        It holds no bag, or two bags of one slide.
    """
    if not folder.is_dir():
        raise CryotomeError(
            f"{folder}, which the card of {dataset} names under `bags:`, does not exist. Put them "
            "there, or correct `bags:`."
        )
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        name = slide_name(slide_name(path.name))  # some programs write slide.svs.h5
        if path.suffix.lower() != BAG_SUFFIX or path.name.startswith(".") or not path.is_file():
            continue  # a dangling link is not a bag
        if name in found:
            raise DataError(f"{found[name]} and {path} are two bags of one slide. Remove one.")
        found[name] = str(path)
    if not found:
        raise DataError(
            f"{folder}, which the card of {dataset} names under `bags:`, holds no file `*.h5`. "
            "Give the folder that directly holds a file `{slide}.h5` for each slide."
        )
    return found


def given_bags(folder: str, slides: list[str], dataset: str) -> list[str]:
    """Return the bags of these slides that another program made; not every slide has one.

    Raises
    ------
    CryotomeError, DataError
        As `_bags_in`, or no slide has one.
    """
    if PLAN in os.environ and not Path(folder).is_dir():
        return []
    found = _bags_in(Path(folder), dataset)
    mine = [found[name] for name in slides if name in found]
    if not mine:
        raise DataError(
            f"{folder} holds {len(found)} bags, first {next(iter(found))!r}, and none of the "
            f"{len(slides)} slides of {dataset}, first {next(iter(slides), None)!r}. A bag is "
            "named as its slide: `{slide}.h5`."
        )
    return mine


class BagSource(NamedTuple):
    """The bags of a cohort for one model."""

    folder: str
    files: list[str]
    given: Card | None  # what a user's bags must agree with, None for our own


def bag_source(
    study: Study, site: Site, of: tuple[str, str], slides: list[str], ours: str
) -> BagSource:
    """Return the bags of slides: the user's where the dataset's card names their folder, else ours.

    Parameters
    ----------
    of
        Dataset and model.
    ours
        The folder of bags that this workflow makes.

    Raises
    ------
    CryotomeError, DataError
        As `given_bags`.
    """
    said, given = study.dataset(of[0]).get("bags", {}).get(of[1]), study.given_bags(*of)
    if not said:
        return BagSource(ours, [f"{ours}/{slide}.h5" for slide in slides], given)
    folder = str(below(site.data_root, said["folder"]))
    return BagSource(folder, given_bags(folder, slides, of[0]), given)


def replaces_nothing(*bags: str) -> list[str]:
    """Return no input, once it is sure that no bag of another program lies where a rule writes.

    Raises
    ------
    StoreError
        As `raise_if_foreign_bag`.
    """
    for bag in bags:
        raise_if_foreign_bag(bag)
    return []


@cache
def raise_if_foreign_bag(bag: str) -> None:
    """Raise if a rule would replace a bag that this workflow did not make.

    Raises
    ------
    StoreError
        The bag has no provenance of this workflow.
    """
    if not os.path.lexists(bag):
        return
    from cryotome.core.store import is_own_store  # slow import, rarely needed

    if not is_own_store(Path(bag)):
        raise StoreError(
            f"{bag} has no provenance of this workflow, which would replace it with its own "
            "bag. If another program made it, move its folder below `data_root` and name that "
            "in the dataset's card, `bags: {MODEL: {folder: …}}` "
            "(docs/guides/whole-slide-images.md); else delete it."
        )


def slides_in_table(card: Card, data_root: Path) -> list[str]:
    """Return the slides of the slide table, as written there; empty without a table."""
    path = below(data_root, card.get("slide_table", ""))
    if "slide_table" not in card or not path.is_file():
        return []
    from cryotome.data.cohorts import read_slide_table  # slow import, rarely needed

    return read_slide_table(path)["FILENAME"].tolist()


def labelled_slides(study: Study, site: Site, dataset: str) -> list[str]:
    """Return the slides of a cohort whose patients have a label; these are embedded.

    Without labels (`unlabelled` of the card) they are all slides.

    Raises
    ------
    CryotomeError
        As `slide_files`, or the tables of patients and slides are missing or wrong.
    """
    card, files = study.dataset(dataset), slide_files(study, site, dataset)
    if "synthetic" in card:
        return [slide.name for slide in cohort_slides(COHORTS[dataset]) if slide.label]
    if card.get("unlabelled") or (PLAN in os.environ and not any(files.values())):
        return list(files)
    # slow imports, rarely needed
    from cryotome.data.cohorts import join_cohort, read_labels, read_slides

    paths = {"labels": card["labels"]["table"], "slides": card.get("slide_table")}
    at = {name: below(site.data_root, said) for name, said in paths.items() if said}
    for path in at.values():
        if not path.is_file():
            raise CryotomeError(
                f"{path} does not exist, so the labels of {dataset!r} cannot be read. "
                f"`make data STUDY={study.name}` prints what to fetch and where to put it."
            )
    slides = read_slides(list(files), table=at.get("slides"), pattern=card.get("patient"))
    cohort = join_cohort(read_labels(at["labels"], card["labels"]), slides, dataset)
    return cohort.slides["FILENAME"].tolist()
