import gzip
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest
from broken_server import breaks, says, sends, serving, stalls

from cryotome.core.errors import DownloadError
from cryotome.data.downloads import http_client
from cryotome.data.downloads.http_client import HttpClient, RetryPolicy, redacted

QUICK = RetryPolicy(tries=3, pause=0.01, max_pause=0.02, max_retry_after=0.5, stall=0.3)


@pytest.fixture
def server():
    with serving() as site:
        yield site


@pytest.mark.parametrize("status", [202, 403, 408, 429, 500, 502, 503, 504])
def test_a_no_that_passes_is_asked_again(server, status):
    server.put("/a", {"n": 1}, says(status), says(status), says(200, b'{"n": 1}'))
    assert HttpClient(QUICK).json(f"{server.url}/a") == {"n": 1}
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [401, 404, 410])
def test_a_no_that_stays_is_asked_once(server, status):
    server.put("/a", b"", says(status))
    with pytest.raises(DownloadError, match=f"/a: it answers {status}.$"):
        HttpClient(QUICK).json(f"{server.url}/a")
    assert len(server.asked) == 1


def test_a_server_that_never_gives_in_ends_the_patience(server):
    server.put("/a", b"", says(403))
    with pytest.raises(DownloadError, match="/a: it answers 403; 3 tries brought nothing.$"):
        HttpClient(QUICK).json(f"{server.url}/a")
    assert len(server.asked) == 3


@pytest.mark.parametrize("as_date", [False, True])
def test_the_wait_that_a_server_asks_for_is_kept(server, as_date):
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait = later if as_date else "60"
    server.put("/a", b"", says(429, Retry_After=wait), says(200, b"1"))
    start = time.monotonic()
    assert HttpClient(QUICK).json(f"{server.url}/a") == 1
    assert 0.5 <= time.monotonic() - start < 5, "60 s asked, no more than `asked` waited"


@pytest.mark.parametrize(
    "wait",
    [
        "soon",
        "-3",
        "",
        "Sat, 01 Jan 2000 00:00:00 GMT",
        "Sat, 01 Jan 2000 00:00:00 +99999999999999",
    ],
)
def test_a_wait_that_is_none_is_none(server, wait):
    server.put("/a", b"", says(503, Retry_After=wait), says(200, b"1"))
    assert HttpClient(QUICK).json(f"{server.url}/a") == 1


def test_broken_and_stalled_answers_are_asked_for_again(server):
    server.put("/a", b"[1, 2, 3]", breaks(3), stalls(3, 0.6), says(200, b"[1, 2, 3]"))
    assert HttpClient(QUICK).json(f"{server.url}/a") == [1, 2, 3]


def test_a_page_in_place_of_json_is_named(server):
    server.put("/a", b"", sends(b"<html>Sign in</html>"))
    with pytest.raises(DownloadError, match="/a returned no JSON, probably an HTML page"):
        HttpClient(QUICK).json(f"{server.url}/a")


def test_an_answer_that_is_packed_wrongly_is_named(server):
    server.put("/a", b"", sends(b"no gzip", Content_Encoding="gzip"))
    with pytest.raises(DownloadError, match=r"/a: it cannot be used \(.*header"):
        HttpClient(QUICK).json(f"{server.url}/a")


def test_redirects_are_followed_and_a_circle_is_named(server):
    server.put("/a", b"", says(302, Location="/b"))
    server.put("/b", [1])
    assert HttpClient(QUICK).json(f"{server.url}/a") == [1]
    server.put("/b", b"", says(302, Location="/a"))
    with pytest.raises(DownloadError, match=r"/a: it cannot be used \(.*redirects"):
        HttpClient(QUICK).json(f"{server.url}/a")


def test_an_address_that_is_none_is_not_asked_twice():
    with pytest.raises(DownloadError, match="it cannot be used"):
        HttpClient(RetryPolicy(pause=9)).json("htp://example.org/a")


def test_nobody_there_is_said():
    with serving() as gone:
        url = gone.url
    with pytest.raises(DownloadError, match="refused; 3 tries brought nothing"):
        HttpClient(QUICK).json(f"{url}/a")


def test_new_bytes_restore_the_patience():
    came: list[int] = []

    def attempt() -> str:
        came.append(0)
        if len(came) < 7:
            raise httpx2.ReadError("broken")
        return "whole"

    assert HttpClient(QUICK).retry("http://a/b", attempt, lambda: len(came)) == "whole"
    came.clear()
    with pytest.raises(DownloadError, match="broken; 3 tries brought nothing"):
        HttpClient(QUICK).retry("http://a/b", attempt)


def test_to_stop_ends_a_wait():
    http_client = HttpClient(RetryPolicy(pause=60))
    http_client.stop.set()
    with pytest.raises(DownloadError, match="stopped"):
        http_client.json("http://127.0.0.1:9/a")


def test_no_secret_of_an_address_is_shown():
    assert redacted("https://me:word@example.org/a%20b?token=x") == "https://example.org/a%20b"


def test_after_three_files_that_failed_alike_each_further_one_gets_one_try(server):
    """Else 503 files that answer 403 take two hours until the list of failures appears."""
    http_client = HttpClient(QUICK)
    for name in "abcdef":
        server.put(f"/{name}", 1, says(403))
    for name in "abc":
        with pytest.raises(
            DownloadError, match=f"/{name}: it answers 403; 3 tries brought nothing"
        ):
            http_client.json(f"{server.url}/{name}")
    for name in "de":
        with pytest.raises(
            DownloadError, match=f"/{name}: it answers 403, as for the files before"
        ):
            http_client.json(f"{server.url}/{name}")
    assert [len(server.requests(f"/{name}")) for name in "abcde"] == [3, 3, 3, 1, 1]
    server.put("/g", 1)
    assert http_client.json(f"{server.url}/g") == 1
    with pytest.raises(DownloadError, match="403; 3 tries brought nothing"):
        http_client.json(f"{server.url}/f")


def test_files_that_fail_otherwise_and_other_servers_keep_their_patience(server):
    http_client = HttpClient(QUICK)
    for number, status in enumerate((403, 403, 500, 403, 500)):
        server.put(f"/{number}", 1, says(status))
        with pytest.raises(DownloadError, match=f"{status}; 3 tries"):
            http_client.json(f"{server.url}/{number}")
    for number in range(3):
        server.put(f"/{number}", 1, says(403))
        with pytest.raises(DownloadError, match="403; 3 tries"):
            http_client.json(f"{server.url}/{number}")
    with serving() as other:
        other.put("/a", 1, says(403), says(200, b"1"))
        assert http_client.json(f"{other.url}/a") == 1


def test_no_part_of_an_address_that_is_none_is_shown():
    """A password with a slash, which httpx takes for a port and quotes."""
    with pytest.raises(DownloadError) as caught:
        HttpClient(QUICK).json("https://me:word/more@example.org/a?token=abcdef")
    assert str(caught.value) == "an invalid address: it cannot be used (invalid address)."


def test_no_secret_in_the_words_of_an_error_is_shown():
    def attempt() -> None:
        raise httpx2.ProxyError("407 at http://me:word@proxy/?token=abcdef")

    with pytest.raises(DownloadError, match=r"^407 at http://\*\*\*@proxy/\?token=\*\*\*; 3 tries"):
        HttpClient(QUICK).retry("http://a/b", attempt)


def test_a_listing_nested_too_deep_is_no_json():
    with serving() as site:
        site.put("/deep", b"[" * 200_000)
        with pytest.raises(DownloadError, match="returned no JSON"):
            HttpClient(QUICK).json(f"{site.url}/deep")


def test_a_listing_that_unpacks_to_more_than_it_may_is_broken_off(monkeypatch):
    """A server may pack although it is asked not to: 1 MB became 1.1 GB."""
    monkeypatch.setattr(http_client, "MAX_LISTING", 1_000_000)
    content = gzip.compress(b" " * 2_000_000 + b"{}")

    def packs(handler, page):
        handler.send_response(200)
        handler.send_header("Content-Encoding", "gzip")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    with serving() as site:
        site.put("/a", content, packs)
        with pytest.raises(DownloadError, match="its listing has more than 1,000,000 bytes"):
            HttpClient(QUICK).json(f"{site.url}/a")
