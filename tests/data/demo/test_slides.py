import csv
import importlib.util

import numpy as np
import openslide
import pytest
import tifffile
from conftest import CONFIG, ROOT
from scipy.ndimage import label

from cryotome.core.cards import load_card
from cryotome.data.demo.cohorts import COHORTS, DemoCohort, cohort_slides
from cryotome.data.demo.slides import (
    LABORATORIES,
    draw_slide,
    make_cohort_slides,
    write_cohort_tables,
)
from cryotome.data.images import open_image


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Fourteen small slides of the cohort and their tables."""
    folder = tmp_path_factory.mktemp("cohort")
    cohort = DemoCohort("DC", 14, side=160)
    make_cohort_slides(cohort, folder)
    write_cohort_tables(folder / "labels.csv", folder / "slides.csv", cohort_slides(cohort))
    return folder


def test_slides_are_pyramids_that_say_their_resolution_but_one(folder):
    slide = openslide.OpenSlide(folder / "DC-001-DX1.tiff")
    assert slide.level_dimensions == ((160, 160), (40, 40))
    mpps = {
        slide.name: open_image(folder / f"{slide.name}.tiff").mpp
        for slide in cohort_slides(DemoCohort("DC", 14))
    }
    assert [name for name, mpp in mpps.items() if mpp is None] == ["DC-002-DX2"]
    assert {round(mpp, 4) for mpp in mpps.values() if mpp} == {0.5}
    with tifffile.TiffFile(folder / "DC-001-DX1.tiff") as tiff:
        assert tiff.pages.first.description == "synthetic demo cohort"


def test_the_second_level_is_the_mean_of_the_first(folder):
    with tifffile.TiffFile(folder / "DC-001-DX1.tiff") as tiff:
        first, second = (page.asarray() for page in tiff.pages)
    assert np.abs(first.reshape(40, 4, 40, 4, 3).mean(axis=(1, 3)) - second).max() <= 1


def test_one_slide_is_glass(folder):
    glass, tissue = (tifffile.imread(folder / f"{n}.tiff") for n in ("DC-004-DX2", "DC-004-DX1"))
    assert glass.min() > 200
    assert (tissue.min(axis=2) < 200).mean() > 0.2


def test_tables_are_as_the_card_says(folder):
    card = load_card(CONFIG, "datasets", "demo_cohort")
    with open(folder / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels = card["labels"]
    assert set(rows[0]) == {labels["patient"], labels["target"], *labels["where"]}
    mine = [row for row in rows if row["Project"] in labels["where"]["Project"]]
    known = [
        row for row in mine if row[labels["target"]] in labels["positive"] + labels["negative"]
    ]
    positive = [row for row in mine if row[labels["target"]] in labels["positive"]]
    assert {"labelled": len(known), "positive": len(positive)} == card["expect"]
    assert (len(rows), len(mine)) == (12, 11)  # one of another project, one without label
    lines = (folder / "slides.csv").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["FILENAME,PATIENT", "DC-001-DX1,DC-001", "DC-002-DX1,DC-002"]
    assert len(lines) == 15


def test_the_external_card_expects_what_the_external_cohort_holds():
    card = load_card(CONFIG, "datasets", "demo_external")
    known = [slide.label for slide in cohort_slides(COHORTS["demo_external"])]
    assert card["expect"] == {"labelled": len(known), "positive": known.count("MSI-H")}
    assert "synthetic" in card


def dark_round(pixels):
    """Count dark pieces of the size of a lymphocyte."""
    pieces, _ = label(pixels[..., 0] < 110)
    sizes = np.bincount(pieces.ravel())[1:]
    return int(((sizes > 30) & (sizes < 150)).sum())


@pytest.mark.parametrize("laboratory", LABORATORIES)
def test_lymphocytes_are_the_signal(laboratory):
    def count(share):
        return dark_round(
            draw_slide(np.random.default_rng(3), laboratory, side=480, share=share)[0]
        )

    few, many = count(0.05), count(0.5)
    assert many > 3 * few > 0


def test_stain_differs_between_the_cohorts():
    own, other = (
        draw_slide(np.random.default_rng(3), laboratory, side=320, share=0.2)
        for laboratory in LABORATORIES
    )
    assert (own[1] == other[1]).all()  # the same tissue
    assert np.abs(own[0][own[1]].mean(axis=0) - other[0][other[1]].mean(axis=0)).max() > 8


def test_the_slides_are_seeded(folder, tmp_path):
    make_cohort_slides(DemoCohort("DC", 14, side=160), tmp_path)
    for name in ("DC-001-DX1", "DC-004-DX2"):
        first, second = ((f / f"{name}.tiff").read_bytes() for f in (folder, tmp_path))
        assert first == second


def test_the_script_writes_all_that_its_rule_promises(tmp_path):
    path = ROOT / "workflow" / "scripts" / "make_demo_slides.py"
    spec = importlib.util.spec_from_file_location("make_demo_slides", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    named = cohort_slides(COHORTS["demo_external"])
    slides = [tmp_path / "slides" / f"{slide.name}.tiff" for slide in named]
    tables = [tmp_path / "labels.csv", tmp_path / "slides.csv"]
    module.main(slides, *tables, 1, "demo_external")
    assert all(path.exists() for path in [*slides, *tables])
