import json

import pandas as pd
import pytest
from dataset_cells import class_counts, read_dataset

from cryotome.core.errors import DataError
from cryotome.data.annotations.midog import read_midog_json
from cryotome.data.cells import read_cells

CARD = {
    "reader": "midog_json",
    "classes": [{"name": "look-alike", "id": 2}, {"name": "mitotic figure", "id": 1}],
    "domains": {"lab": {"title": "lab", "where": {}}},
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
    cells = read(tmp_path, found, ignore=["unclear"], image_number_shift=[[1, 5, 0]], extra=extra)
    assert cells["image"].tolist() == ["001.tiff", "001.tiff", "001.tiff", "002.tiff"]
    said = capsys.readouterr().err
    assert "a.json: 1 of 4 images have no annotations\n" in said
    assert "a.json: 1 cells more are the card's `extra`\n" in said
    line = next(line for line in said.splitlines() if "annotations found" in line)
    assert "a.json: 5 annotations found, 3 read, 2 passed over: " in line
    assert "1 of class 3 (`ignore`)" in line
    assert "1 on images that `image_number_shift` leaves out" in line


def test_two_images_are_never_renumbered_to_one(tmp_path):
    with pytest.raises(DataError, match=r"002.tiff and 001.tiff would both be named 011.tiff"):
        read(tmp_path, content(1, 2), image_number_shift=[[2, 2, 9], [1, 1, 10]])


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
    cells = read(tmp_path, content(1, 2, 1, 2), image_number_shift=[[1, 3, 10]])
    assert cells["image"].tolist() == ["011.tiff", "012.tiff", "012.tiff", "013.tiff"]
    assert cells["source_row"].tolist() == [0, 1, 2, 3]


def test_midogpp_has_11937_mitotic_figures_on_503_images(shared):
    cells = read_dataset("midogpp", shared)
    assert (cells["label"].sum(), (1 - cells["label"]).sum()) == (11937, 14349)
    assert cells["image"].nunique() == 503


def test_midog2022_has_9501_mitotic_figures_and_11051_look_alikes(shared):
    cells = read_dataset("midog2022", shared)
    assert (cells["label"].sum(), (1 - cells["label"]).sum()) == (9501, 11051)
    assert cells["image"].nunique() == 354
    assert class_counts(cells) == {
        "human_breast": (1721, 2714), "canine_lung": (855, 952), "canine_lymphoma": (3959, 4257),
        "canine_mast_cell": (2327, 1366), "human_neuroendocrine": (639, 1762),
    }  # fmt: skip


def test_midog2022_counts_every_slide_as_the_reference_does(shared):
    cells = read_dataset("midog2022", shared)
    reference = pd.read_csv(shared / "midogpp" / "midog2022_per_slide.csv").set_index("filename")
    found = cells.groupby("image")["label"].agg(mf="sum", both="size")
    assert (found["mf"] == reference["mf"].reindex(found.index)).all()
    both = reference["mf"] + reference["lookalike"]
    assert (found["both"] == both.reindex(found.index)).all()


def test_the_two_extra_look_alikes_are_where_they_should_be(shared):
    cells = read_dataset("midog2022", shared)
    extra = cells[cells["image"].isin(["151.tiff", "353.tiff"]) & (cells["label"] == 0)]
    assert {(180.0, 40.0), (5149.0, 382.0)} <= set(zip(extra["x"], extra["y"], strict=True))


def test_boxes_as_corner_and_size_are_refused(cohort, demo_card, tmp_path):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    for entry in content["annotations"]:
        entry["bbox"][2:] = [50, 50]
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"a.json: annotation 1 has bbox .* not a 50 x 50 px pair of corners"
    ):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<!DOCTYPE html><html>", r"a.json is not MIDOG's JSON .* begins with '<!DOCTYPE html>"),
        ('{"images": []}', r"is not MIDOG's JSON \(KeyError: 'annotations'\)"),
        ('{"annotations": [', r"is not MIDOG's JSON \(JSONDecodeError"),
    ],
)
def test_what_is_no_json_of_midog_is_refused(demo_card, tmp_path, content, said):
    (tmp_path / "a.json").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_cells(tmp_path / "a.json", tmp_path, demo_card, "d")


def test_an_annotation_of_an_unlisted_image_or_class_is_refused(cohort, demo_card, tmp_path):
    for key, value, said in (
        ("image_id", 999, r"annotation 1 lies on image 999, which `images` does not list"),
        ("category_id", 3, r"annotation 1 has label '3' \(1 such labels\)"),
    ):
        content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
        content["annotations"][0][key] = value
        (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(DataError, match=said):
            read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


@pytest.mark.parametrize(
    "box", [None, [1, 2, 3], "1 2 3 4", [1, 2, 3, float("nan")], [1, 2, 3, "4"]]
)
def test_a_box_that_is_not_four_numbers_is_named(cohort, demo_card, tmp_path, box):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    content["annotations"][4]["bbox"] = box
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"a.json: annotation 5 has bbox .* not four numbers"):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


@pytest.mark.parametrize(
    ("part", "place", "change", "said"),
    [
        ("images", 1, {"id": 1}, r"two images share an id, or one has none: 1"),
        ("images", 1, {"file_name": None}, r"two images share a file name, or one has none"),
        ("annotations", 4, {"category_id": None}, r"annotation 5 has no category_id"),
    ],
)
def test_json_that_contradicts_itself_is_named(
    cohort, demo_card, tmp_path, part, place, change, said
):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    content[part][place] |= change
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


@pytest.mark.parametrize("many", [2, 80_000])  # which took the square of their number
def test_json_with_one_key_twice_among_many_is_refused(tmp_path, demo_card, many):
    keys = ", ".join(f'"k{n}": 0' for n in range(many))
    path = tmp_path / "a.json"
    path.write_text(f'{{{keys}, "k{many - 1}": 0}}', encoding="utf-8")
    with pytest.raises(DataError, match=f"the key 'k{many - 1}' twice"):
        read_midog_json(path, tmp_path, demo_card)
