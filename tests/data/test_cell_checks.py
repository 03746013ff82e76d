import json
import sqlite3

import numpy as np
import pytest
import tifffile
from dataset_cells import read_dataset
from PIL import Image

from cryotome.core.errors import DataError
from cryotome.data.cell_checks import check_late_images
from cryotome.data.cells import read_cells


def test_wrong_counts_stop_the_reading(shared):
    expect = {"images": 354, "cells": {"human_breast": [1721, 2714]}}
    with pytest.raises(DataError, match=r"human_breast has \[2714, 1721\] .* not \[1721, 2714\]"):
        read_dataset("midog2022", shared, expect=expect)


POINTS = {"lab": {"title": "lab", "where": {}}}


SIZED = {"classes": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "domains": POINTS}


def coco(path, **size):
    rows = [{"image_id": 1, "category_id": k, "bbox": [0, 0, 50, 50], "id": k} for k in (1, 2)]
    path.write_text(
        json.dumps({"images": [{"id": 1, "file_name": "s.tiff"} | size], "annotations": rows}),
        encoding="utf-8",
    )
    return SIZED | {"reader": "midog_json", "reading": {"box": 50}}


def sliderunner(path, **size):
    with sqlite3.connect(path) as base:
        base.execute("CREATE TABLE Slides (uid, filename, width, height)")
        base.execute("CREATE TABLE Annotations (uid, slide, type, agreedClass)")
        base.execute("CREATE TABLE Annotations_coordinates (annoId, coordinateX, coordinateY)")
        both = (size.get("width"), size.get("height"))
        base.execute("INSERT INTO Slides VALUES (1, 's.tiff', ?, ?)", both)
        for kind in (1, 2):
            base.execute("INSERT INTO Annotations VALUES (?, 1, 1, ?)", [kind, kind])
            base.execute("INSERT INTO Annotations_coordinates VALUES (?, 25, 25)", [kind])
    base.close()
    return SIZED | {"reader": "sliderunner_sqlite"}


FORMS = {"a.json": coco, "a.sqlite": sliderunner}


IMAGES = {
    "flat": lambda path, pixels: tifffile.imwrite(path, pixels, photometric="rgb"),
    "slide": lambda path, pixels: tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64)),
    "PNG": lambda path, pixels: Image.fromarray(pixels).save(path.with_suffix(".png")),
}


@pytest.mark.parametrize("kind", IMAGES)
@pytest.mark.parametrize("form", FORMS)
def test_sizes_that_annotations_say_are_those_of_the_images(tmp_path, form, kind, capsys):
    IMAGES[kind](tmp_path / "s.tiff", np.zeros((192, 256, 3), np.uint8))
    card = FORMS[form](tmp_path / form, width=256, height=192)
    assert len(read_cells(tmp_path / form, tmp_path, card, "d")) == 2
    assert "d: sizes of 1 of 1 images compared" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "height"), [(192, 256), (512, 384), (256, 191)])
@pytest.mark.parametrize("form", FORMS)
def test_a_size_that_contradicts_the_image_names_both(tmp_path, form, width, height):
    IMAGES["flat"](tmp_path / "s.tiff", np.zeros((192, 256, 3), np.uint8))
    card = FORMS[form](tmp_path / form, width=width, height=height)
    said = rf"s.tiff: 256 x 192 px, and {width} x {height} px in the .*{form}"
    with pytest.raises(DataError, match=said):
        read_cells(tmp_path / form, tmp_path, card, "d")
    (tmp_path / "s.tiff").unlink()  # nothing to compare with
    assert len(read_cells(tmp_path / form, tmp_path, card, "d")) == 2


@pytest.mark.parametrize("size", [{}, {"width": None, "height": None}, {"width": 0, "height": 0}])
@pytest.mark.parametrize("form", FORMS)
def test_sizes_that_are_none_say_nothing(tmp_path, form, size):
    IMAGES["flat"](tmp_path / "s.tiff", np.zeros((192, 256, 3), np.uint8))
    card = FORMS[form](tmp_path / form, **size)
    assert len(read_cells(tmp_path / form, tmp_path, card, "d")) == 2


@pytest.mark.parametrize("form", FORMS)
def test_images_that_come_after_their_cells_were_read_are_held_against_them_too(tmp_path, form):
    card = FORMS[form](tmp_path / form, width=512, height=384)
    assert len(read_cells(tmp_path / form, tmp_path, card, "d")) == 2
    IMAGES["flat"](tmp_path / "s.tiff", np.zeros((192, 256, 3), np.uint8))
    with pytest.raises(DataError, match=r"s.tiff: 256 x 192 px, and 512 x 384 px"):
        check_late_images([tmp_path / form], tmp_path, card, "d")


def test_width_and_height_in_a_table_are_those_of_a_box_perhaps(tmp_path):
    IMAGES["flat"](tmp_path / "s.tiff", np.zeros((192, 256, 3), np.uint8))
    (tmp_path / "a.csv").write_text(
        "x,y,label,filename,width,height\n9,9,1,s.tiff,50,50\n60,60,2,s.tiff,50,50\n",
        encoding="utf-8",
    )
    card = SIZED | {"reader": "table"}
    assert len(read_cells(tmp_path / "a.csv", tmp_path, card, "d")) == 2
