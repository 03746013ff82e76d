"""Repositories of public records: names, addresses, sizes and checksums of their files."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from cryotome.core.cards import Card
from cryotome.core.errors import DownloadError
from cryotome.core.files import leads_out

ZENODO = "https://zenodo.org/api"
FIGSHARE = "https://api.figshare.com/v2"
GITHUB = "https://api.github.com"
RAW = "https://raw.githubusercontent.com"
PAGE_SIZE = 1000  # figshare's largest; several pages would repeat and miss articles

SIZE_TOLERANCE = 2  # times a card's `gigabytes`, which is approximate

Ask = Callable[[str], Any]  # address to its JSON


@dataclass(frozen=True)
class RemoteFile:
    """One file of a record.

    Attributes
    ----------
    name
        In the record.
    urls
        Addresses in the order in which they are tried.
    size
        Bytes, None if the record lists none.
    checksum
        `md5:…`, `git:…` (the id of a git object), or None if the record lists none.
    target
        Its path below `data_root`.
    max_bytes
        Largest transfer accepted for a file of unknown size.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    checksum: str | None = None
    target: str = ""
    max_bytes: int | None = None


def _zenodo(record: Card, ask: Ask, _: Ask) -> list[RemoteFile]:
    listed = ask(f"{record.get('api_url', ZENODO)}/records/{record['zenodo']}")["files"]
    return [
        RemoteFile(f["key"], (f["links"]["self"],), f["size"], f.get("checksum")) for f in listed
    ]


def _figshare(record: Card, ask: Ask, cached: Ask) -> list[RemoteFile]:
    base = record.get("api_url", FIGSHARE)
    number = record["figshare_collection"]
    articles = ask(f"{base}/collections/{number}/articles?page_size={PAGE_SIZE}&page=1")
    numbers = sorted({article["id"] for article in articles})
    urls = [f"{base}/articles/{one}/files?page_size={PAGE_SIZE}" for one in numbers]
    with ThreadPoolExecutor(3) as pool:
        files = [file for answer in pool.map(cached, urls) for file in answer]
    md5s = [file.get("computed_md5") or file.get("supplied_md5") for file in files]
    return [
        RemoteFile(
            file["name"], (file["download_url"],), file["size"], f"md5:{md5}" if md5 else None
        )
        for file, md5 in zip(files, md5s, strict=True)
    ]


def _github(record: Card, ask: Ask, _: Ask) -> list[RemoteFile]:
    name, revision = record["github"], record["revision"]
    base = record.get("api_url", GITHUB)
    tree = ask(f"{base}/repos/{name}/git/trees/{quote(revision)}?recursive=1")
    if tree.get("truncated"):
        raise DownloadError(f"{name} has more files than {base} lists at once.")
    raw = f"{record.get('api_url', RAW)}/{name}/{quote(revision)}"
    return [
        RemoteFile(f["path"], (f"{raw}/{quote(f['path'])}",), f["size"], f"git:{f['sha']}")
        for f in tree["tree"]
        if f["type"] == "blob"
    ]


def _plain(record: Card, _: Ask, __: Ask) -> list[RemoteFile]:
    return [
        RemoteFile(
            f["name"], (f["url"],), f.get("bytes"), f"md5:{f['md5']}" if "md5" in f else None
        )
        for f in record["files"]
    ]


HOSTS = {"zenodo": _zenodo, "figshare_collection": _figshare, "github": _github, "files": _plain}


def list_record(record: Card, ask: Ask, cached: Ask) -> list[RemoteFile]:
    """List the files of a record.

    Parameters
    ----------
    record
        `record` of a download card.
    ask, cached
        Address to its JSON; the second may return a cached answer.

    Raises
    ------
    DownloadError
        The record cannot be fetched, or has an unknown form.
    """
    (host,) = HOSTS.keys() & record.keys()
    try:
        return list(map(_checked, HOSTS[host](record, ask, cached)))
    except (KeyError, TypeError, AttributeError) as error:
        raise DownloadError(
            f"{host} {record[host]} does not list its files as it used to ({error!r}). Fetch them "
            "by hand, and report it in an issue."
        ) from error


def _checked(remote: RemoteFile) -> RemoteFile:
    """Return a file of a listing after checking the types of its fields."""
    texts = [remote.name, *remote.urls, remote.checksum or ""]
    known = remote.size is None or (type(remote.size) is int and remote.size >= 0)
    if not known or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"it lists {remote!r:.200}")
    return remote


def select_files(card: Card, record: str, listed: list[RemoteFile]) -> list[RemoteFile]:
    """Return the files of a record that its card selects, with their targets.

    Raises
    ------
    DownloadError
        Their number differs from the card's, two have the same target, the record contradicts
        an md5 of the card, or a target leads out of `data_root`.
    """
    found: dict[str, RemoteFile] = {}
    for remote in listed:
        match = next(filter(None, (re.fullmatch(p, remote.name) for p in card["files"])), None)
        if not match:
            continue
        target = match.expand(card["files"][match.re.pattern])
        if not target or not target.isprintable() or leads_out(target):
            raise DownloadError(f"{record}: {remote.name!r} would leave `data_root` for {target}.")
        most = int(SIZE_TOLERANCE * card["gigabytes"] * 1e9) if "gigabytes" in card else None
        complete = replace(_with_card(remote, card, record), target=target, max_bytes=most)
        if found.setdefault(target, complete).checksum != complete.checksum:
            raise DownloadError(f"{record}: the record has two files for {target}.")
    if len(found) != card["expect"]:
        names = ", ".join(sorted(remote.name for remote in listed)[:5])
        raise DownloadError(
            f"{record}: {len(found)} files of the record fit `files:` of its card, which expects "
            f"{card['expect']}. The record lists {len(listed)}: {names} … Correct the card."
        )
    return list(found.values())


def _with_card(remote: RemoteFile, card: Card, record: str) -> RemoteFile:
    """Add mirrors and the md5 of the card."""
    mirrors = [f"{base.rstrip('/')}/{quote(remote.name)}" for base in card.get("mirrors", [])]
    md5 = card.get("md5", {}).get(remote.name)
    checksum = f"md5:{md5}" if md5 else remote.checksum
    if remote.checksum and remote.checksum != checksum:
        raise DownloadError(
            f"{record}: the record lists {remote.checksum} for {remote.name}, its card {checksum}. "
            "The record's file has changed since the card was written."
        )
    return replace(remote, urls=(*remote.urls, *mirrors), checksum=checksum)
