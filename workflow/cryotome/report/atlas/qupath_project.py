"""A QuPath project: the images of a study, and a script that adds what its rows say of them."""

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openslide

from cryotome.core.errors import DataError
from cryotome.core.files import atomic_write
from cryotome.report.atlas.qupath import ID_NAMESPACE

# what QuPath opens a file with; Bio-Formats reads what OpenSlide does not
OPENSLIDE = "qupath.lib.images.servers.openslide.OpenslideServerBuilder"
BIO_FORMATS = "qupath.lib.images.servers.bioformats.BioFormatsServerBuilder"
PROJECT, SCRIPT = "project.qpproj", "add_results.groovy"
# Objects have the same ID in every run, so those of an earlier one are replaced. Functions are of
# QuPath's class QP; PROJECT_BASE_DIR is a placeholder that only `buildFilePath` resolves.
GROOVY = """\
// Adds the results of cryotome to an image; Run > Run for project does so for all.
// Results added before are replaced; your own objects are kept.
import groovy.json.JsonSlurper
import qupath.lib.io.PathIO

def listed = new JsonSlurper().parse(new File(buildFilePath(PROJECT_BASE_DIR, "results.json")))
def files = listed[getProjectEntry().getID()] ?: []
for (path in files) {
    def objects = PathIO.readObjects(new File(buildFilePath(PROJECT_BASE_DIR, path)))
    def ids = objects.collect { it.getID() } as Set
    removeObjects(getAllObjects(false).findAll { it.getID() in ids }, true)
    addObjects(objects)
    println "${objects.size()} objects of ${path}"
}
if (files.isEmpty())
    println "no results of this image"
"""


def write_project(folder: Path, results: Mapping[Path, list[Path]]) -> Path:
    """Write a QuPath project, or add images to the one that is there; nothing is removed.

    Format: the class `DefaultProject` of QuPath 0.3 and later. Its `data/`, where QuPath saves what
    people draw, is left alone.

    Parameters
    ----------
    results
        Image to its GeoJSON files.

    Returns
    -------
    The file that QuPath opens.

    Raises
    ------
    DataError
        The project's file is damaged.
    """
    file = folder / PROJECT
    project = _read_project(file) if file.exists() else _empty_project(file)
    # an image that is rotated or put together has its address further inside
    known = {image["serverBuilder"].get("uri"): image for image in project["images"]}
    listed: dict[str, list[str]] = {}
    for path, files in results.items():
        uri = path.absolute().as_uri()
        if uri not in known:
            project["lastID"] += 1
            known[uri] = _entry(path, project["lastID"])
            project["images"].append(known[uri])
        listed[str(known[uri]["entryID"])] = [os.path.relpath(each, folder) for each in files]
    (folder / "scripts").mkdir(parents=True, exist_ok=True)
    texts = {
        folder / "results.json": json.dumps(listed, indent=2),
        folder / "scripts" / SCRIPT: GROOVY,
        file: json.dumps(project, indent=2),
    }
    for path, text in texts.items():
        with atomic_write(path, sweep=False) as beside:
            beside.write_text(text, encoding="utf-8")
    return file


def _empty_project(file: Path) -> dict[str, Any]:
    """Return a project without images; its times are unknown, so that a second one is the same."""
    times = {"createTimestamp": 0, "modifyTimestamp": 0}
    return {"version": "0.5.0", **times, "uri": file.absolute().as_uri(), "lastID": 0, "images": []}


def _read_project(file: Path) -> dict[str, Any]:
    try:
        project = json.loads(file.read_text(encoding="utf-8"))
        found = [(image["entryID"], image["serverBuilder"].keys()) for image in project["images"]]
        project["lastID"] = max([project.get("lastID", 0), *(number for number, _ in found)])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{file} is no QuPath project ({error!r}). Restore it from {file.name}.backup beside "
            "it, which QuPath writes, or move the folder away and run this again."
        ) from error
    return dict(project)


def _entry(path: Path, number: int) -> dict[str, Any]:
    """Return the entry of an image; QuPath reads its size and resolution when it opens it."""
    opened_by = OPENSLIDE if openslide.OpenSlide.detect_format(path) else BIO_FORMATS
    uri = path.absolute().as_uri()
    server = {"builderType": "uri", "providerClassName": opened_by, "uri": uri, "args": []}
    masked = str(uuid.uuid5(ID_NAMESPACE, uri))
    return {"serverBuilder": server, "entryID": number, "randomizedName": masked,
            "imageName": path.name, "metadata": {}}  # fmt: skip
