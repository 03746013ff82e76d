import json

import numpy as np
import openslide
import pytest
import tifffile

from cryotome.data.demo.mitoses import (
    CELLS,
    DOMAINS,
    SLIDES,
    draw_tissue,
    make_midog_set,
    make_sliderunner_set,
)
from cryotome.data.images import open_image


def test_three_domains_of_eight_regions_in_midogs_format(cohort):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    assert len(content["images"]) == 3 * SLIDES == 24
    assert len(content["annotations"]) == 24 * CELLS
    assert {image["tumor_type"] for image in content["images"]} == set(DOMAINS)
    assert content["info"] == "synthetic demo cohort"
    boxes = np.array([entry["bbox"] for entry in content["annotations"]])
    assert (boxes[:, 2:] - boxes[:, :2] == 50).all()


def test_regions_are_flat_tiffs_with_resolution_tags(cohort):
    image = open_image(cohort / "images" / "001.tiff")
    assert image.mpp == pytest.approx(DOMAINS["demo breast"].mpp, rel=1e-3)
    assert openslide.OpenSlide.detect_format(cohort / "images" / "001.tiff") is None
    with tifffile.TiffFile(cohort / "images" / "001.tiff") as tiff:
        assert tiff.pages.first.is_memmappable


def test_slides_are_pyramids_that_openslide_opens(tmp_path):
    make_sliderunner_set(tmp_path / "a.sqlite", tmp_path / "images", side=512)
    slide = openslide.OpenSlide(tmp_path / "images" / "slide_1.tiff")
    assert slide.level_dimensions == ((512, 512), (128, 128))
    assert open_image(tmp_path / "images" / "slide_1.tiff").mpp == pytest.approx(0.25, rel=1e-3)


def test_the_tissue_is_seeded(cohort, tmp_path):
    make_midog_set(tmp_path / "a.json", tmp_path / "images", side=300)
    assert (tmp_path / "a.json").read_bytes() == (cohort / "annotations.json").read_bytes()
    first, second = (tifffile.imread(f / "images" / "017.tiff") for f in (tmp_path, cohort))
    assert (first == second).all()


def test_both_classes_are_drawn_and_nuclei_are_dark():
    domain = DOMAINS["demo breast"]
    pixels, centres, labels = draw_tissue(np.random.default_rng(0), domain, 600)
    assert 0.2 < labels.mean() < 0.7
    dark = [pixels[y, x].mean() for x, y in centres]
    assert np.mean(dark) < pixels.mean() - 40
