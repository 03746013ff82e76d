"""Unpack an archive into a folder beside it, whole or not at all."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from cryotome.errors import DownloadError

LARGEST = 20  # times an archive's size: images do not shrink to less, bombs do


def folder_beside(archive: Path) -> Path:
    """Return the folder that an archive becomes."""
    return archive.with_suffix("")


def unpack(archive: Path) -> Path:
    """Unpack a ZIP archive into the folder of its name, and return that folder.

    Where the archive holds a single folder of its own name, that is the one.

    Raises
    ------
    DownloadError
        The archive is broken, leads out of its folder, grows beyond measure or beyond the disk.
    """
    folder = folder_beside(archive)
    beside = folder.with_name(f".{folder.name}.unpacked.part")
    shutil.rmtree(beside, ignore_errors=True)  # what a kill left
    try:
        with zipfile.ZipFile(archive) as content:
            _check(content, archive)
            beside.mkdir()
            content.extractall(beside)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise DownloadError(f"{archive} cannot be unpacked ({error}). Delete it.") from error
    inner = beside / folder.name
    whole = inner if list(beside.iterdir()) == [inner] and inner.is_dir() else beside
    whole.rename(folder)
    shutil.rmtree(beside, ignore_errors=True)
    return folder


def _check(content: zipfile.ZipFile, archive: Path) -> None:
    entries = content.infolist()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        link = stat.S_ISLNK(entry.external_attr >> 16)
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] or link:
            raise DownloadError(
                f"{archive} is not unpacked: its entry {entry.filename!r} "
                + ("is a link." if link else "leads out of its folder.")
            )
    size, packed = sum(entry.file_size for entry in entries), archive.stat().st_size
    if size > LARGEST * packed:
        raise DownloadError(
            f"{archive} is not unpacked: it would grow from {packed:,} to {size:,} bytes."
        )
    free = shutil.disk_usage(archive.parent).free
    if size > free:
        raise DownloadError(
            f"{archive} unpacks to {size:,} bytes, and {free:,} are free there. Make room, and run "
            "the same command again."
        )
