"""Image files below a folder: the walk of folders, and the file that a name means."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from time import time

from cryotome.core.errors import DataError
from cryotome.data.names import IMAGE_SUFFIXES, filename_problem, slide_name, to_nfc

# thumbnails and bins of Synology, QNAP, Windows, macOS and Linux
SYSTEM_FOLDERS = {"@eaDir", "@Recycle", "@Recently-Snapshot", "#recycle", "#snapshot"}
SYSTEM_FOLDERS |= {"$RECYCLE.BIN", "System Volume Information", "__MACOSX", "lost+found"}


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield all files below a folder, sorted, following links to folders.

    Each folder is visited once, also where links form a loop; hidden folders and those of file
    servers, such as bins, are left out. Dangling links are yielded, too.
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
            if entry.path in inside and entry.name[0] != "." and entry.name not in SYSTEM_FOLDERS
        ]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a folder or a link to one; needs no system call for plain files."""
    return Path(entry.path).is_dir() if entry.is_symlink() else entry.is_dir()


def visible_files(folder: Path) -> Iterator[Path]:
    """Yield the files of `walk_files` that are not hidden (such as `._` files of macOS)."""
    return (path for path in walk_files(folder) if path.name[0] != ".")


@lru_cache(maxsize=64)
def _names_in(folder: str, changed: float) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return file names by name in NFC, and image files by name without suffix.

    Hidden files are left out; `changed` only keys the cache.
    """
    whole: dict[str, list[str]] = {}
    stems: dict[str, list[str]] = {}
    for name in sorted(path.name for path in Path(folder).iterdir()):
        if name[0] != ".":
            whole.setdefault(to_nfc(name), []).append(name)
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                stems.setdefault(slide_name(name), []).append(name)
    return whole, stems


def _current_names(folder: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """List a folder; read it anew if it has changed, or did so in the last 2 s."""
    if not folder.is_dir():
        return {}, {}
    changed = folder.stat().st_mtime
    return _names_in(str(folder), changed if time() - changed > 2 else time())  # s


def _candidates(folder: Path, name: str, *, image: bool) -> Iterator[list[str]]:
    """Yield the files that a name may mean, best match first."""
    whole, stems = _current_names(folder)
    yield whole.get(to_nfc(name), [])
    if not image:
        return
    meant, suffix = stems.get(slide_name(name), []), Path(name).suffix.lower()
    yield [file for file in meant if to_nfc(Path(file).stem) == to_nfc(name)]
    yield [file for file in meant if Path(file).suffix.lower() == suffix]
    yield meant


def _matching_file(folder: Path, name: str, *, image: bool) -> Path:
    """Return the file or folder of that name, in either Unicode form."""
    if name.isascii() and (folder / name).exists():
        return folder / name
    for found in _candidates(folder, name, image=image):
        if len(found) > 1:
            forms = len({to_nfc(one) for one in found}) == 1
            raise DataError(
                f"{name!r} may be any of {ascii(found) if forms else found} in {folder}: "
                + (
                    "their names differ only in Unicode's form"
                    if forms
                    else "they differ only in suffix"
                )
                + ". Rename or remove one, or correct the name."
            )
        if found:
            return folder / found[0]
    return folder / name


def folder_below(folder: Path, name: str) -> Path:
    """Return the folder of that name below a folder, in either Unicode form.

    Raises
    ------
    DataError
        The name may mean several.
    """
    for part in PurePosixPath(name).parts:
        folder = _matching_file(folder, part, image=False)
    return folder


def find_image(folder: Path, name: str) -> Path:
    """Return the image of that name, with whatever image suffix it has.

    An exact match wins; else the suffix may differ, be absent, or in upper case (`.TIF`). Only
    image suffixes are ignored: `case.1` does not match `case.png`. Names match in either Unicode
    form (NFC, NFD). Links inside the folder may lead outside it.

    Raises
    ------
    DataError
        The name cannot name an image, or may mean several.
    """
    odd = filename_problem(name)
    if odd:
        raise DataError(f"{name!r} names no image of {folder}: {odd}. Correct the annotations.")
    *folders, last = PurePosixPath(name).parts
    return _matching_file(folder_below(folder, "/".join(folders)), last, image=True)
