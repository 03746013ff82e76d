"""HTTP client with retries, time-outs and rate limits."""

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
MAX_LISTING = 2**25  # bytes of a listing, four times GitHub's limit
MAX_IDENTICAL_FAILURES = 3  # files in a row; further files of the server get one try each

# statuses worth a retry: figshare also limits rates by 202 and 403
TEMPORARY_STATUS = {202, 403, 408, 425, 429, 500, 502, 503, 504}

PERMANENT_ERRORS = (
    httpx2.UnsupportedProtocol,
    httpx2.InvalidURL,
    httpx2.TooManyRedirects,
    httpx2.DecodingError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """Number and length of retries.

    Attributes
    ----------
    tries
        Attempts in a row that bring no new bytes.
    pause, max_pause
        Seconds to wait after the first, doubled after each further one, up to `max_pause`.
    max_retry_after
        Longest wait, seconds, that a server may request by `Retry-After`.
    stall
        Seconds without a byte after which an attempt ends.
    """

    tries: int = 6
    pause: float = 2.0
    max_pause: float = 60.0
    max_retry_after: float = 600.0
    stall: float = 60.0


class TemporaryError(Exception):
    """A failure that may pass; `wait` is the server's `Retry-After` in seconds."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class HttpClient:
    """An HTTP client with retries, shared by threads; setting `stop` ends every wait."""

    def __init__(self, policy: RetryPolicy = RetryPolicy()) -> None:  # frozen
        self.policy, self.stop = policy, Event()
        self._failures: dict[
            str, tuple[str, int]
        ] = {}  # server: last error, how many files in a row had it
        self.client = httpx2.Client(
            follow_redirects=True,
            timeout=httpx2.Timeout(policy.stall, pool=None),
            headers={"User-Agent": "cryotome", "Accept-Encoding": "identity"},
        )

    @contextmanager
    def answer(self, url: str, headers: dict[str, str] | None = None) -> Iterator[httpx2.Response]:
        """Yield a successful response, its body not yet read.

        Raises
        ------
        TemporaryError
            The server fails temporarily.
        DownloadError
            It fails permanently, or the address is invalid.
        """
        try:
            with self.client.stream("GET", url, headers=headers) as got:
                if got.status_code in TEMPORARY_STATUS:
                    raise TemporaryError(f"it answers {got.status_code}", _retry_after(got))
                if got.status_code not in (200, 206, 416):
                    raise DownloadError(f"it answers {got.status_code}")
                yield got
        except PERMANENT_ERRORS as error:
            why = "invalid address" if isinstance(error, httpx2.InvalidURL) else _reason(error)
            raise DownloadError(f"it cannot be used ({why})") from error

    def retry(
        self, url: str, attempt: Callable[[], T], received: Callable[[], int] = lambda: 0
    ) -> T:
        """Repeat an attempt while it fails temporarily.

        Once three files of a server failed alike, its others get one try each, until one succeeds.
        tenacity would need as many lines: it counts attempts, not attempts without new bytes.

        Parameters
        ----------
        url
            Address, for the name of its server.
        received
            Returns the number of bytes received; new bytes reset the count of tries.

        Raises
        ------
        DownloadError
            The tries are used up, or `stop` is set.
        """
        failed, most, server = 0, received(), "/".join(url.split("/")[:3])
        while True:
            try:
                result = attempt()
                self._failures.pop(server, None)
                return result
            except (httpx2.TransportError, TemporaryError) as error:
                if received() > most:
                    failed, most = 0, received()
                    self._failures.pop(server, None)
                failed, why = failed + 1, _reason(error)
                last, alike = self._failures.get(server, ("", 0))
                if alike >= MAX_IDENTICAL_FAILURES and why == last:
                    raise DownloadError(f"{why}, as for the files before it") from error
                if failed >= self.policy.tries:
                    self._failures[server] = why, alike + 1 if why == last else 1
                    raise DownloadError(f"{why}; {failed} tries brought nothing") from error
                pause = min(self.policy.pause * 2 ** (failed - 1), self.policy.max_pause)
                asked = min(getattr(error, "wait", 0.0), self.policy.max_retry_after)
                if self.stop.wait(max(pause, asked)):
                    raise DownloadError("it was stopped") from error

    def json(self, url: str) -> Any:
        """Return the JSON at an address.

        Raises
        ------
        DownloadError
            The server fails, or returns no JSON.
        """

        def attempt() -> bytes:
            with self.answer(url) as got:
                content = bytearray()
                for (
                    piece
                ) in got.iter_bytes():  # decompressed, if the server ignores Accept-Encoding
                    content += piece
                    if len(content) > MAX_LISTING:
                        raise DownloadError(f"its listing has more than {MAX_LISTING:,} bytes")
                return bytes(content)

        try:
            return json.loads(self.retry(url, attempt))
        except (ValueError, RecursionError) as error:
            raise DownloadError(
                f"{redacted(url)} returned no JSON, probably an HTML page."
            ) from error
        except DownloadError as error:
            raise DownloadError(f"{redacted(url)}: {error}.") from error


def redacted(url: str) -> str:
    """Return an address without user, password and query, which may be secrets.

    >>> redacted("https://me:word@example.org/a/b.png?signature=1")
    'https://example.org/a/b.png'
    """
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL:  # not parsable, so nothing can be redacted safely
        return "an invalid address"
    return str(address.copy_with(username=None, password=None, query=None))


def _reason(error: Exception) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no byte arrived in time"
    return without_secrets(str(error)).strip().rstrip(".") or type(error).__name__


def _retry_after(got: httpx2.Response) -> float:
    """Return the seconds of a Retry-After header (a number or a date), 0 if there is none."""
    said = got.headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # not a date, or without a time zone
        return 0.0
