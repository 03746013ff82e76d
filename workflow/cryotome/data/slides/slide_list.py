"""Which slides a cohort has, known before anything is planned."""

import os
from functools import cache
from pathlib import Path

from cryotome.core.cards import Card, below
from cryotome.core.errors import CryotomeError, DataError, StoreError
from cryotome.data.demo.cohorts import COHORTS, cohort_slides
from cryotome.data.file_names import BAG, IMAGES, slide_of
from cryotome.data.slides.slide_folder import Found, find_slides
from cryotome.study.site import PLAN, Site, folder_of
from cryotome.study.study import Study


def _planned(study: Study, dataset: str) -> list[str]:
    """Return names for slides that nobody has seen yet, one a labelled patient."""
    return [f"slide_{number:04d}" for number in range(study.slides_expected(dataset))]


def slide_files(study: Study, site: Site, dataset: str) -> dict[str, str]:
    """Return the slides of a cohort, named without suffix, to their files.

    A slide that the slide table names and that is not on disk has the file "". Where only a
    plan is made and the slides are not at hand, names are made up, one a labelled patient.

    Raises
    ------
    CryotomeError
        The folder of the slides does not exist, or one of given bags.
    DataError
        Two files have one name, a name cannot be used, or the folder holds no slide.
    """
    card = study.dataset(dataset)
    if "images" not in card:
        return _without_slides(study, site, dataset)
    folder = below(folder_of(card, site.data_root), card["images"])
    if "synthetic" in card:
        slides = cohort_slides(COHORTS[dataset])
        return {slide.name: str(folder / f"{slide.name}.tiff") for slide in slides}
    if not folder.is_dir():
        if PLAN in os.environ:
            return dict.fromkeys(_planned(study, dataset), "")
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


def _without_slides(study: Study, site: Site, dataset: str) -> dict[str, str]:
    """Return the slides of a cohort that has bags alone: those of the slide table and the bags."""
    card = study.dataset(dataset)
    folders = [below(site.data_root, given["folder"]) for given in card["bags"].values()]
    found = dict.fromkeys(_named(card, site.data_root), "")
    for folder in folders:
        if folder.is_dir() or PLAN not in os.environ:
            found |= dict.fromkeys(_bags_in(folder, dataset), "")
    return found or dict.fromkeys(_planned(study, dataset), "")


def _bags_in(folder: Path, dataset: str) -> dict[str, str]:
    """Return slide to file of a folder of given bags.

    Raises
    ------
    CryotomeError
        There is no such folder.
    DataError
        It holds no bag, or two of one slide.
    """
    if not folder.is_dir():
        raise CryotomeError(
            f"{folder}, where the card of {dataset} says that bags lie, does not exist. Put them "
            "there, or correct `bags:`."
        )
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        name = slide_of(slide_of(path.name))  # some programs write slide.svs.h5
        if path.suffix.lower() != BAG or path.name.startswith(".") or not path.is_file():
            continue  # a link to nothing is no bag
        if name in found:
            raise DataError(f"{found[name]} and {path} are two bags of one slide. Remove one.")
        found[name] = str(path)
    if not found:
        raise DataError(
            f"{folder}, where the card of {dataset} says that bags lie, holds no file `*.h5`. Give "
            "the folder that holds a file `{slide}.h5` for each slide, without folders between."
        )
    return found


def given_bags(folder: str, slides: list[str], dataset: str) -> list[str]:
    """Return the bags that another program made of these slides; not every slide has one.

    Raises
    ------
    CryotomeError, DataError
        As `_bags_in`; or no slide has one.
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


@cache
def refuse_foreign(bag: str) -> None:
    """Stop a rule that would replace a bag which this workflow did not make.

    Raises
    ------
    StoreError
        There is one.
    """
    if not os.path.lexists(bag):
        return
    from cryotome.core.store import is_own_store  # h5py, seldom needed

    if not is_own_store(Path(bag)):
        raise StoreError(
            f"{bag} has no passport of this workflow, which would replace it with a bag of its "
            "own. If another program made it, move its folder below `data_root` and name that "
            "in the dataset's card, `bags: {MODEL: {folder: …}}` (docs/slides.md); else delete it."
        )


def _named(card: Card, data_root: Path) -> list[str]:
    """Return the slides that the slide table names, as it writes them, where there is one."""
    path = below(data_root, card.get("slide_table", ""))
    if "slide_table" not in card or not path.is_file():
        return []
    from cryotome.data.cohorts import read_slide_table  # pandas, seldom needed

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
    from cryotome.data.cohorts import join_cohort, read_labels, read_slides  # pandas, seldom needed

    paths = {"labels": card["labels"]["table"], "slides": card.get("slide_table")}
    at = {name: below(site.data_root, said) for name, said in paths.items() if said}
    for path in at.values():
        if not path.is_file():
            raise CryotomeError(
                f"{path} does not exist, so nobody knows the patients of {dataset!r}. "
                f"`make data STUDY={study.name}` says what to fetch and where to put it."
            )
    slides = read_slides(list(files), table=at.get("slides"), pattern=card.get("patient"))
    cohort = join_cohort(read_labels(at["labels"], card["labels"]), slides, dataset)
    return cohort.slides["FILENAME"].tolist()
