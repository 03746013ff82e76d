"""One file from a server that does everything wrong; what arrives is right, or nothing does."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from broken_server import (
    Page,
    Server,
    breaks,
    claims,
    ignores_range,
    says,
    says_no_length,
    sends,
    serving,
    stalls,
    throttles,
    well,
)
from conftest import ROOT
from tests.data.downloads.test_http_client import QUICK

from cryotome.core.errors import DownloadError
from cryotome.data.downloads.http_client import HttpClient
from cryotome.data.downloads.repositories import RemoteFile
from cryotome.data.downloads.transfer import checksum_of, fetch_file, partial_path

CONTENT = bytes(range(256)) * 400  # 102,400 bytes
OTHER = CONTENT[::-1]
PAGE_OF_HTML = b"\n<!DOCTYPE html><html><body>Please sign in</body></html>"


@pytest.fixture
def server():
    with serving() as site:
        yield site


def remote(server: Server, page: Page, *paths: str, **changes: object) -> RemoteFile:
    known = {"size": len(page.content), "checksum": f"md5:{page.md5}"}
    return RemoteFile(
        "a.png", tuple(server.url + path for path in paths or ("/a",)), **known | changes
    )


def fetch(server: Server, tmp_path: Path, *paths: str, **changes: object) -> bytes:
    """Fetch /a, whole or not at all; return what lies there."""
    target = tmp_path / "deep" / "a.png"
    page = server.pages["/a"]
    said = fetch_file(remote(server, page, *paths, **changes), target, HttpClient(QUICK))
    assert said == f"md5:{hashlib.md5(target.read_bytes()).hexdigest()}"
    assert [path.name for path in target.parent.iterdir()] == ["a.png"], "no part is left"
    return target.read_bytes()


def refused(server: Server, tmp_path: Path, *paths: str, **changes: object) -> str:
    with pytest.raises(DownloadError) as caught:
        fetch(server, tmp_path, *paths, **changes)
    assert not (tmp_path / "deep" / "a.png").exists()
    return str(caught.value)


PASSING = {
    "broken connections": [breaks(1000), breaks(50_000), breaks(0), well],
    "broken again and again, each time with some bytes": [*[breaks(12_000)] * 8, well],
    "a stall": [stalls(5000, 0.8), well],
    "throttling": [throttles(20_000, 0.05)],
    "500, then fine": [says(500), well],
    "403 of a rate limit, then fine": [says(403, b"<html>slow down</html>"), well],
    "404 of a page, which is a redirect's end": [says(302, Location="/b")],
    "cut short without a length": [says_no_length(0.5), well],
    "no length at all": [says_no_length(1.0)],
    "ranges ignored": [breaks(50_000), ignores_range],
    "0 bytes, then fine": [says(200), well],
    "a length too long": [claims(len(CONTENT)), well],
    "corrupt once": [sends(OTHER), well],
}


@pytest.mark.parametrize("manners", PASSING.values(), ids=PASSING)
def test_what_passes_is_outlived(server, tmp_path, manners):
    server.put("/a", CONTENT, *manners)
    server.put("/b", CONTENT)
    assert fetch(server, tmp_path) == CONTENT


LASTING = {
    "403 for ever": ([says(403)], "/a: it answers 403; 3 tries brought nothing"),
    "404": ([says(404)], "/a: it answers 404"),
    "500 for ever": ([says(500)], "/a: it answers 500; 3 tries brought nothing"),
    "broken at the same byte": ([breaks(0)], "3 tries brought nothing"),
    "silence": ([stalls(0, 0.8)], "no byte arrived in time; 3 tries brought nothing"),
    "0 bytes": ([says(200)], "/a: the server sent 0 bytes; 3 tries brought nothing"),
    "0 bytes without a length": ([says_no_length(0.0)], "the server sent 0 bytes; 3 tries brought nothing"),
    "truncated for ever": ([sends(CONTENT[:-1])], "it offers 102,399 bytes where the record lists 102,400"),
    "truncated without a length": (
        [lambda h, p: says_no_length(1.0)(h, Page(p.content[:51_200]))],
        "51,200 of 102,400 bytes arrived",
    ),
    "more than the record's": ([sends(CONTENT + b"x")], "it offers 102,401 bytes"),
    "more without a length": (
        [lambda h, p: says_no_length(1.0)(h, Page(p.content + b"x"))],
        "more than the record's 102,400 bytes arrived",
    ),
    "a length too long": ([claims(102_500)], "it offers 102,500 bytes where the record lists 102,400"),
    "a length too short": ([claims(99)], "it offers 99 bytes where the record lists 102,400"),
    "HTML by its type": ([sends(b"hello", Content_Type="text/html")], "the server sent an HTML page"),
    "HTML by its look": ([lambda h, p: says_no_length(1.0)(h, Page(PAGE_OF_HTML))], "the server sent an HTML page"),
    "other content": ([sends(OTHER)], "its checksum (md5:"),
}  # fmt: skip


@pytest.mark.parametrize(("manners", "said"), LASTING.values(), ids=LASTING)
def test_what_lasts_is_named_and_nothing_arrives(server, tmp_path, manners, said):
    server.put("/a", CONTENT, *manners)
    assert said in refused(server, tmp_path)
    assert len(server.requests("/a")) <= 6
    left = {path.suffix for path in (tmp_path / "deep").iterdir()}
    assert not left or partial_path(tmp_path / "deep" / "a.png").stat().st_size, (
        "an empty part is nothing"
    )


def test_a_page_is_named_where_the_record_says_no_size(server, tmp_path):
    server.put("/a", CONTENT, sends(PAGE_OF_HTML))
    assert "the server sent an HTML page" in refused(server, tmp_path, size=None, checksum=None)
    server.put("/a", CONTENT, says(200))
    assert "the server sent 0 bytes" in refused(server, tmp_path, size=None, checksum=None)


ALL = [m for manners in PASSING.values() for m in manners]
ALL += [m for manners, _ in LASTING.values() for m in manners if "stall" not in m.__qualname__]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_a_server_does_the_file_is_right_or_absent(server, tmp_path, seed):
    """Random manners one after the other, over several runs that go on from the same part."""
    draw = random.Random(seed)
    for run in range(4):
        server.put("/a", CONTENT, *draw.choices(ALL, k=6), well).etag = f'"{draw.randrange(2)}"'
        target = tmp_path / str(run // 2) / "a.png"
        try:
            fetch_file(remote(server, server.pages["/a"]), target, HttpClient(QUICK))
        except DownloadError:
            assert not target.exists()
        else:
            assert target.read_bytes() == CONTENT
            target.unlink()


def test_a_broken_transfer_goes_on_and_fetches_the_rest_alone(server, tmp_path):
    server.put("/a", CONTENT, breaks(60_000), well)
    told: list[int] = []
    target = tmp_path / "a.png"
    fetch_file(remote(server, server.pages["/a"]), target, HttpClient(QUICK), told.append)
    first, second = server.requests("/a")
    assert first == ["/a", None, 200, 60_000]
    assert second == ["/a", "bytes=60000-", 206, 42_400]
    assert sum(told) == 102_400


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server, tmp_path):
    """Without a checksum the ETag alone tells; with one, it saves a round."""
    for known in (None, f"md5:{hashlib.md5(OTHER).hexdigest()}"):

        def changed(h, page):
            page.content, page.etag = OTHER, '"2"'
            well(h, page)

        server.put("/a", CONTENT, breaks(60_000), changed)
        server.asked.clear()
        assert fetch(server, tmp_path / str(known is None), checksum=known) == OTHER
        assert [line[2:] for line in server.asked] == [[200, 60_000], [200, 102_400]]


def test_a_part_of_unknown_edition_is_not_continued_where_no_checksum_would_tell(server, tmp_path):
    server.put("/a", CONTENT)
    target = tmp_path / "deep" / "a.png"
    target.parent.mkdir()
    partial_path(target).write_bytes(OTHER[:5000])
    assert fetch(server, tmp_path, checksum=None) == CONTENT
    assert [line[1] for line in server.asked] == [None]


def test_a_part_that_is_wrong_is_found_out_by_the_checksum(server, tmp_path):
    server.put("/a", CONTENT)
    target = tmp_path / "deep" / "a.png"
    target.parent.mkdir()
    for wrong in (OTHER[:5000], OTHER, OTHER + b"longer"):
        partial_path(target).write_bytes(wrong)
        assert fetch(server, tmp_path) == CONTENT
        target.unlink()


def test_a_part_that_is_complete_is_not_fetched_again(server, tmp_path):
    server.put("/a", CONTENT)
    target = tmp_path / "deep" / "a.png"
    target.parent.mkdir()
    partial_path(target).write_bytes(CONTENT)
    assert fetch(server, tmp_path) == CONTENT
    assert server.asked == []


def test_a_mirror_takes_over_and_goes_on_where_the_first_broke(server, tmp_path):
    server.put("/a", CONTENT, breaks(60_000), says(404))
    server.put("/mirror/a", CONTENT)
    assert fetch(server, tmp_path, "/a", "/mirror/a") == CONTENT
    assert server.requests("/mirror/a") == [["/mirror/a", "bytes=60000-", 206, 42_400]]


def test_what_every_address_said_is_listed(server, tmp_path):
    server.put("/a", CONTENT, says(404))
    server.put("/mirror/a", PAGE_OF_HTML)
    said = refused(server, tmp_path, "/a", "/mirror/a", size=None)
    assert (
        f"{server.url}/a: it answers 404; {server.url}/mirror/a: the server sent an HTML page"
        in said
    )


def test_a_git_object_id_is_a_checksum(server, tmp_path):
    """`printf abc | git hash-object --stdin` says f2ba8f84…"""
    server.put("/a", b"abc")
    known = {"checksum": "git:f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f", "size": 3}
    page = server.pages["/a"]
    fetch_file(remote(server, page, **known), tmp_path / "a.png", HttpClient(QUICK))
    assert checksum_of(tmp_path / "a.png", remote(server, page, **known)) == known["checksum"]
    assert "its checksum (git:" in refused(
        server, tmp_path, **known | {"checksum": "git:" + "0" * 40}
    )


def test_a_checksum_of_another_kind_is_refused_and_not_passed_over(server, tmp_path):
    server.put("/a", CONTENT)
    with pytest.raises(DownloadError, match="a.png: a checksum of kind 'crc32' is not known"):
        fetch(server, tmp_path, checksum="crc32:0")


SCRIPT = """
import sys
from pathlib import Path
from cryotome.data.downloads.repositories import RemoteFile
from cryotome.data.downloads.transfer import fetch_file
from cryotome.data.downloads.http_client import HttpClient
url, md5, target = sys.argv[1:]
fetch_file(RemoteFile("a", (url,), 102_400, f"md5:{md5}"), Path(target), HttpClient())
"""


def process(server: Server, target: Path) -> subprocess.Popen:
    words = [f"{server.url}/a", server.pages["/a"].md5, str(target)]
    where = {"PYTHONPATH": str(ROOT / "workflow")}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words], env=os.environ | where, stderr=subprocess.PIPE, encoding="utf-8"
    )  # fmt: skip


def test_a_killed_process_leaves_what_came_and_the_next_goes_on(server, tmp_path):
    server.put("/a", CONTENT, throttles(4096, 0.1), well)
    target = tmp_path / "a.png"
    first = process(server, target)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (
        not partial_path(target).exists() or partial_path(target).stat().st_size < 8192
    ):
        time.sleep(0.01)
    with pytest.raises(DownloadError, match="another process is fetching it"):
        fetch_file(remote(server, server.pages["/a"]), target, HttpClient(QUICK))
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    came = partial_path(target).stat().st_size
    assert 8192 <= came < 102_400
    assert not target.exists()
    second = process(server, target)
    assert (second.wait(), second.stderr.read()) == (0, "")
    assert target.read_bytes() == CONTENT
    assert server.asked[-1] == ["/a", f"bytes={came}-", 206, 102_400 - came]


@pytest.mark.parametrize("name", ["a.png.part", "a.png.part.edition"])
def test_a_link_where_the_bytes_gather_is_not_written_through(server, tmp_path, name):
    server.put("/a", CONTENT)
    (tmp_path / "precious").write_text("kept", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).symlink_to(tmp_path / "precious")
    with pytest.raises((DownloadError, OSError), match=r"is a link|symbolic links"):
        fetch(server, tmp_path)
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "kept"


def test_a_file_of_unknown_size_is_taken_as_far_as_the_card_expects(server, tmp_path):
    server.put("/a", CONTENT)
    said = refused(server, tmp_path, size=None, checksum=None, max_bytes=50_000)
    assert "more than 50,000 bytes arrived, twice the card's `gigabytes`" in said
    assert not list(tmp_path.rglob("*.part*"))
    assert fetch(server, tmp_path, size=None, max_bytes=len(CONTENT)) == CONTENT
