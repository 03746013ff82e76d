"""Slide files below a folder, distinguished from parts of slides and other files."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryotome.core.errors import DataError
from cryotome.data.image_files import walk_files
from cryotome.data.names import (
    FLAT_SUFFIXES,
    IMAGE_SUFFIXES,
    PYRAMID_SUFFIXES,
    slide_name,
    to_nfc,
    wildcard_problem,
)
from cryotome.data.slides.dicom import read_series

HIDDEN, OTHER, DANGLING = "hidden", "of other kinds", "links to nothing"
PART, OVERVIEW = "parts of other slides", "label, macro or thumbnail images"
FLAT_COPY, SECOND_LINK = "flat images beside a slide of their name", "links to slides found before"
TIFF_SUFFIXES = {".tif", ".tiff"}  # flat or pyramidal
# names of overview images, alone or joined to the slide's name
OVERVIEW_WORDS = "(label|macro|thumbnail|thumb|overview|preview|mask|map)"
OVERVIEW_NAME = rf"^{OVERVIEW_WORDS}[ _.-]+|[ _.-]*{OVERVIEW_WORDS}$"
INDEX_SUFFIXES = {".vms", ".vmu"}  # Hamamatsu: text files that list the slide's other files
MAX_INDEX_CHARACTERS = 2**16  # bytes of such a text


@dataclass(frozen=True)
class FoundSlides:
    """The slides below a folder.

    Attributes
    ----------
    files
        Name of a slide to the file that opens it.
    passed_over
        Reason to the number of files that are not slides.
    """

    files: dict[str, str]
    passed_over: dict[str, int]


def find_slides(folder: Path, named: Collection[str] = ()) -> FoundSlides:
    """Find the slides below a folder by file name; of DICOM files the header is read.

    A series of DICOM files is one slide, named by its folder; `.mrxs`, `.vms` and `.vmu` are one
    slide with the files that belong to them.

    Parameters
    ----------
    named
        Slides of a slide table, as written there: they always count as slides, and an exact
        name decides between two files.

    Raises
    ------
    DataError
        Two files have the same name, or a name cannot be part of a result path.
    """
    files = list(walk_files(folder))
    passed, slides = Counter[str](), defaultdict[str, list[Path]](list)
    series = _dicom_slides(files, passed)
    parts = _hamamatsu_parts(files)
    mirax = {_nfc_path(path.with_suffix("")) for path in files if path.suffix.lower() == ".mrxs"}
    for path in files:
        if path.name[0] == ".":
            passed[HIDDEN] += 1
        elif path in parts or (mirax and mirax.intersection(map(_nfc_path, path.parents))):
            passed[PART] += 1
        elif path.suffix.lower() not in IMAGE_SUFFIXES:
            passed[OTHER] += 1
        elif path.suffix.lower() != ".dcm":
            slides[slide_name(path.name)].append(path)
    for name, path in series:
        slides[name].append(path)
    said, exact = set(map(slide_name, named)), set(map(to_nfc, named))
    for name in [name for name in slides if name not in said and _is_overview(name, slides)]:
        passed[OVERVIEW] += len(slides.pop(name))
    chosen = {name: _choose_file(name, paths, exact, passed) for name, paths in slides.items()}
    again = _second_links({name: path for name, path in chosen.items() if path}, said)
    passed[SECOND_LINK] += len(again)
    here = {name: str(path) for name, path in sorted(chosen.items()) if path and name not in again}
    return FoundSlides(here, {why: count for why, count in passed.items() if count})


def _second_links(slides: dict[str, Path], said: Collection[str]) -> set[str]:
    """Return names that are links to other slides found, and are in no slide table."""
    links = {name: path for name, path in slides.items() if path.is_symlink()}
    there = {path.resolve() for name, path in slides.items() if links and name not in links}
    return {name for name, path in links.items() if name not in said and path.resolve() in there}


def _nfc_path(path: Path) -> str:
    return to_nfc(str(path))


def _is_overview(name: str, slides: dict[str, list[Path]]) -> bool:
    """Whether a flat image is, by its name, an overview or the label of a slide."""
    flat = all(path.suffix.lower() in FLAT_SUFFIXES for path in slides[name])
    slide = re.sub(OVERVIEW_NAME, "", name, count=1, flags=re.IGNORECASE)
    return flat and slide != name and (not slide or slide in slides)


def _hamamatsu_parts(files: list[Path]) -> set[Path]:
    """Return the files listed in Hamamatsu's .vms and .vmu: tiles, map and macro of a slide."""
    found = set()
    for path in files:
        if path.suffix.lower() in INDEX_SUFFIXES and path.name[0] != "." and path.is_file():
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(MAX_INDEX_CHARACTERS).splitlines()
            values = [line.partition("=")[2].strip() for line in lines]
            found |= {path.parent / value for value in values if value}
    return found


def _dicom_slides(files: list[Path], passed: Counter[str]) -> list[tuple[str, Path]]:
    """Return the DICOM slides, one per series: name, and a file that opens the series."""
    folders = defaultdict[Path, dict[str, list[tuple[str, Path]]]](lambda: defaultdict(list))
    for path in files:
        if path.suffix.lower() == ".dcm" and path.name[0] != ".":
            series, kind = read_series(path) if path.is_file() else ("", "")
            folders[path.parent][series or path.name].append((kind, path))
    slides = []
    for folder, of in folders.items():
        volumes = [[path for kind, path in part if kind in ("", "VOLUME")] for part in of.values()]
        count, volumes = sum(map(len, of.values())), [part for part in volumes if part]
        passed[OVERVIEW] += count - sum(map(len, volumes))
        passed[PART] += sum(len(part) - 1 for part in volumes)
        if len(volumes) == 1 and count > 1:
            slides.append((to_nfc(folder.name), volumes[0][0]))
            continue
        for part in volumes:
            if len(part) > 1:
                raise DataError(
                    f"{folder} holds {len(volumes)} series of DICOM files, and {part[0].name} is "
                    "one of several files of its series. Put each series into a folder of its "
                    "own: a series is one slide, named by its folder."
                )
            slides.append((slide_name(part[0].name), part[0]))
    return slides


def _choose_file(
    name: str, paths: list[Path], exact: Collection[str], passed: Counter[str]
) -> Path | None:
    """Return the one file of that name, None if it is a dangling link."""
    there = [path for path in paths if not path.is_symlink() or path.exists()]
    passed[DANGLING] += len(paths) - len(there)
    if not there:
        return None
    odd = wildcard_problem(name)
    if odd:
        raise DataError(
            f"{there[0]}: the name {name!r} cannot be used: {odd}. Rename it; names of slides "
            "hold letters, digits, blanks inside and . _ - + = ( )."
        )
    if len(there) == 1:
        return there[0]
    for fits, why in (
        ([path for path in there if to_nfc(path.name) in exact], FLAT_COPY),
        (list({path.resolve(): path for path in reversed(there)}.values()), SECOND_LINK),
        (_prefer_pyramids(there), FLAT_COPY),
    ):
        if len(fits) == 1:
            passed[why] += len(there) - 1
            return fits[0]
    flat = [path for path in there if path.suffix.lower() in FLAT_SUFFIXES - TIFF_SUFFIXES]
    hint = (
        f" If {flat[0].name} is an overview image of the slide, move it elsewhere." if flat else ""
    )
    forms = len({path.name for path in there}) > len({to_nfc(p.name) for p in there})
    raise DataError(
        f"{there[0]} and {there[1]} are two slides of one name, {name!r}"
        + (", spelt in two forms of Unicode" if forms else "")
        + f".{hint} Rename or remove one; what is made of a slide lies under its name."
    )


def _prefer_pyramids(paths: list[Path]) -> list[Path]:
    """Leave out PNG, JPEG and the like if a pyramid has the same name."""
    if any(path.suffix.lower() in PYRAMID_SUFFIXES for path in paths):
        return [path for path in paths if path.suffix.lower() not in FLAT_SUFFIXES - TIFF_SUFFIXES]
    return paths
