"""A web server that breaks, stalls, truncates, redirects, refuses and lies, as tests ask."""

import hashlib
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What a path holds, and how the server misbehaves: one manner a request, the last for ever."""

    content: bytes
    manners: list[Callable] = field(default_factory=list)
    etag: str | None = '"1"'

    @property
    def md5(self) -> str:
        return hashlib.md5(self.content).hexdigest()


@dataclass
class Server:
    """The pages, and the requests: path, Range header, status, bytes sent."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[list] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, path: str, content: bytes | dict | list, *manners: Callable) -> Page:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.pages[path] = Page(raw, list(manners))
        return self.pages[path]

    def zenodo(self, number: int, *names: str) -> dict:
        """Publish pages as a record, and return its entry in a card."""
        files = [
            {
                "key": name,
                "size": len(self.pages[f"/{name}"].content),
                "checksum": f"md5:{self.pages[f'/{name}'].md5}",
                "links": {"self": f"{self.url}/{name}"},
            }
            for name in names
        ]
        self.put(f"/records/{number}", {"files": files})
        return {"zenodo": number, "api_url": self.url}

    def requests(self, path: str) -> list[list]:
        return [line for line in self.asked if line[0] == path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Server

    def do_GET(self) -> None:
        site, path = self.site, self.path.split("?")[0]
        self.line = [path, self.headers.get("Range"), 0, 0]
        with site.lock:
            site.asked.append(self.line)
            site.in_flight += 1
            site.most_in_flight = max(site.most_in_flight, site.in_flight)
            page = site.pages.get(path)
            manner = page.manners[0] if page and page.manners else well
            if page and len(page.manners) > 1:
                page.manners.pop(0)
        try:
            if page is None:
                self.say(404, b"")
            else:
                manner(self, page)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with site.lock:
                site.in_flight -= 1

    def say(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        """Answer; `length` is the Content-Length that it claims."""
        self.line[2] = status
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.write(body)

    def write(self, body: bytes) -> None:
        self.line[3] += len(body)  # before: a client may check as soon as it has the last byte
        self.wfile.write(body)
        self.wfile.flush()

    def cut(self) -> None:
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: object) -> None: ...


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *about: object) -> None:
        if not isinstance(sys.exception(), OSError):  # connections break here by design
            super().handle_error(*about)


def begin(h: _Handler, page: Page) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a server that understands ranges."""
    headers = {"ETag": page.etag} if page.etag else {}
    asked = re.match(r"bytes=(\d+)-", h.headers.get("Range", ""))
    condition = h.headers.get("If-Range")
    if not asked or (condition and condition != page.etag):
        return 200, headers, page.content
    start, size = int(asked[1]), len(page.content)
    if start >= size:
        return 416, headers | {"Content-Range": f"bytes */{size}"}, b""
    headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
    return 206, headers, page.content[start:]


def well(h: _Handler, page: Page) -> None:
    status, headers, body = begin(h, page)
    h.say(status, body, **headers)


def breaks(after: int) -> Callable:
    """Break the connection after that many bytes of the body."""

    def manner(h: _Handler, page: Page) -> None:
        status, headers, body = begin(h, page)
        h.say(status, body[:after], length=len(body), **headers)
        h.cut()

    return manner


def stalls(after: int, seconds: float) -> Callable:
    """Fall silent after that many bytes, with the connection open."""

    def manner(h: _Handler, page: Page) -> None:
        status, headers, body = begin(h, page)
        h.say(status, body[:after], length=len(body), **headers)
        time.sleep(seconds)
        h.cut()

    return manner


def throttles(piece: int, seconds: float) -> Callable:
    """Send in small pieces with a pause after each."""

    def manner(h: _Handler, page: Page) -> None:
        status, headers, body = begin(h, page)
        h.say(status, b"", length=len(body), **headers)
        for start in range(0, len(body), piece):
            h.write(body[start : start + piece])
            time.sleep(seconds)

    return manner


def says(status: int, body: bytes = b"", **headers: str) -> Callable:
    return lambda h, _: h.say(status, body, **headers)


def sends(body: bytes, **headers: str) -> Callable:
    """Send something else, ranges or not."""
    return says(200, body, **headers)


def ignores_range(h: _Handler, page: Page) -> None:
    h.say(200, page.content)


def claims(length: int) -> Callable:
    """Claim a length that is not that of the body, and close."""

    def manner(h: _Handler, page: Page) -> None:
        h.say(200, page.content, length=length)
        h.cut()

    return manner


def says_no_length(share: float) -> Callable:
    """Send a part of the body without a length, so that it looks complete."""

    def manner(h: _Handler, page: Page) -> None:
        status, headers, body = begin(h, page)
        h.line[2] = status
        h.send_response(status)
        for name, value in (headers | {"Connection": "close"}).items():
            h.send_header(name, value)
        h.end_headers()
        h.write(body[: int(share * len(body))])
        h.close_connection = True

    return manner


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port of this machine."""

    class Handler(_Handler):
        pass

    with _Quiet(("127.0.0.1", 0), Handler) as httpd:
        Handler.site = Server(f"http://127.0.0.1:{httpd.server_port}")
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield Handler.site
        httpd.shutdown()
