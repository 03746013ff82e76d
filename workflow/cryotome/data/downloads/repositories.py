"""What a public record holds: file names, addresses, sizes, checksums, and where they go."""

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
PAGE = 1000  # the most that figshare gives at once; several pages repeat and miss articles

ROUGHLY = 2  # times a card's `gigabytes`, which say about what travels

Ask = Callable[[str], Any]  # address to the JSON that it says


@dataclass(frozen=True)
class Remote:
    """One file of a record.

    Attributes
    ----------
    name
        In the record.
    urls
        Where it can be had, in the order in which they are tried.
    size
        Bytes, None where the record does not say.
    checksum
        `md5:…`, `git:…` (the id of a git object), or None where the record has none.
    target
        Where it goes, below `data_root`.
    most
        Bytes at which the transfer of a file of unknown size is broken off.
    """

    name: str
    urls: tuple[str, ...]
    size: int | None = None
    checksum: str | None = None
    target: str = ""
    most: int | None = None


def _zenodo(record: Card, ask: Ask, _: Ask) -> list[Remote]:
    listed = ask(f"{record.get('at', ZENODO)}/records/{record['zenodo']}")["files"]
    return [Remote(f["key"], (f["links"]["self"],), f["size"], f.get("checksum")) for f in listed]


def _figshare(record: Card, ask: Ask, remembered: Ask) -> list[Remote]:
    base = record.get("api_url", FIGSHARE)
    number = record["figshare_collection"]
    articles = ask(f"{base}/collections/{number}/articles?page_size={PAGE}&page=1")
    numbers = sorted({article["id"] for article in articles})
    urls = [f"{base}/articles/{one}/files?page_size={PAGE}" for one in numbers]
    with ThreadPoolExecutor(3) as pool:
        files = [file for answer in pool.map(remembered, urls) for file in answer]
    md5s = [file.get("computed_md5") or file.get("supplied_md5") for file in files]
    return [
        Remote(file["name"], (file["download_url"],), file["size"], f"md5:{md5}" if md5 else None)
        for file, md5 in zip(files, md5s, strict=True)
    ]


def _github(record: Card, ask: Ask, _: Ask) -> list[Remote]:
    name, revision = record["github"], record["revision"]
    base = record.get("api_url", GITHUB)
    tree = ask(f"{base}/repos/{name}/git/trees/{quote(revision)}?recursive=1")
    if tree.get("truncated"):
        raise DownloadError(f"{name} has more files than {base} lists at once.")
    raw = f"{record.get('at', RAW)}/{name}/{quote(revision)}"
    return [
        Remote(f["path"], (f"{raw}/{quote(f['path'])}",), f["size"], f"git:{f['sha']}")
        for f in tree["tree"]
        if f["type"] == "blob"
    ]


def _plain(record: Card, _: Ask, __: Ask) -> list[Remote]:
    return [
        Remote(f["name"], (f["url"],), f.get("bytes"), f"md5:{f['md5']}" if "md5" in f else None)
        for f in record["files"]
    ]


HOSTS = {"zenodo": _zenodo, "figshare_collection": _figshare, "github": _github, "files": _plain}


def list_record(record: Card, ask: Ask, remembered: Ask) -> list[Remote]:
    """List the files of a record.

    Parameters
    ----------
    record
        Of a download card.
    ask, remembered
        Address to the JSON that it says; the second need not ask anew what it was told before.

    Raises
    ------
    DownloadError
        The record cannot be had, or does not look like one.
    """
    (host,) = HOSTS.keys() & record.keys()
    try:
        return list(map(_sound, HOSTS[host](record, ask, remembered)))
    except (KeyError, TypeError, AttributeError) as error:
        raise DownloadError(
            f"{host} {record[host]} does not list its files as it used to ({error!r}). Fetch them "
            "by hand, and tell us."
        ) from error


def _sound(remote: Remote) -> Remote:
    """Return a file of a listing if all that it says of it is of the kind that it should be."""
    texts = [remote.name, *remote.urls, remote.checksum or ""]
    known = remote.size is None or (type(remote.size) is int and remote.size >= 0)
    if not known or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"it says {remote!r:.200}")
    return remote


def wanted(card: Card, record: str, listed: list[Remote]) -> list[Remote]:
    """Return the files of a record that its card asks for, with their targets.

    Raises
    ------
    DownloadError
        There are more or fewer than the card expects, two for one place, a known md5 that the
        record contradicts, or a name that leads out of `data_root`.
    """
    found: dict[str, Remote] = {}
    for remote in listed:
        match = next(filter(None, (re.fullmatch(p, remote.name) for p in card["files"])), None)
        if not match:
            continue
        target = match.expand(card["files"][match.re.pattern])
        if not target or not target.isprintable() or leads_out(target):
            raise DownloadError(f"{record}: {remote.name!r} would leave `data_root` for {target}.")
        most = int(ROUGHLY * card["gigabytes"] * 1e9) if "gigabytes" in card else None
        complete = replace(_known(remote, card, record), target=target, most=most)
        if found.setdefault(target, complete).checksum != complete.checksum:
            raise DownloadError(f"{record}: the record has two files for {target}.")
    if len(found) != card["expect"]:
        names = ", ".join(sorted(remote.name for remote in listed)[:5])
        raise DownloadError(
            f"{record}: {len(found)} files of the record fit `files:` of its card, which expects "
            f"{card['expect']}. The record lists {len(listed)}: {names} … Correct the card."
        )
    return list(found.values())


def _known(remote: Remote, card: Card, record: str) -> Remote:
    """Add mirrors and the md5 that the card knows."""
    mirrors = [f"{base.rstrip('/')}/{quote(remote.name)}" for base in card.get("mirrors", [])]
    md5 = card.get("md5", {}).get(remote.name)
    checksum = f"md5:{md5}" if md5 else remote.checksum
    if remote.checksum and remote.checksum != checksum:
        raise DownloadError(
            f"{record}: the record says {remote.checksum} of {remote.name}, its card {checksum}. "
            "The record holds another file than the one that is known."
        )
    return replace(remote, urls=(*remote.urls, *mirrors), checksum=checksum)
