"""Transfer of one file: resumed if interrupted, accepted only if it matches the record."""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx2

from cryotome.core.errors import DownloadError
from cryotome.data.downloads.http_client import HttpClient, TemporaryError, redacted
from cryotome.data.downloads.repositories import RemoteFile

CHUNK = 1 << 20  # bytes read from disk at once
HTML_TAGS = (b"<!doctype html", b"<html")


class _Digest:
    """A checksum of the record's kind, `md5:…` if it has none."""

    def __init__(self, remote: RemoteFile) -> None:
        self.kind = (remote.checksum or "md5:").split(":")[0]
        if self.kind not in ("md5", "git"):
            raise DownloadError(f"{remote.name}: a checksum of kind {self.kind!r} is not known.")
        self.hash = hashlib.sha1() if self.kind == "git" else hashlib.md5()
        self.hash.update(b"blob %d\0" % (remote.size or 0) if self.kind == "git" else b"")
        self.update = self.hash.update

    def __str__(self) -> str:
        return f"{self.kind}:{self.hash.hexdigest()}"


def checksum_of(path: Path, remote: RemoteFile) -> str:
    """Return a file's checksum, of the same kind as the record's."""
    digest = _Digest(remote)
    with open(path, "rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return str(digest)


def partial_path(target: Path) -> Path:
    """Return the file that holds the bytes received so far."""
    return target.with_name(f"{target.name}.part")


class _PartialFile:
    """A partly received file: its bytes, their checksum, and the edition they belong to."""

    def __init__(self, target: Path, remote: RemoteFile) -> None:
        self.path, self.remote = partial_path(target), remote
        self.edition = target.with_name(f"{target.name}.part.edition")
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.edition.is_symlink() and self.edition.is_file():
            raise DownloadError(
                f"{self.edition} is a link, and its target would be overwritten. Remove it"
            )
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.file: IO[bytes] = os.fdopen(os.open(self.path, flags, 0o666), "a+b")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            exclusive = os.path.samestat(os.fstat(self.file.fileno()), self.path.stat())
        except (BlockingIOError, FileNotFoundError):
            exclusive = False
        except OSError:  # some shared file systems have no locks
            exclusive = True
        if not exclusive:
            self.file.close()
            raise DownloadError("another process is fetching it")
        self.digest, self.size = _Digest(remote), 0
        self.file.seek(0)
        while piece := self.file.read(CHUNK):
            self._count(piece)

    def _count(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)

    def add(self, piece: bytes) -> None:
        self.file.write(piece)
        self._count(piece)

    def restart(self) -> None:
        self.file.truncate(0)
        self.digest, self.size = _Digest(self.remote), 0
        self.edition.unlink(missing_ok=True)

    def resumption(self, url: str) -> dict[str, str]:
        """Return the headers that request the rest, empty if nothing has been received."""
        if not self.size:
            return {}
        said = self.edition.read_text(encoding="utf-8") if self.edition.exists() else ""
        edition, _, of = said.partition("\n")
        if edition and of == url:
            return {"Range": f"bytes={self.size}-", "If-Range": edition}
        # without a checksum a mixture of two editions would go unnoticed
        return {"Range": f"bytes={self.size}-"} if self.remote.checksum else {}

    def note_edition(self, url: str, got: httpx2.Response) -> None:
        etag = got.headers.get("ETag", "W/")
        edition = got.headers.get("Last-Modified", "") if etag.startswith("W/") else etag
        self.edition.write_text(f"{edition}\n{url}", encoding="utf-8")

    def finish(self, target: Path) -> None:
        self.file.flush()
        self.path.replace(target)
        self.edition.unlink(missing_ok=True)

    def close(self) -> None:
        self.file.close()


def fetch_file(
    remote: RemoteFile,
    target: Path,
    web: HttpClient,
    report: Callable[[int], object] = lambda _: None,
) -> str:
    """Fetch a file from the first of its addresses that delivers it completely.

    Bytes are collected in `{target}.part`, from which an interrupted transfer is resumed.

    Parameters
    ----------
    report
        Called with the number of bytes received; negative when they are discarded.

    Returns
    -------
    its checksum, of the same kind as the record's

    Raises
    ------
    DownloadError
        No address delivers it; the message gives the reason for each.
    """
    part = _PartialFile(target, remote)
    faults = []
    try:
        for url in remote.urls:
            try:
                _fetch_whole(url, part, web, report)
            except DownloadError as error:
                faults.append(f"{redacted(url)}: {error}")
                continue
            part.finish(target)
            return str(part.digest)
    finally:
        part.close()
        if not part.size:
            part.path.unlink(missing_ok=True)
            part.edition.unlink(missing_ok=True)
    raise DownloadError("; ".join(faults))


def _fetch_whole(
    url: str, part: _PartialFile, web: HttpClient, report: Callable[[int], object]
) -> None:
    """Fetch until all bytes are there and correct; wrong ones are fetched once more."""
    due = part.remote.checksum
    for _ in range(2):
        if not (part.size and part.size == part.remote.size):
            web.retry(url, lambda: _attempt(url, part, web, report), received=lambda: part.size)
        found = str(part.digest)
        if not due or found == due:
            return
        _discard(part, report)
    raise DownloadError(f"its checksum ({found}) differed twice from the record's ({due})")


def _discard(part: _PartialFile, report: Callable[[int], object]) -> None:
    report(-part.size)
    part.restart()


def _attempt(
    url: str, part: _PartialFile, web: HttpClient, report: Callable[[int], object]
) -> None:
    """Request the rest once, and store as much as arrives."""
    headers, size = part.resumption(url), part.remote.size
    with web.answer(url, headers) as got:
        start = re.match(r"bytes (\d+)-", got.headers.get("Content-Range", ""))
        resumes = got.status_code == 206 and start and int(start[1]) == part.size
        if part.size and not resumes:  # the server ignores ranges, or has a new edition
            _discard(part, report)
        if got.status_code != 200 and not resumes:
            raise TemporaryError("the server does not resume where the transfer broke off")
        _check_headers(got, part)
        if not part.size:
            part.note_edition(url, got)
        for piece in got.iter_raw():
            if not part.size:
                _refuse_html(piece, part.remote)
            part.add(piece)
            report(len(piece))
            if size is not None and part.size > size:
                _discard(part, report)
                raise DownloadError(f"more than the record's {size:,} bytes arrived")
            if size is None and part.size > (part.remote.max_bytes or part.size):
                _discard(part, report)
                raise DownloadError(
                    f"more than {part.remote.max_bytes:,} bytes arrived, twice the card's "
                    "`gigabytes`; the record lists no size. Correct `gigabytes:`"
                )
            if web.stop.is_set():
                raise DownloadError("it was stopped")
    if not part.size:
        raise TemporaryError("the server sent 0 bytes")
    if size is not None and part.size < size:
        raise TemporaryError(f"{part.size:,} of {size:,} bytes arrived")


def _check_headers(got: httpx2.Response, part: _PartialFile) -> None:
    """Refuse an answer whose headers show that it is not the file."""
    if "text/html" in got.headers.get("Content-Type", ""):
        _refuse_html(HTML_TAGS[0], part.remote)
    said = got.headers.get("Content-Length", "")
    if said.isdecimal() and part.remote.size is not None:
        due = part.remote.size - part.size
        if int(said) not in (0, due):  # 0 is a temporary error
            raise DownloadError(f"it offers {int(said):,} bytes where the record lists {due:,}")


def _refuse_html(start: bytes, remote: RemoteFile) -> None:
    is_page = start.lstrip()[:20].lower().startswith(HTML_TAGS)
    if is_page and Path(remote.name).suffix not in (".html", ".htm"):
        raise DownloadError("the server sent an HTML page instead of the file")
