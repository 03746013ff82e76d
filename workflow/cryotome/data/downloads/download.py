"""Fetch the files of a public record into `data_root`, keeping what already lies there."""

import shutil
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import DataError, DownloadError
from cryotome.data.downloads.archives import check_unpacked, folder_beside, unpack
from cryotome.data.downloads.http_client import HttpClient, redacted
from cryotome.data.downloads.receipts import Cache, VerifiedFile, stat_fingerprint
from cryotome.data.downloads.repositories import Remote, list_record, wanted
from cryotome.data.downloads.transfer import checksum_of, fetch_file, partial_path
from cryotome.data.file_names import IMAGES
from cryotome.data.images import find_image
from cryotome.runtime.failures import reason


def download_record(
    card: Card, record: str, data_root: Path, memory: Cache, *, threads: int, web: HttpClient
) -> list[VerifiedFile]:
    """Fetch what lacks of a record, and return all its files in the order of their names.

    Parameters
    ----------
    threads
        Files that are fetched at once.

    Raises
    ------
    DownloadError
        The record cannot be listed, the disk is too small, or files did not come or are not
        the record's; every such file is named, and all others are there.
    """
    _show_licence(card, record, memory)
    listed = _listed(card, record, data_root, memory, web)
    remotes = wanted(card, record, listed)
    job = _Job(card, data_root, memory, web)
    with ThreadPoolExecutor(threads) as pool:
        try:
            list(pool.map(job.look, remotes))
            lacking = [
                r for r in remotes if r.target not in job.held and r.target not in job.faults
            ]
            check_space(lacking, data_root, copies=2 if "unpack" in card else 1)
            due = sum(r.size or 0 for r in lacking)
            with tqdm(total=due, desc=f"fetch {record}", unit="B", unit_scale=True) as job.bar:
                job.bar.mininterval = 5
                job.bar.update(sum(_begun(data_root / r.target) for r in lacking))
                list(pool.map(job.fetch, lacking))
        except BaseException:
            web.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if job.faults:
        raise DownloadError(_verdict(job, record, len(remotes)))
    return sorted(job.held.values(), key=lambda held: held.file)


def _listed(
    card: Card, record: str, data_root: Path, memory: Cache, web: HttpClient
) -> list[Remote]:
    try:
        return list_record(card["record"], web.json, memory.once(web.json))
    except DownloadError as error:
        raise DownloadError(
            f"{record} cannot be listed. {error} A proxy is taken from HTTPS_PROXY; where there is "
            f"no network, files put below {data_root} by hand are enough (docs/reference/data.md)."
        ) from error


def _show_licence(card: Card, record: str, memory: Cache) -> None:
    if memory.known.get("licence") != card["licence"]:
        said = f"{record}: {card['title']}, {card['source']}\nLicence: {card['licence']}\n"
        print(f"{said}(shown once; {memory.path} remembers it)", file=sys.stderr, flush=True)
        memory.put("licence", card["licence"])


def _verdict(job: "_Job", record: str, count: int) -> str:
    lines = [f"  {target}: {why}" for target, why in sorted(job.faults.items())]
    return "\n".join(
        [
            f"{len(lines)} of {count} files of {record} did not come or are not the record's; the "
            f"others lie in {job.data_root}:",
            *lines,
            "Run the same command again: what came stays, and transfers go on where they broke "
            f"off. Or put these files there by hand. Delete {job.memory.path} to ask the record "
            "and check every file anew.",
        ]
    )


def _begun(path: Path) -> int:
    return partial_path(path).stat().st_size if partial_path(path).exists() else 0


def check_space(lacking: list[Remote], data_root: Path, *, copies: int = 1) -> None:
    """Stop before the first byte where the disks cannot hold what is to come.

    Parameters
    ----------
    copies
        2 where archives lie beside what they hold; what does not shrink counts so.

    Raises
    ------
    DownloadError
        A disk has less room than the files on it need.
    """
    needed: dict[int, int] = defaultdict(int)
    places = {}
    for remote in lacking:
        path = data_root / remote.target
        place = next(parent for parent in path.absolute().parents if parent.exists())
        disk = place.stat().st_dev
        places[disk] = place
        needed[disk] += copies * (remote.size or 0) - _begun(path)
    for disk, place in places.items():
        free = shutil.disk_usage(place).free
        if needed[disk] > free:
            raise DownloadError(
                f"{place} has {free / 1e9:,.2f} GB free, and {needed[disk] / 1e9:,.2f} GB are to "
                "come. Make room, or set `data_root` in config/site.yaml to a larger disk."
            )


class _Job:
    """One record on its way: what is held, what went wrong."""

    bar: tqdm

    def __init__(self, card: Card, data_root: Path, memory: Cache, web: HttpClient) -> None:
        self.card, self.data_root, self.memory, self.web = card, data_root, memory, web
        self.held: dict[str, VerifiedFile] = {}
        self.faults: dict[str, str] = {}
        self.lock = Lock()

    def look(self, remote: Remote) -> None:
        """Take over what is there already, by hand or from an earlier run."""
        try:
            held = self._at_hand(remote)
        except (DataError, DownloadError, OSError) as error:
            self.faults[remote.target] = reason(error)
            return
        if held:
            self.held[remote.target] = held

    def _at_hand(self, remote: Remote) -> VerifiedFile | None:
        path = self.data_root / remote.target
        known = self.memory.known.get(remote.target, {})
        if "unpack" in self.card and folder_beside(path).is_dir() and not path.exists():
            return self._receipt(remote, folder_beside(path), known.get("checksum", ""), known)
        found = find_image(path.parent, path.name) if path.suffix.lower() in IMAGES else path
        if not found.exists():
            return None
        if found != path:  # the same image in another format, which readers take first
            return self._receipt(remote, found, "", {})
        if stat_fingerprint(path) != {key: known.get(key) for key in ("bytes", "mtime")}:
            known = {"how": "by hand", "checksum": _checked(path, remote)}
            self._remember(remote, path, known)
        elif remote.checksum not in (None, known["checksum"]):
            _checked(path, remote)
        return self._unpacked(remote, path, known)

    def fetch(self, remote: Remote) -> None:
        """Fetch one file; what goes wrong is kept for the end."""
        path = self.data_root / remote.target
        try:
            known = {"how": "fetched", "checksum": fetch_file(remote, path, self.web, self._tell)}
            self._remember(remote, path, known)
            self.held[remote.target] = self._unpacked(remote, path, known)
        except (DownloadError, OSError) as error:
            self.faults[remote.target] = reason(error)

    def _tell(self, came: int) -> None:
        with self.lock:
            self.bar.update(came)

    def _remember(self, remote: Remote, path: Path, known: dict[str, Any]) -> None:
        self.memory.put(remote.target, known | stat_fingerprint(path))

    def _unpacked(self, remote: Remote, path: Path, known: dict[str, Any]) -> VerifiedFile:
        if "unpack" not in self.card:
            return self._receipt(remote, path, known["checksum"], known)
        folder = folder_beside(path)
        if folder.is_dir():
            check_unpacked(path)
        else:
            unpack(path)
        if self.card["unpack"] == "remove" and known["how"] == "fetched":
            path.unlink()
        return self._receipt(remote, folder, known["checksum"], known)

    def _receipt(
        self, remote: Remote, path: Path, checksum: str, known: dict[str, Any]
    ) -> VerifiedFile:
        size = (remote.size or 0) if path.is_dir() else path.stat().st_size
        checked = remote.checksum.split(":")[0] if remote.checksum else "size"
        return VerifiedFile(
            file=str(path.relative_to(self.data_root)),
            bytes=size,
            checksum=checksum,
            checked=checked if checksum and (remote.checksum or remote.size) else "nothing",
            how=known.get("how", "by hand"),
            source=redacted(remote.urls[0]),
        )


def _checked(path: Path, remote: Remote) -> str:
    """Return the checksum of a file that lies there, if it is the record's."""
    size = path.stat().st_size
    right = remote.size is None or size == remote.size
    found = checksum_of(path, remote) if right else ""
    if not size or not right or remote.checksum not in (None, found):
        due = f"{remote.size:,} bytes" if not right else remote.checksum
        raise DownloadError(
            f"{path} lies there and is not the record's file: it has {size:,} bytes"
            f"{', ' * bool(found)}{found}, the record says {due}. It is left as it is; move it "
            "away or delete it to have it fetched"
        )
    return found
