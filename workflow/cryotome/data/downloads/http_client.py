"""Ask servers that fail, stall and limit, until they answer or patience ends."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Event
from typing import Any, TypeVar

import httpx2

from cryotome.core.errors import DownloadError
from cryotome.core.redact import without_secrets

T = TypeVar("T")
LISTING = 2**25  # bytes of a listing, four times the most that GitHub gives at once
MAX_IDENTICAL_FAILURES = (
    3  # files of a server in a row that failed alike, after which each further one gets one try
)

# Answers that may be others a minute later: 202 and 403 are also how figshare says "too many".
PASSING = {202, 403, 408, 425, 429, 500, 502, 503, 504}

UNUSABLE = (
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.TooManyRedirects,
    httpx2.DecodingError,
)


@dataclass(frozen=True)
class Patience:
    """How long a server may disappoint.

    Attributes
    ----------
    tries
        Attempts in a row that bring nothing new.
    pause, longest
        Seconds after the first of them, doubled after each further one; never more than this.
    asked
        Seconds that are waited at most because the server asks for it (`Retry-After`).
    stall
        Seconds without a byte after which an attempt ends.
    """

    tries: int = 6
    pause: float = 2.0
    longest: float = 60.0
    asked: float = 600.0
    stall: float = 60.0


class PassingError(Exception):
    """A server's no that may become a yes; `wait` seconds are what it asked for."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class HttpClient:
    """A client with patience, shared by threads; `stop` ends every wait."""

    def __init__(self, patience: Patience = Patience()) -> None:  # frozen
        self.patience, self.stop = patience, Event()
        self._lost: dict[str, tuple[str, int]] = {}  # server: how files failed last, how many alike
        self.client = httpx2.Client(
            follow_redirects=True,
            timeout=httpx2.Timeout(patience.stall, pool=None),
            headers={"User-Agent": "cryotome", "Accept-Encoding": "identity"},
        )

    @contextmanager
    def answer(self, url: str, headers: dict[str, str] | None = None) -> Iterator[httpx2.Response]:
        """Give a server's answer, its body not yet read, if it is one to go on with.

        Raises
        ------
        PassingError
            The server says no for now.
        DownloadError
            It says no, or the address is none.
        """
        try:
            with self.client.stream("GET", url, headers=headers) as got:
                if got.status_code in PASSING:
                    raise PassingError(f"it answers {got.status_code}", _asked_wait(got))
                if got.status_code not in (200, 206, 416):
                    raise DownloadError(f"it answers {got.status_code}")
                yield got
        except UNUSABLE as error:
            why = "no address" if isinstance(error, httpx2.InvalidURL) else _said(error)
            raise DownloadError(f"it cannot be used ({why})") from error

    def patiently(
        self, url: str, attempt: Callable[[], T], came: Callable[[], int] = lambda: 0
    ) -> T:
        """Repeat an attempt while it fails for reasons that pass.

        Once three files of a server failed alike, its others get one try each, until one comes.

        Parameters
        ----------
        url
            What is asked for.
        came
            Returns the bytes that are there: new ones restore the patience.

        Raises
        ------
        DownloadError
            Patience has ended, or `stop` is set.
        """
        failed, best, server = 0, came(), "/".join(url.split("/")[:3])
        while True:
            try:
                result = attempt()
                self._lost.pop(server, None)
                return result
            except (httpx2.TransportError, PassingError) as error:
                if came() > best:
                    failed, best = 0, came()
                    self._lost.pop(server, None)
                failed, why = failed + 1, _said(error)
                last, alike = self._lost.get(server, ("", 0))
                if alike >= MAX_IDENTICAL_FAILURES and why == last:
                    raise DownloadError(f"{why}, as for the files before it") from error
                if failed >= self.patience.tries:
                    self._lost[server] = why, alike + 1 if why == last else 1
                    raise DownloadError(f"{why}; {failed} tries brought nothing") from error
                pause = min(self.patience.pause * 2 ** (failed - 1), self.patience.longest)
                asked = min(getattr(error, "wait", 0.0), self.patience.asked)
                if self.stop.wait(max(pause, asked)):
                    raise DownloadError("it was stopped") from error

    def json(self, url: str) -> Any:
        """Return what an interface says.

        Raises
        ------
        DownloadError
            It cannot be reached, refuses, or says no JSON.
        """

        def attempt() -> bytes:
            with self.answer(url) as got:
                content = bytearray()
                for piece in got.iter_bytes():  # unpacked, where the server packs it all the same
                    content += piece
                    if len(content) > LISTING:
                        raise DownloadError(f"its listing has more than {LISTING:,} bytes")
                return bytes(content)

        try:
            return json.loads(self.patiently(url, attempt))
        except (ValueError, RecursionError) as error:
            raise DownloadError(f"{redacted(url)} says no JSON; a page, perhaps.") from error
        except DownloadError as error:
            raise DownloadError(f"{redacted(url)}: {error}.") from error


def redacted(url: str) -> str:
    """Return an address for people: without user, password and query, which may be secrets.

    >>> redacted("https://me:word@example.org/a/b.png?signature=1")
    'https://example.org/a/b.png'
    """
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL:  # what of it is secret nobody can tell
        return "an address that is none"
    return str(address.copy_with(username=None, password=None, query=None))


def _said(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no byte came in time"
    return without_secrets(str(error)).strip().rstrip(".") or type(error).__name__


def _asked_wait(got: httpx2.Response) -> float:
    """Return the seconds of a Retry-After, which gives a number or a date; 0 for none."""
    said = got.headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # no date, or one without a zone
        return 0.0
