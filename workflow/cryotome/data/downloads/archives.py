"""Archives: unpacked into a folder beside them, completely or not at all."""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from cryotome.core.errors import DownloadError
from cryotome.core.files import leads_out

MAX_EXPANSION = 20  # times the archive's size; images compress less, decompression bombs more


def folder_beside(archive: Path) -> Path:
    """Return the folder into which an archive is unpacked."""
    return archive.with_suffix("")


def unpack(archive: Path) -> Path:
    """Unpack a ZIP archive into the folder of its name, and return that folder.

    If the archive holds a single folder of its own name, its content is used.

    Raises
    ------
    DownloadError
        The archive is damaged, leads out of its folder, or unpacks to too much for its size or
        for the disk.
    """
    folder = folder_beside(archive)
    beside = folder.with_name(f".{folder.name}.unpacked.part")
    shutil.rmtree(beside, ignore_errors=True)  # left by a killed process
    try:
        with _opened(archive) as content:
            _check(content, archive)
            beside.mkdir()
            content.extractall(beside)
    except DownloadError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    inner = beside / folder.name
    whole = inner if list(beside.iterdir()) == [inner] and inner.is_dir() else beside
    whole.rename(folder)
    shutil.rmtree(beside, ignore_errors=True)
    return folder


def check_unpacked(archive: Path) -> None:
    """Check the folder beside an archive against the archive's names and sizes.

    Raises
    ------
    DownloadError
        A file is missing or differs in size, or the archive is damaged.
    """
    folder = folder_beside(archive)
    with _opened(archive) as content:
        sizes = {e.filename: e.file_size for e in content.infolist() if not e.is_dir()}
    inner = all(name.startswith(f"{folder.name}/") for name in sizes)
    paths = {(folder.parent if inner else folder) / name: size for name, size in sizes.items()}
    absent = [p for p, size in paths.items() if not p.is_file() or p.stat().st_size != size]
    if absent:
        raise DownloadError(
            f"{folder} already exists, and differs from {archive.name} in {len(absent):,} of the "
            f"{len(paths):,} files, first {absent[0].name}. Both are left as they are; move the "
            "folder away or delete it to have the archive unpacked"
        )


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as content:
            yield content
    # RuntimeError: encrypted, or of a compression that zipfile does not know
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise DownloadError(f"{archive} cannot be unpacked ({error}). Delete it.") from error


def _check(content: zipfile.ZipFile, archive: Path) -> None:
    entries = content.infolist()
    for entry in entries:
        name = entry.filename.replace("\\", "/")
        link, nameless = stat.S_ISLNK(entry.external_attr >> 16), not PurePosixPath(name).parts
        if leads_out(name) or ":" in name.split("/")[0] or link or (nameless and name != "./"):
            why = "has no name" if nameless else "leads out of its folder"
            raise DownloadError(
                f"{archive} is not unpacked: its entry {entry.filename!r} "
                f"{'is a link' if link else why}."
            )
    size, packed = sum(entry.file_size for entry in entries), archive.stat().st_size
    if size > MAX_EXPANSION * packed:
        raise DownloadError(
            f"{archive} is not unpacked: it would grow from {packed:,} to {size:,} bytes."
        )
    free = shutil.disk_usage(archive.parent).free
    if size > free:
        raise DownloadError(
            f"{archive} unpacks to {size:,} bytes, and {free:,} are free there. Make room, and run "
            "the same command again."
        )
