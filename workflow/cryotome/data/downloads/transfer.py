"""Fetch one file: go on where a transfer broke off, and let in only what the record promises."""

import fcntl
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

import httpx2

from cryotome.core.errors import DownloadError
from cryotome.data.downloads.http_client import HttpClient, PassingError, redacted
from cryotome.data.downloads.repositories import Remote

PIECE = 1 << 20  # bytes read from disk at once
PAGES = (b"<!doctype html", b"<html")


class _Digest:
    """A checksum of the record's kind, `md5:…` where it has none."""

    def __init__(self, remote: Remote) -> None:
        self.kind = (remote.checksum or "md5:").split(":")[0]
        if self.kind not in ("md5", "git"):
            raise DownloadError(f"{remote.name}: a checksum of kind {self.kind!r} is not known.")
        self.hash = hashlib.sha1() if self.kind == "git" else hashlib.md5()
        self.hash.update(b"blob %d\0" % (remote.size or 0) if self.kind == "git" else b"")
        self.update = self.hash.update

    def __str__(self) -> str:
        return f"{self.kind}:{self.hash.hexdigest()}"


def checksum_of(path: Path, remote: Remote) -> str:
    """Return a file's checksum, of the kind that the record has."""
    digest = _Digest(remote)
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return str(digest)


def partial_path(target: Path) -> Path:
    """Return where the bytes of a file lie that have come so far."""
    return target.with_name(f"{target.name}.part")


class _Part:
    """What has come of a file: its bytes, their checksum, and which edition of it they are of."""

    def __init__(self, target: Path, remote: Remote) -> None:
        self.path, self.remote = partial_path(target), remote
        self.edition = target.with_name(f"{target.name}.part.edition")
        target.parent.mkdir(parents=True, exist_ok=True)
        if self.edition.is_symlink() and self.edition.is_file():
            raise DownloadError(
                f"{self.edition} is a link, and would be written through. Remove it"
            )
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self.file: IO[bytes] = os.fdopen(os.open(self.path, flags, 0o666), "a+b")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            sole = os.path.samestat(os.fstat(self.file.fileno()), self.path.stat())
        except (BlockingIOError, FileNotFoundError):
            sole = False
        except OSError:  # some shared file systems have no locks
            sole = True
        if not sole:
            self.file.close()
            raise DownloadError("another process fetches it right now")
        self.digest, self.size = _Digest(remote), 0
        self.file.seek(0)
        while piece := self.file.read(PIECE):
            self._count(piece)

    def _count(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)

    def add(self, piece: bytes) -> None:
        self.file.write(piece)
        self._count(piece)

    def begin_again(self) -> None:
        self.file.truncate(0)
        self.digest, self.size = _Digest(self.remote), 0
        self.edition.unlink(missing_ok=True)

    def resumption(self, url: str) -> dict[str, str]:
        """Return the headers that ask for the rest, none where it is all to come."""
        if not self.size:
            return {}
        said = self.edition.read_text(encoding="utf-8") if self.edition.exists() else ""
        edition, _, of = said.partition("\n")
        if edition and of == url:
            return {"Range": f"bytes={self.size}-", "If-Range": edition}
        # without a checksum nothing would tell a mixture of two editions
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
    remote: Remote, target: Path, web: HttpClient, tell: Callable[[int], object] = lambda _: None
) -> str:
    """Fetch a file from the first of its addresses that gives it whole.

    Bytes gather in `{target}.part`, which a broken transfer leaves for the next one.

    Parameters
    ----------
    tell
        Called with the bytes that came; a negative number when they were thrown away.

    Returns
    -------
    its checksum, of the kind that the record has

    Raises
    ------
    DownloadError
        No address gives it; the text says why of each.
    """
    part = _Part(target, remote)
    faults = []
    try:
        for url in remote.urls:
            try:
                _fetch_whole(url, part, web, tell)
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


def _fetch_whole(url: str, part: _Part, web: HttpClient, tell: Callable[[int], object]) -> None:
    """Fetch until all bytes are there and right; wrong ones are fetched anew once."""
    due = part.remote.checksum
    for _ in range(2):
        if not (part.size and part.size == part.remote.size):
            web.patiently(url, lambda: _attempt(url, part, web, tell), came=lambda: part.size)
        found = str(part.digest)
        if not due or found == due:
            return
        _throw_away(part, tell)
    raise DownloadError(f"twice its checksum was another ({found}) than the record's ({due})")


def _throw_away(part: _Part, tell: Callable[[int], object]) -> None:
    tell(-part.size)
    part.begin_again()


def _attempt(url: str, part: _Part, web: HttpClient, tell: Callable[[int], object]) -> None:
    """Ask once for what lacks, and take it as far as it comes."""
    headers, size = part.resumption(url), part.remote.size
    with web.answer(url, headers) as got:
        start = re.match(r"bytes (\d+)-", got.headers.get("Content-Range", ""))
        goes_on = got.status_code == 206 and start and int(start[1]) == part.size
        if part.size and not goes_on:  # it ignores ranges, or has another edition now
            _throw_away(part, tell)
        if got.status_code != 200 and not goes_on:
            raise PassingError("it does not go on where the transfer broke off")
        _check_promise(got, part)
        if not part.size:
            part.note_edition(url, got)
        for piece in got.iter_raw():
            if not part.size:
                _refuse_page(piece, part.remote)
            part.add(piece)
            tell(len(piece))
            if size is not None and part.size > size:
                _throw_away(part, tell)
                raise DownloadError(f"more than the record's {size:,} bytes came")
            if size is None and part.size > (part.remote.most or part.size):
                _throw_away(part, tell)
                raise DownloadError(
                    f"more than {part.remote.most:,} bytes came, twice the card's `gigabytes`; "
                    "the record does not say its size. Correct `gigabytes:`"
                )
            if web.stop.is_set():
                raise DownloadError("it was stopped")
    if not part.size:
        raise PassingError("0 bytes came")
    if size is not None and part.size < size:
        raise PassingError(f"{part.size:,} of {size:,} bytes came")


def _check_promise(got: httpx2.Response, part: _Part) -> None:
    """Refuse an answer that says beforehand that it is not the file."""
    if "text/html" in got.headers.get("Content-Type", ""):
        _refuse_page(PAGES[0], part.remote)
    said = got.headers.get("Content-Length", "")
    if said.isdecimal() and part.remote.size is not None:
        due = part.remote.size - part.size
        if int(said) not in (0, due):  # none at all is a fault that passes
            raise DownloadError(f"it offers {int(said):,} bytes where the record says {due:,}")


def _refuse_page(start: bytes, remote: Remote) -> None:
    is_page = start.lstrip()[:20].lower().startswith(PAGES)
    if is_page and Path(remote.name).suffix not in (".html", ".htm"):
        raise DownloadError("a page of HTML came in place of the file")
