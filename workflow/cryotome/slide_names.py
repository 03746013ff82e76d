"""Names of images and slides, and the image files below a folder."""

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

FLAT = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp"}  # decoded whole
PYRAMIDS = {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu", ".czi", ".dcm"}
BAG = ".h5"  # a slide table may name the bags of slides
SUFFIXES = FLAT | PYRAMIDS | {BAG}  # all else behind a dot belongs to the name, as in TCGA's


def same_spelling(name: str) -> str:
    """Return a name in Unicode's composed form (NFC); macOS writes file names decomposed (NFD).

    >>> same_spelling("u\\u0308ber.svs") == "\\u00fcber.svs"
    True
    """
    return unicodedata.normalize("NFC", name)


def slide_of(name: str) -> str:
    """Return the name of a file without its suffix, if that is a suffix of images; in NFC.

    >>> slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923.svs"), slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923")
    ('TCGA-3L-AA1B-01Z-00-DX1.8923', 'TCGA-3L-AA1B-01Z-00-DX1.8923')
    """
    suffix = Path(name).suffix
    return same_spelling(name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield all files of a folder and the folders below it, sorted, links to folders followed.

    A folder that a link leads back to is visited once. Hidden files and folders, `._` files of
    macOS among them, are never images and are left out.
    """
    visited: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        place = Path(here).stat()
        if (place.st_dev, place.st_ino) in visited:
            folders.clear()
            continue
        visited.add((place.st_dev, place.st_ino))
        folders[:] = sorted(name for name in folders if name[0] != ".")
        yield from (Path(here, name) for name in sorted(files) if name[0] != ".")


def number(name: str) -> int:
    """Return the first number in a file's name, -1 where there is none.

    >>> number("MIDOG21/007.tiff"), number("tumour.svs")
    (7, -1)
    """
    found = re.search(r"\d+", Path(name).stem)
    return int(found.group()) if found else -1
