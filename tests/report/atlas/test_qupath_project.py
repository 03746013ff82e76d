import json
import os
import uuid

import numpy as np
import pytest
from PIL import Image
from pyramidal_slides import pyramid, waves

from cryotome.core.errors import DataError
from cryotome.report.atlas.qupath_project import BIO_FORMATS, OPENSLIDE, SCRIPT, write_project


@pytest.fixture
def images(tmp_path):
    """A pyramidal slide and a flat picture, with a space and an umlaut in their names."""
    slide = pyramid(tmp_path / "slide ä.tiff", waves(512, 256))
    Image.fromarray(np.full((9, 9, 3), 200, np.uint8)).save(tmp_path / "flat.png")
    return {slide: [tmp_path / "atlas/1.geojson", tmp_path / "applied/1.geojson"],
            tmp_path / "flat.png": [tmp_path / "atlas/2.geojson"]}  # fmt: skip


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def test_it_has_the_members_that_qupath_reads(tmp_path, images):
    """`DefaultProject.loadProject`, `DefaultProjectImageEntry`, `DefaultImageServerBuilder`."""
    project = read(write_project(tmp_path / "qupath", images))
    assert list(project) == [
        "version", "createTimestamp", "modifyTimestamp", "uri", "lastID", "images"
    ]  # fmt: skip
    assert project["lastID"] == 2
    slide, flat = project["images"]
    for number, entry in enumerate((slide, flat), start=1):
        assert entry["entryID"] == number
        assert str(uuid.UUID(entry["randomizedName"])) == entry["randomizedName"]
        assert entry["metadata"] == {}  # QuPath asks whether it is empty
        assert entry["serverBuilder"]["builderType"] == "uri"
        assert entry["serverBuilder"]["args"] == []
    assert slide["serverBuilder"]["uri"] == (tmp_path / "slide ä.tiff").as_uri()
    assert "slide%20%C3%A4.tiff" in slide["serverBuilder"]["uri"]
    assert slide["imageName"] == "slide ä.tiff"
    assert slide["serverBuilder"]["providerClassName"] == OPENSLIDE
    assert flat["serverBuilder"]["providerClassName"] == BIO_FORMATS


def test_the_script_finds_the_results_of_each_image_also_when_all_is_moved(tmp_path, images):
    folder = write_project(tmp_path / "qupath" / "demo", images).parent
    listed = read(folder / "results.json")
    assert list(listed) == ["1", "2"]
    assert [os.path.normpath(folder / each) for each in listed["1"]] == [
        str(path) for path in next(iter(images.values()))
    ]
    assert not any(os.path.isabs(each) for each in listed["1"] + listed["2"])
    script = (folder / "scripts" / SCRIPT).read_text(encoding="utf-8")
    # a placeholder that only this function of QuPath resolves
    assert script.count("buildFilePath(PROJECT_BASE_DIR, ") == script.count("PROJECT_BASE_DIR") == 2


def test_what_people_made_in_qupath_is_kept(tmp_path, images):
    file = write_project(tmp_path / "qupath", images)
    drawn = file.parent / "data" / "1" / "data.qpdata"
    drawn.parent.mkdir(parents=True)
    drawn.write_bytes(b"annotations")
    project = read(file)
    project["images"][0] |= {"imageName": "renamed", "description": "seen on Monday"}
    project["images"][0]["serverBuilder"]["metadata"] = {"width": 512}
    file.write_text(json.dumps(project), encoding="utf-8")
    another = pyramid(tmp_path / "0.tiff", waves(256, 256))
    write_project(tmp_path / "qupath", {another: [tmp_path / "3.geojson"]} | images)
    after = read(file)
    assert after["images"][:2] == project["images"]
    assert [entry["entryID"] for entry in after["images"]] == [1, 2, 3]
    assert after["lastID"] == 3
    assert drawn.read_bytes() == b"annotations"


def test_a_second_run_changes_nothing(tmp_path, images):
    folder = write_project(tmp_path / "qupath", images).parent
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(before) == 3
    write_project(folder, images)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NO_BUILDER = '{"images": [{"entryID": 1, "serverBuilder": null}]}'


@pytest.mark.parametrize(
    "text", ["", "{}", '{"images": [{"entryID": 1}]}', NO_BUILDER, '{"images": 3}', "[]"]
)
def test_a_damaged_project_is_refused_with_the_way_out(tmp_path, images, text):
    (tmp_path / "project.qpproj").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=r"project\.qpproj is no QuPath project .*\.backup"):
        write_project(tmp_path, images)
    assert (tmp_path / "project.qpproj").read_text(encoding="utf-8") == text
