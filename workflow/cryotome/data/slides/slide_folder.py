"""The slides below a folder: which files are slides, which are parts of one, which are neither."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from cryotome.core.errors import DataError
from cryotome.data.file_names import (
    FLAT,
    IMAGES,
    PYRAMIDS,
    same_spelling,
    slide_of,
    walk,
    why_no_wildcard,
)
from cryotome.data.slides.dicom import read_series

HIDDEN, OTHER, NOWHERE = "hidden", "of other kinds", "links to nothing"
PART, PICTURE = "parts of other slides", "label, macro or thumbnail images"
BESIDE, AGAIN = "flat images beside a slide of their name", "links to slides found before"
TIFF = {".tif", ".tiff"}  # flat, or a pyramid
# what a picture of a slide is called, alone or beside the slide's name
SHOWS = "(label|macro|thumbnail|thumb|overview|preview|mask|map)"
PICTURES = rf"^{SHOWS}[ _.-]+|[ _.-]*{SHOWS}$"
INDEXES = {".vms", ".vmu"}  # Hamamatsu: a text that names the other files
LONGEST = 2**16  # bytes of such a text


@dataclass(frozen=True)
class Found:
    """The slides below a folder.

    Attributes
    ----------
    files
        Name of a slide to the file that opens it, "" where it is not at hand.
    passed_over
        Reason to the number of files that are no slides.
    """

    files: dict[str, str]
    passed_over: dict[str, int]


def find_slides(folder: Path, named: Collection[str] = ()) -> Found:
    """Find the slides below a folder by the names of the files; of DICOM files the head is read.

    A series of DICOM files is one slide, named by their folder; `.mrxs`, `.vms` and `.vmu` are
    one slide with the files that belong to them.

    Parameters
    ----------
    named
        Slides of a slide table, as it writes them: those are slides, and an exact name decides
        between two files.

    Raises
    ------
    DataError
        Two files have one name, or a name cannot stand in the paths of results.
    """
    files = list(walk(folder))
    passed, slides = Counter[str](), defaultdict[str, list[Path]](list)
    series = _dicom_slides(files, passed)
    parts = _parts(files)
    mirax = {_spelt(path.with_suffix("")) for path in files if path.suffix.lower() == ".mrxs"}
    for path in files:
        if path.name[0] == ".":
            passed[HIDDEN] += 1
        elif path in parts or (mirax and mirax.intersection(map(_spelt, path.parents))):
            passed[PART] += 1
        elif path.suffix.lower() not in IMAGES:
            passed[OTHER] += 1
        elif path.suffix.lower() != ".dcm":
            slides[slide_of(path.name)].append(path)
    for name, path in series:
        slides[name].append(path)
    said, exact = set(map(slide_of, named)), set(map(same_spelling, named))
    for name in [name for name in slides if name not in said and _is_picture(name, slides)]:
        passed[PICTURE] += len(slides.pop(name))
    chosen = {name: _chosen(name, paths, exact, passed) for name, paths in slides.items()}
    again = _other_names({name: path for name, path in chosen.items() if path}, said)
    passed[AGAIN] += len(again)
    here = {name: str(path) for name, path in sorted(chosen.items()) if path and name not in again}
    return Found(here, {why: count for why, count in passed.items() if count})


def _other_names(slides: dict[str, Path], said: Collection[str]) -> set[str]:
    """Return names that are links to other slides here, and that no slide table names."""
    links = {name: path for name, path in slides.items() if path.is_symlink()}
    there = {path.resolve() for name, path in slides.items() if links and name not in links}
    return {name for name, path in links.items() if name not in said and path.resolve() in there}


def _spelt(path: Path) -> str:
    return same_spelling(str(path))


def _is_picture(name: str, slides: dict[str, list[Path]]) -> bool:
    """Whether a flat image shows a slide as a whole or its label, by its name."""
    flat = all(path.suffix.lower() in FLAT for path in slides[name])
    slide = re.sub(PICTURES, "", name, count=1, flags=re.IGNORECASE)
    return flat and slide != name and (not slide or slide in slides)


def _parts(files: list[Path]) -> set[Path]:
    """Return the files that Hamamatsu's .vms and .vmu name: the slide's tiles, map and macro."""
    found = set()
    for path in files:
        if path.suffix.lower() in INDEXES and path.name[0] != "." and path.is_file():
            with open(path, encoding="utf-8", errors="replace") as file:
                lines = file.read(LONGEST).splitlines()
            values = [line.partition("=")[2].strip() for line in lines]
            found |= {path.parent / value for value in values if value}
    return found


def _dicom_slides(files: list[Path], passed: Counter[str]) -> list[tuple[str, Path]]:
    """Return the DICOM slides, a series each: name, and a file that opens the whole of it."""
    folders = defaultdict[Path, dict[str, list[tuple[str, Path]]]](lambda: defaultdict(list))
    for path in files:
        if path.suffix.lower() == ".dcm" and path.name[0] != ".":
            series, kind = read_series(path) if path.is_file() else ("", "")
            folders[path.parent][series or path.name].append((kind, path))
    slides = []
    for folder, of in folders.items():
        volumes = [[path for kind, path in part if kind in ("", "VOLUME")] for part in of.values()]
        count, volumes = sum(map(len, of.values())), [part for part in volumes if part]
        passed[PICTURE] += count - sum(map(len, volumes))
        passed[PART] += sum(len(part) - 1 for part in volumes)
        if len(volumes) == 1 and count > 1:
            slides.append((same_spelling(folder.name), volumes[0][0]))
            continue
        for part in volumes:
            if len(part) > 1:
                raise DataError(
                    f"{folder} holds {len(volumes)} series of DICOM files, and {part[0].name} is "
                    "one of several files of its series. Put each series into a folder of its "
                    "own: a series is one slide, named by its folder."
                )
            slides.append((slide_of(part[0].name), part[0]))
    return slides


def _chosen(
    name: str, paths: list[Path], exact: Collection[str], passed: Counter[str]
) -> Path | None:
    """Return the one file of that name, None where it is a link to nothing."""
    there = [path for path in paths if not path.is_symlink() or path.exists()]
    passed[NOWHERE] += len(paths) - len(there)
    if not there:
        return None
    odd = why_no_wildcard(name)
    if odd:
        raise DataError(
            f"{there[0]}: the name {name!r} cannot be used: {odd}. Rename it; names of slides "
            "hold letters, digits, blanks inside and . _ - + = ( )."
        )
    if len(there) == 1:
        return there[0]
    for fits, why in (
        ([path for path in there if same_spelling(path.name) in exact], BESIDE),
        (list({path.resolve(): path for path in reversed(there)}.values()), AGAIN),
        (_without_pictures(there), BESIDE),
    ):
        if len(fits) == 1:
            passed[why] += len(there) - 1
            return fits[0]
    flat = [path for path in there if path.suffix.lower() in FLAT - TIFF]
    hint = f" If {flat[0].name} is a picture of the slide, move it elsewhere." if flat else ""
    forms = len({path.name for path in there}) > len({same_spelling(p.name) for p in there})
    raise DataError(
        f"{there[0]} and {there[1]} are two slides of one name, {name!r}"
        + (", spelt in two forms of Unicode" if forms else "")
        + f".{hint} Rename or remove one; what is made of a slide lies under its name."
    )


def _without_pictures(paths: list[Path]) -> list[Path]:
    """Leave out PNG, JPEG and the like where a pyramid has the same name."""
    if any(path.suffix.lower() in PYRAMIDS for path in paths):
        return [path for path in paths if path.suffix.lower() not in FLAT - TIFF]
    return paths
