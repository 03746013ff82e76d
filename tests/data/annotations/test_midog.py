import json

import pytest

from cryotome.core.errors import DataError
from cryotome.data.annotations.midog import read_midog_json
from cryotome.data.cells import read_cells

CARD = {
    "reader": "midog_json",
    "classes": [{"name": "look-alike", "is": 2}, {"name": "mitotic figure", "is": 1}],
    "domains": {"all": {"title": "all", "where": {}}},
    "reading": {"box": 50},
}
KINDS = [{"id": 1, "name": "mitotic figure"}, {"id": 2, "name": "not mitotic figure"}]


def content(*labels, files=("002.tiff", "001.tiff", "003.tiff"), kinds=KINDS):
    """One annotation a label, on the images in turn."""
    images = [{"id": n, "file_name": f, "width": 300, "height": 200} for n, f in enumerate(files)]
    rows = [
        {"id": n, "image_id": n % len(files), "category_id": label, "bbox": [n, 0, n + 50, 50]}
        for n, label in enumerate(labels)
    ]
    return {"images": images, "annotations": rows, "categories": kinds}


def read(folder, content, encoding="utf-8", **reading):
    (folder / "a.json").write_bytes(json.dumps(content).encode(encoding))
    card = CARD | {"reading": CARD["reading"] | reading}
    return read_cells(folder / "a.json", folder / "images", card, "d")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_is_read_in_each_encoding_that_json_may_have(tmp_path, encoding):
    assert read(tmp_path, content(1, 2), encoding)["label"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("bytes_", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git-LFS pointer; `git lfs pull`"),
        (b"\x1f\x8b\x08\x00", "gzip; unpack it"),
        (b"<!doctype html>", "an HTML page"),
        (b"", "an empty file"),
    ],
)
def test_what_stands_in_place_of_json_is_named(tmp_path, bytes_, said):
    (tmp_path / "a.json").write_bytes(bytes_)
    with pytest.raises(DataError, match=f"(?s)a.json is not MIDOG's JSON .*{said}"):
        read_cells(tmp_path / "a.json", tmp_path, CARD, "d")


def test_categories_that_contradict_the_card_stop(tmp_path):
    swapped = [{"id": 2, "name": "mitotic figure"}, {"id": 1, "name": "not mitotic figure"}]
    with pytest.raises(DataError, match=r"a.json: `categories` calls class 2 'mitotic figure', an"):
        read(tmp_path, content(1, 2, kinds=swapped))
    with pytest.raises(DataError, match=r"`categories` lists the id 1 twice"):
        read(tmp_path, content(1, 2, kinds=[*KINDS, {"id": 1, "name": "other"}]))
    with pytest.raises(DataError, match=r"is not MIDOG's JSON"):
        read(tmp_path, content(1, 2, kinds=["mitotic figure"]))


def test_a_file_without_categories_is_read_by_the_ids_of_the_card(tmp_path):
    found = content(1, 2)
    del found["categories"]
    assert read(tmp_path, found)["label"].tolist() == [0, 1]


def test_what_is_passed_over_is_counted(tmp_path, capsys):
    kinds = [*KINDS, {"id": 3, "name": "unclear"}]
    found = content(1, 2, 3, 1, 2, files=("001.tiff", "002.tiff", "700.tiff"), kinds=kinds)
    found["annotations"][4]["image_id"] = 2
    found["images"].append({"id": 9, "file_name": "005.tiff"})
    extra = [{"image": "001.tiff", "x": 5, "y": 5, "class": "look-alike"}]
    cells = read(tmp_path, found, ignore=["unclear"], renumber=[[1, 5, 0]], extra=extra)
    assert cells["image"].tolist() == ["001.tiff", "001.tiff", "001.tiff", "002.tiff"]
    said = capsys.readouterr().err
    assert "a.json: 1 of 4 images have no annotations\n" in said
    assert "a.json: 1 cells more are the card's `extra`\n" in said
    line = next(line for line in said.splitlines() if "annotations found" in line)
    assert "a.json: 5 annotations found, 3 read, 2 passed over: " in line
    assert "1 of class 3 (`ignore`)" in line
    assert "1 on images that `renumber` leaves out" in line


def test_two_images_are_never_renumbered_to_one(tmp_path):
    with pytest.raises(DataError, match=r"002.tiff and 001.tiff would both be named 011.tiff"):
        read(tmp_path, content(1, 2), renumber=[[2, 2, 9], [1, 1, 10]])


def test_names_that_differ_by_composition_are_one(tmp_path):
    with pytest.raises(DataError, match="two images share a file name"):
        read(tmp_path, content(1, 2, files=("u\u0308.tiff", "\u00fc.tiff")))


def test_sizes_of_images_are_given_on(tmp_path):
    found = content(1, 2)
    del found["images"][1]["width"]
    found["images"][0]["height"] = "tall"
    (tmp_path / "a.json").write_text(json.dumps(found), encoding="utf-8")
    cells = read_midog_json(tmp_path / "a.json", tmp_path, CARD)
    assert cells["width"].fillna(-1).tolist() == [300, -1]
    assert cells["height"].fillna(-1).tolist() == [-1, 200]


def test_source_row_is_the_order_of_the_file(tmp_path):
    cells = read(tmp_path, content(1, 2, 1, 2))
    assert cells["image"].tolist() == ["001.tiff", "002.tiff", "002.tiff", "003.tiff"]
    assert cells["source_row"].tolist() == [1, 0, 3, 2]


def test_source_row_of_a_renumbered_dataset_is_the_order_of_its_own_images(tmp_path):
    cells = read(tmp_path, content(1, 2, 1, 2), renumber=[[1, 3, 10]])
    assert cells["image"].tolist() == ["011.tiff", "012.tiff", "012.tiff", "013.tiff"]
    assert cells["source_row"].tolist() == [0, 1, 2, 3]
