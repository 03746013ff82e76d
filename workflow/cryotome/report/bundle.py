"""Bundle: a study as one zip archive, described by RO-Crate metadata; written, and unpacked."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from cryotome.core.errors import StoreError
from cryotome.core.files import atomic_write, leads_out, save_json, sha256
from cryotome.runtime.source import commit, versions
from cryotome.study.facts import PageFacts
from cryotome.study.products import PRODUCTS
from cryotome.study.site import RESULTS

METADATA, VERSIONS = "ro-crate-metadata.json", "versions.json"
FORMAT = 1  # of versions.json and of the folders inside
KINDS = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/jsonl"}
KINDS |= {".md": "text/markdown", ".tex": "text/x-tex", ".html": "text/html", ".txt": "text/plain"}
KINDS |= {".yaml": "application/yaml", ".pdf": "application/pdf", ".png": "image/png"}
EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of every file of a zip, so that equal files give one zip
LICENCE = "The code is under MIT. Cells come from the datasets of isBasedOn, under their licences."


@dataclass(frozen=True)
class Bundle:
    """A bundle that is unpacked.

    Attributes
    ----------
    about
        What `save_versions` wrote.
    problems
        A line for each file that is damaged, altered, missing or not listed.
    """

    folder: Path
    about: dict[str, Any]
    problems: list[str]


def save_versions(folder: Path, *, study: str, config: str) -> None:
    """Write what made a bundle: commit and versions, the study and its config below `folder`."""
    made = {"commit": commit(), "versions": versions()}
    save_json({"format": FORMAT, "study": study, "config": config} | made, folder / VERSIONS)


def save_metadata(folder: Path, facts: PageFacts, published: str) -> None:
    """Write RO-Crate metadata of all files of a folder.

    Parameters
    ----------
    published
        When the study was finished, as ISO 8601.
    """
    about = json.loads((folder / VERSIONS).read_text(encoding="utf-8"))
    crate = ROCrate()
    captions = _captions(facts.study)
    files = [
        crate.add_file(
            folder / name, name, properties=_properties(folder / name, captions.get(name))
        )
        for name in _names(folder)
    ]
    software = {"@type": "SoftwareApplication", "name": "cryotome"}
    software |= {"version": about["versions"]["cryotome"], "softwareVersion": about["commit"]}
    run = {"@type": "CreateAction", "name": f"study {facts.study}", "endTime": published}
    tool, action = _add(crate, "#cryotome", software), _add(crate, "#run", run)
    action["instrument"] = tool
    action["object"] = [one for one in files if one.id == about["config"]]
    action["result"] = [one for one in files if one.id in captions]
    root = crate.root_dataset
    root["name"], root["description"] = f"cryotome study {facts.study}", facts.summary
    root["datePublished"], root["license"] = published, LICENCE
    root["isBasedOn"] = [
        _add(crate, f"#{name}", {"@type": "Dataset", "name": card.title, "license": card.licence,
                                 "description": card.source})
        for name, card in facts.cards.items()
    ]  # fmt: skip
    save_json(crate.metadata.generate(), folder / METADATA)


def _add(crate: ROCrate, name: str, properties: dict[str, str]) -> ContextEntity:
    return crate.add(ContextEntity(crate, name, properties=properties))


def _captions(study: str) -> dict[str, str]:
    """Return the path of each table and figure within a bundle, and what it shows."""
    files = ((name, one.caption) for one in PRODUCTS for name in one.files)
    return {(RESULTS / "studies" / study / name).as_posix(): caption for name, caption in files}


def _properties(path: Path, caption: str | None) -> dict[str, str]:
    said = {"contentSize": str(path.stat().st_size), "sha256": sha256(path)}
    said |= {"encodingFormat": KINDS.get(path.suffix, "application/octet-stream")}
    return said | ({"description": caption} if caption else {})


def _names(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def write_zip(folder: Path, archive: Path) -> None:
    """Write all files of a folder into a zip that depends on their names and content alone."""
    with atomic_write(archive) as beside, zipfile.ZipFile(beside, "w") as packed:
        for name in _names(folder):
            info = zipfile.ZipInfo(name, EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with open(folder / name, "rb") as content, packed.open(info, "w") as file:
                shutil.copyfileobj(content, file)


def unpack(archive: Path, folder: Path) -> Bundle:
    """Unpack a bundle, and compare its files with its metadata.

    Raises
    ------
    StoreError
        It is no zip archive, no bundle of cryotome, of another format, or leads out of `folder`.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            problems = list(_extract(packed, archive, folder))
    except (zipfile.BadZipFile, OSError) as error:
        raise StoreError(
            f"{archive} cannot be read as a zip archive ({error}). It is cut off or another file: "
            "fetch it again."
        ) from error
    about, listed = _described(archive, folder)
    return Bundle(folder, about, problems + list(_deviations(folder, listed, problems)))


def _extract(packed: zipfile.ZipFile, archive: Path, folder: Path) -> Iterator[str]:
    for info in packed.infolist():
        if leads_out(info.filename):
            raise StoreError(f"{archive} holds {info.filename!r}, which leads out of its folder.")
        try:
            packed.extract(info, folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            (folder / info.filename).unlink(missing_ok=True)
            yield f"{info.filename} is damaged ({error}). Fetch the archive again."


def _described(archive: Path, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what made a bundle, and the hash of each file that its metadata list."""
    try:
        about = json.loads((folder / VERSIONS).read_text(encoding="utf-8"))
        graph = json.loads((folder / METADATA).read_text(encoding="utf-8"))["@graph"]
        listed = {unquote(one["@id"]): one["sha256"] for one in graph if one.get("@type") == "File"}
        found = about["format"], about["commit"], about["study"], about["config"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{archive} is no bundle of cryotome: {VERSIONS} or {METADATA} cannot be read "
            f"({type(error).__name__}: {error}). `make bundle` writes one."
        ) from error
    if found[0] != FORMAT:
        raise StoreError(
            f"{archive} has format {found[0]!r} of bundles; this version reads {FORMAT}. Check out "
            f"commit {found[1]} of cryotome, which wrote it."
        )
    return about, listed


def _deviations(folder: Path, listed: dict[str, str], damaged: list[str]) -> Iterator[str]:
    there = {name for name in _names(folder) if name != METADATA}
    for name, expected in sorted(listed.items()):
        if name not in there:
            if not any(line.startswith(f"{name} ") for line in damaged):
                yield f"{name} is missing. Ask for the whole archive."
        elif sha256(folder / name) != expected:
            yield f"{name} was altered: {METADATA} lists another sha256."
    yield from (f"{name} is not listed in {METADATA}." for name in sorted(there - listed.keys()))
