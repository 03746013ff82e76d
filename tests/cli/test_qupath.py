import json

import pytest
from conftest import CONFIG

from cryotome.cli.qupath import main
from cryotome.core.errors import CryotomeError, DataError


@pytest.fixture
def results(tmp_path, monkeypatch, cohort):
    """The demo's folder of results, with its regions and a file over two of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/demo/rois").mkdir(parents=True)
    (tmp_path / "results/demo/rois/images").symlink_to(cohort / "images")
    for name in ("001.tiff", "002.tiff"):
        put(tmp_path, f"studies/demo/atlas/demo_rois/slides/{name}.geojson", image=name)
    return tmp_path / "results"


def put(folder, name, **about):
    path = folder / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    collection = {"type": "FeatureCollection", "dataset": "demo_rois", **about, "features": []}
    path.write_text(json.dumps(collection), encoding="utf-8")


def test_every_image_with_results_is_in_the_project(results, capsys):
    project = main("demo", CONFIG)
    assert project.as_posix() == "results/qupath/demo/project.qpproj"
    images = json.loads(project.read_text(encoding="utf-8"))["images"]
    assert [image["imageName"] for image in images] == ["001.tiff", "002.tiff"]
    listed = json.loads((project.parent / "results.json").read_text(encoding="utf-8"))
    assert listed["1"] == ["../../studies/demo/atlas/demo_rois/slides/001.tiff.geojson"]
    said = capsys.readouterr().out
    assert "2 images, 2 files of results" in said
    assert "left out" not in said


def test_results_whose_image_is_not_on_disk_are_named(results, tmp_path, capsys):
    put(tmp_path, "studies/demo/atlas/demo_rois/slides/gone.tiff.geojson", image="gone.tiff")
    main("demo", CONFIG)
    said = capsys.readouterr().out
    assert "not on disk: 1, such as results/studies/demo/atlas/demo_rois/slides/gone" in said
    assert "2 images, 2 files" in said


def test_a_study_without_results_says_what_writes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CryotomeError, match=r"no GeoJSON file .*error atlas, .* `apply:`"):
        main("demo", CONFIG)
    assert not (tmp_path / "results").exists()


def test_a_damaged_file_is_named(results):
    file = results / "studies/demo/atlas/demo_rois/slides/001.tiff.geojson"
    file.write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"001\.tiff\.geojson is no GeoJSON"):
        main("demo", CONFIG)
