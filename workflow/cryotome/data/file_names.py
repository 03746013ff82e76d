"""Names as files and tables spell them, and the image files below a folder."""

import os
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from time import time

from cryotome.core.errors import DataError

FLAT = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}  # decoded whole
PYRAMIDS = {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu", ".czi", ".dcm"}
IMAGES = FLAT | PYRAMIDS
BAG = ".h5"  # a slide table may name the bags of slides
SUFFIXES = IMAGES | {BAG}  # all else behind a dot belongs to the name, as in TCGA's

LONGEST = 150  # bytes of a name in paths; names of logs put 60 before it, and systems take 255
# folders of Synology, QNAP, Windows, macOS and Linux that hold thumbnails or what was deleted
OF_SYSTEMS = {"@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot", "$RECYCLE.BIN"}
OF_SYSTEMS |= {"System Volume Information", "__MACOSX", "lost+found"}
WILDCARD = r"(?:[\w.+=() -]|[^\x00-\x7f])+"  # the same as `why_no_wildcard`, for Snakemake
PLAIN = re.compile(r"[A-Za-z0-9_.+=() -]*")  # characters that need no second look


# what YAML takes for true, false and nothing, so that a card may say what a table says
WORDS = dict.fromkeys(("yes", "true", "on"), "true") | dict.fromkeys(("null", "~"), "null")
WORDS |= dict.fromkeys(("no", "false", "off"), "false")


def same_spelling(name: str) -> str:
    """Return a name in Unicode's composed form (NFC); macOS writes file names decomposed (NFD).

    >>> same_spelling("u\\u0308ber.svs") == "\\u00fcber.svs"
    True
    """
    return unicodedata.normalize("NFC", name)


def text_of(value: object) -> str:
    """Return a cell of a table as text in NFC: 1.0 of a sheet is 1, an empty cell nothing.

    >>> text_of(7.0), text_of(" 007 "), text_of("1.0"), text_of(None)
    ('7', '007', '1.0', '')
    """
    if value is None or value != value:  # NaN
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return same_spelling(str(int(value) if whole else value).strip())  # type: ignore[call-overload]


def label_of(value: object) -> str:
    """Return what a label means, whether a CSV, a sheet or YAML says it.

    1 and 1.0 are one label, and so are what YAML takes for one: yes, true and on. 01 is
    another than 1.

    >>> label_of("1.0"), label_of(1), label_of("01"), label_of(True), label_of("yes")
    ('1', '1', '01', 'true', 'true')
    """
    text = text_of(value) if value is not None else "null"
    if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", text):
        return text.rstrip("0").rstrip(".")
    return WORDS.get(text.casefold(), text)


def slide_of(name: str) -> str:
    """Return the name of a file without suffixes of images (`a.svs.tif` has two); in NFC.

    >>> slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923.svs"), slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923")
    ('TCGA-3L-AA1B-01Z-00-DX1.8923', 'TCGA-3L-AA1B-01Z-00-DX1.8923')
    """
    stem, _, suffix = name.rpartition(".")
    while stem and f".{suffix.lower()}" in SUFFIXES:
        name = stem
        stem, _, suffix = name.rpartition(".")
    return same_spelling(name)


def why_no_wildcard(name: str) -> str:
    """Say why a name cannot stand in the paths of results, nothing where it can.

    Letters of any script, digits and `. _ - + = ( )` and blanks inside the name can.

    >>> why_no_wildcard("TCGA-3L-AA1B-01Z-00-DX1.8923 (2)"), why_no_wildcard("S{2}")
    ('', "it has the character '{'")
    """
    odd = [
        character
        for character in ("" if PLAIN.fullmatch(name) else name)
        if not re.fullmatch(WILDCARD, character)
        or not (character.isascii() or unicodedata.category(character)[0] in "LMN")
    ]
    if odd:
        return f"it has the character {odd[0]!r}"
    if not name or name != name.strip():
        return "it begins or ends with a blank" if name else "it is empty"
    if name[0] in ".=+-":
        return f"it begins with {name[0]!r}"
    return f"it has more than {LONGEST} bytes" if len(name.encode()) > LONGEST else ""


def walk(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder and the folders below it, sorted, links to folders followed.

    A folder that a link leads back to is visited once; hidden folders and those of file
    servers, such as bins, are left out. Links that lead nowhere are yielded, too.
    """
    visited: set[tuple[int, int]] = set()
    below = [folder] if folder.is_dir() else []
    while below:
        here = below.pop()
        place = here.stat()
        if (place.st_dev, place.st_ino) in visited:
            continue
        visited.add((place.st_dev, place.st_ino))
        with os.scandir(here) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
        inside = {entry.path for entry in entries if _is_folder(entry)}
        yield from (Path(entry.path) for entry in entries if entry.path not in inside)
        below += [
            Path(entry.path)
            for entry in reversed(entries)
            if entry.path in inside and entry.name[0] != "." and entry.name not in OF_SYSTEMS
        ]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder or a link to one; a plain file costs no look at the disk."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder and the folders below it, as `walk` finds them, save hidden ones.

    Hidden files, `._` files of macOS among them, are never images.
    """
    return (path for path in walk(folder) if path.name[0] != ".")


@lru_cache(maxsize=64)
def _by_spelling(folder: str, changed: float) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the names in a folder by spelling in NFC, and those of images by name without suffix.

    Hidden files are left out.
    """
    whole: dict[str, list[str]] = {}
    stems: dict[str, list[str]] = {}
    for name in sorted(path.name for path in Path(folder).iterdir()):
        if name[0] != ".":
            whole.setdefault(same_spelling(name), []).append(name)
            if Path(name).suffix.lower() in IMAGES:
                stems.setdefault(slide_of(name), []).append(name)
    return whole, stems


def _listed(folder: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """List a folder once, and again where it has changed or changes still."""
    if not folder.is_dir():
        return {}, {}
    changed = folder.stat().st_mtime
    return _by_spelling(str(folder), changed if time() - changed > 2 else time())  # s


def _candidates(folder: Path, name: str, *, image: bool) -> Iterator[list[str]]:
    """Yield the files that a name may mean, the nearest first."""
    whole, stems = _listed(folder)
    yield whole.get(same_spelling(name), [])
    if not image:
        return
    meant, suffix = stems.get(slide_of(name), []), Path(name).suffix.lower()
    yield [file for file in meant if same_spelling(Path(file).stem) == same_spelling(name)]
    yield [file for file in meant if Path(file).suffix.lower() == suffix]
    yield meant


def _spelt(folder: Path, name: str, *, image: bool) -> Path:
    """Return the file or folder of that name, in whichever of Unicode's forms it is spelt."""
    if name.isascii() and (folder / name).exists():
        return folder / name
    for found in _candidates(folder, name, image=image):
        if len(found) > 1:
            forms = len({same_spelling(one) for one in found}) == 1
            raise DataError(
                f"{name!r} may be any of {ascii(found) if forms else found} in {folder}: "
                + ("their names differ only in Unicode's form" if forms else "only a suffix tells")
                + ". Rename or remove one, or correct the name."
            )
        if found:
            return folder / found[0]
    return folder / name


def image_named(folder: Path, name: str) -> Path:
    """Return the image of that name below a folder; what is not there is returned as named.

    An exact name wins; else the suffix may be another, missing, or in other letters (`.TIF`).

    Raises
    ------
    DataError
        The name may mean several files.
    """
    *folders, last = PurePosixPath(name).parts
    return _spelt(folder_named(folder, "/".join(folders)), last, image=True)


def folder_named(folder: Path, name: str) -> Path:
    """Return the folder of that name below a folder, in whichever of Unicode's forms it is spelt.

    Raises
    ------
    DataError
        The name may mean several.
    """
    for part in PurePosixPath(name).parts:
        folder = _spelt(folder, part, image=False)
    return folder


def number(name: str) -> int:
    """Return the first number in a file's name, -1 where there is none.

    >>> number("MIDOG21/007.tiff"), number("tumour.svs")
    (7, -1)
    """
    found = re.search(r"\d+", Path(name).stem)
    return int(found.group()) if found else -1
