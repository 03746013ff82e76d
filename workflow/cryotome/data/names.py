"""Names as files and tables write them: Unicode form, labels, slides, characters of paths."""

import re
import unicodedata
from pathlib import Path, PurePosixPath

from cryotome.core.files import leads_out

FLAT_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}  # decoded whole
PYRAMID_SUFFIXES = {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu", ".czi"}
PYRAMID_SUFFIXES |= {".dcm"}
IMAGE_SUFFIXES = FLAT_SUFFIXES | PYRAMID_SUFFIXES
BAG_SUFFIX = ".h5"  # a slide table may name the bags of slides
NAME_SUFFIXES = IMAGE_SUFFIXES | {BAG_SUFFIX}  # any other suffix is part of the name, as in TCGA

MAX_NAME_BYTES = 150  # of a name in paths; log files add 60, and file systems allow 255
MAX_PATH_BYTES = 240  # of a name in annotations; file systems allow 255
WILDCARD = r"(?:[\w.+=() -]|[^\x00-\x7f])+"  # Snakemake's form of `wildcard_problem`
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+=() -]*")  # allowed without a check of each character

# words that YAML reads as true, false and null, so that cards and tables agree
YAML_WORDS = dict.fromkeys(("yes", "true", "on"), "true") | dict.fromkeys(("null", "~"), "null")
YAML_WORDS |= dict.fromkeys(("no", "false", "off"), "false")


def to_nfc(name: str) -> str:
    """Return a name in Unicode's composed form (NFC); macOS writes file names decomposed (NFD).

    >>> to_nfc("u\\u0308ber.svs") == "\\u00fcber.svs"
    True
    """
    return unicodedata.normalize("NFC", name)


def as_text(value: object) -> str:
    """Return a cell of a table as text in NFC: the number 1.0 is "1", an empty cell is empty.

    >>> as_text(7.0), as_text(" 007 "), as_text("1.0"), as_text(None)
    ('7', '007', '1.0', '')
    """
    if value is None or value != value:  # NaN
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return to_nfc(str(int(value) if whole else value).strip())  # type: ignore[call-overload]


def canonical_label(value: object) -> str:
    """Return one spelling for all forms of a label in CSV, spreadsheets and YAML.

    1 and 1.0 are one label, and so are words that YAML reads as equal: yes, true and on. 01
    differs from 1.

    >>> [canonical_label(value) for value in ("1.0", 1, "01", True, "yes")]
    ['1', '1', '01', 'true', 'true']
    """
    text = as_text(value) if value is not None else "null"
    if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", text):
        return text.rstrip("0").rstrip(".")
    return YAML_WORDS.get(text.casefold(), text)


def slide_name(name: str) -> str:
    """Return the name of a file without image suffixes (`a.svs.tif` has two); in NFC.

    >>> slide_name("TCGA-3L-AA1B-01Z-00-DX1.8923.svs"), slide_name("TCGA-3L-AA1B-01Z-00-DX1.8923")
    ('TCGA-3L-AA1B-01Z-00-DX1.8923', 'TCGA-3L-AA1B-01Z-00-DX1.8923')
    """
    stem, _, suffix = name.rpartition(".")
    while stem and f".{suffix.lower()}" in NAME_SUFFIXES:
        name = stem
        stem, _, suffix = name.rpartition(".")
    return to_nfc(name)


def wildcard_problem(name: str) -> str:
    """Return why a name cannot be part of a result path, empty if it can.

    Allowed are letters of any script, digits, `. _ - + = ( )` and blanks inside the name.

    >>> wildcard_problem("TCGA-3L-AA1B-01Z-00-DX1.8923 (2)"), wildcard_problem("S{2}")
    ('', "it has the character '{'")
    """
    odd = [
        character
        for character in ("" if PLAIN_NAME.fullmatch(name) else name)
        if not re.fullmatch(WILDCARD, character)
        or not (character.isascii() or unicodedata.category(character)[0] in "LMN")
    ]
    if odd:
        return f"it has the character {odd[0]!r}"
    if not name or name != name.strip():
        return "it begins or ends with a blank" if name else "it is empty"
    if name[0] in ".=+-":
        return f"it begins with {name[0]!r}"
    return f"it has more than {MAX_NAME_BYTES} bytes" if len(name.encode()) > MAX_NAME_BYTES else ""


def first_number(name: str) -> int:
    """Return the first number in a file's name, -1 where there is none.

    >>> first_number("MIDOG21/007.tiff"), first_number("tumour.svs")
    (7, -1)
    """
    found = re.search(r"\d+", Path(name).stem)
    return int(found.group()) if found else -1


def filename_problem(name: object) -> str:
    """Return why a name from an annotation file cannot name an image or slide, empty if it can.

    It must stay below its folder on every system, and not be a formula for spreadsheets.

    >>> filename_problem("Normal/007.tiff"), filename_problem("../007.tiff")
    ('', 'it leads out of the folder')
    """
    if not isinstance(name, str):
        return "it is no text"
    if not name.isprintable():
        return "it has characters that cannot be printed"
    if len(name.encode()) > MAX_PATH_BYTES:
        return f"it has more than {MAX_PATH_BYTES} bytes"
    if name[:1] in tuple("=+-@"):
        return "a spreadsheet would take it for a formula"
    if leads_out(name):
        return "it leads out of the folder"
    return "it is a hidden file" if PurePosixPath(name).name[:1] == "." else ""
