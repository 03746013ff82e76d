"""Download of a public record into `data_root`, keeping files that are already there."""

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
from cryotome.data.downloads.repositories import RemoteFile, list_record, select_files
from cryotome.data.downloads.transfer import checksum_of, fetch_file, partial_path
from cryotome.data.image_files import find_image
from cryotome.data.names import IMAGE_SUFFIXES
from cryotome.runtime.failures import reason


def download_record(
    card: Card, record: str, data_root: Path, memory: Cache, *, threads: int, web: HttpClient
) -> list[VerifiedFile]:
    """Fetch the missing files of a record, and return all its files sorted by name.

    Parameters
    ----------
    threads
        Files fetched at the same time.

    Raises
    ------
    DownloadError
        The record cannot be listed, the disk is too small, or files could not be fetched or
        differ from the record; each of these is named, and all others are complete.
    """
    _show_licence(card, record, memory)
    listed = _listed(card, record, data_root, memory, web)
    remotes = select_files(card, record, listed)
    job = _RecordDownload(card, data_root, memory, web)
    with ThreadPoolExecutor(threads) as pool:
        try:
            list(pool.map(job.check, remotes))
            missing = [
                r for r in remotes if r.target not in job.verified and r.target not in job.faults
            ]
            check_space(missing, data_root, copies=2 if "unpack" in card else 1)
            due = sum(r.size or 0 for r in missing)
            with tqdm(total=due, desc=f"fetch {record}", unit="B", unit_scale=True) as job.bar:
                job.bar.mininterval = 5
                job.bar.update(sum(_bytes_so_far(data_root / r.target) for r in missing))
                list(pool.map(job.fetch, missing))
        except BaseException:
            web.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if job.faults:
        raise DownloadError(_failure_message(job, record, len(remotes)))
    return sorted(job.verified.values(), key=lambda verified: verified.file)


def _listed(
    card: Card, record: str, data_root: Path, memory: Cache, web: HttpClient
) -> list[RemoteFile]:
    try:
        return list_record(card["record"], web.json, memory.cached(web.json))
    except DownloadError as error:
        raise DownloadError(
            f"{record} cannot be listed. {error} A proxy is taken from HTTPS_PROXY; where there is "
            f"no network, files put below {data_root} by hand are enough (docs/reference/data.md)."
        ) from error


def _show_licence(card: Card, record: str, memory: Cache) -> None:
    if memory.known.get("licence") != card["licence"]:
        said = f"{record}: {card['title']}, {card['source']}\nLicence: {card['licence']}\n"
        print(f"{said}(shown once; recorded in {memory.path})", file=sys.stderr, flush=True)
        memory.put("licence", card["licence"])


def _failure_message(job: "_RecordDownload", record: str, count: int) -> str:
    lines = [f"  {target}: {why}" for target, why in sorted(job.faults.items())]
    return "\n".join(
        [
            f"{len(lines)} of {count} files of {record} could not be fetched or differ from the "
            f"record; the others are in {job.data_root}:",
            *lines,
            "Run the same command again: complete files are kept, and broken transfers are "
            f"resumed. Or put these files there by hand. Delete {job.memory.path} to ask the "
            "record and check every file again.",
        ]
    )


def _bytes_so_far(path: Path) -> int:
    return partial_path(path).stat().st_size if partial_path(path).exists() else 0


def check_space(missing: list[RemoteFile], data_root: Path, *, copies: int = 1) -> None:
    """Stop before the first byte if the disks have too little space for the files.

    Parameters
    ----------
    copies
        2 if archives stay beside their content, which may be as large.

    Raises
    ------
    DownloadError
        A disk has less free space than its files need.
    """
    needed: dict[int, int] = defaultdict(int)
    places = {}
    for remote in missing:
        path = data_root / remote.target
        place = next(parent for parent in path.absolute().parents if parent.exists())
        disk = place.stat().st_dev
        places[disk] = place
        needed[disk] += copies * (remote.size or 0) - _bytes_so_far(path)
    for disk, place in places.items():
        free = shutil.disk_usage(place).free
        if needed[disk] > free:
            raise DownloadError(
                f"{place} has {free / 1e9:,.2f} GB free, and {needed[disk] / 1e9:,.2f} GB are "
                "needed. Make room, or set `data_root` in config/site.yaml to a larger disk."
            )


class _RecordDownload:
    """Download of one record: verified files, and errors by file."""

    bar: tqdm

    def __init__(self, card: Card, data_root: Path, memory: Cache, web: HttpClient) -> None:
        self.card, self.data_root, self.memory, self.web = card, data_root, memory, web
        self.verified: dict[str, VerifiedFile] = {}
        self.faults: dict[str, str] = {}
        self.lock = Lock()

    def check(self, remote: RemoteFile) -> None:
        """Check whether the file is already there, put by hand or by an earlier run."""
        try:
            verified = self._existing(remote)
        except (DataError, DownloadError, OSError) as error:
            self.faults[remote.target] = reason(error)
            return
        if verified:
            self.verified[remote.target] = verified

    def _existing(self, remote: RemoteFile) -> VerifiedFile | None:
        path = self.data_root / remote.target
        known = self.memory.known.get(remote.target, {})
        if "unpack" in self.card and folder_beside(path).is_dir() and not path.exists():
            return self._receipt(remote, folder_beside(path), known.get("checksum", ""), known)
        found = (
            find_image(path.parent, path.name) if path.suffix.lower() in IMAGE_SUFFIXES else path
        )
        if not found.exists():
            return None
        if found != path:  # the same image in another format, which readers prefer
            return self._receipt(remote, found, "", {})
        if stat_fingerprint(path) != {key: known.get(key) for key in ("bytes", "mtime")}:
            known = {"how": "by hand", "checksum": _verified_checksum(path, remote)}
            self._record(remote, path, known)
        elif remote.checksum not in (None, known["checksum"]):
            _verified_checksum(path, remote)
        return self._unpacked(remote, path, known)

    def fetch(self, remote: RemoteFile) -> None:
        """Fetch one file; errors are collected for the end."""
        path = self.data_root / remote.target
        try:
            known = {
                "how": "fetched",
                "checksum": fetch_file(remote, path, self.web, self._advance),
            }
            self._record(remote, path, known)
            self.verified[remote.target] = self._unpacked(remote, path, known)
        except (DownloadError, OSError) as error:
            self.faults[remote.target] = reason(error)

    def _advance(self, count: int) -> None:
        with self.lock:
            self.bar.update(count)

    def _record(self, remote: RemoteFile, path: Path, known: dict[str, Any]) -> None:
        self.memory.put(remote.target, known | stat_fingerprint(path))

    def _unpacked(self, remote: RemoteFile, path: Path, known: dict[str, Any]) -> VerifiedFile:
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
        self, remote: RemoteFile, path: Path, checksum: str, known: dict[str, Any]
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


def _verified_checksum(path: Path, remote: RemoteFile) -> str:
    """Return the checksum of a file that is already there, if it is the record's."""
    size = path.stat().st_size
    right = remote.size is None or size == remote.size
    found = checksum_of(path, remote) if right else ""
    if not size or not right or remote.checksum not in (None, found):
        due = f"{remote.size:,} bytes" if not right else remote.checksum
        raise DownloadError(
            f"{path} already exists and is not the record's file: it has {size:,} bytes"
            f"{', ' * bool(found)}{found}, the record lists {due}. It is left as it is; move it "
            "away or delete it to have it fetched"
        )
    return found
