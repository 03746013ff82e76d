import numpy as np
import pandas as pd
import tifffile
from conftest import CONFIG, cut
from sklearn.metrics import balanced_accuracy_score

from cryotome.core.cards import load_card
from cryotome.data.cells import read_cells
from cryotome.data.demo.tissue import ABROAD, CLASSES, EXTERNAL, HOME, TRAINING, make_tissue
from cryotome.data.images import open_image
from cryotome.data.patches import read_patches
from cryotome.encoders.colour_histogram import colour_histogram
from cryotome.learners.probes.logistic import fit_logistic


def test_both_sets_are_what_their_cards_expect_and_say_that_they_are_invented(tissue):
    for name, count in (("demo_tissue", TRAINING), ("demo_tissue_external", EXTERNAL)):
        card = load_card(CONFIG, "datasets", name)
        at = tissue / card["annotations"].removeprefix("demo/tissue/")
        cells = read_cells(at, at.with_suffix(""), card, name)
        assert cells["label"].value_counts().to_dict() == dict.fromkeys(range(9), count)
        assert [entry["id"] for entry in card["classes"]] == list(CLASSES)
        assert card["synthetic"] == "synthetic demo cohort"
        assert set(pd.read_csv(at)["notice"]) == {"synthetic demo cohort"}
    image = tissue / "training" / "ADI" / "ADI-000.tif"
    assert (open_image(image).size, round(open_image(image).mpp, 3)) == ((64, 64), 0.5)
    with tifffile.TiffFile(image) as tiff:
        assert tiff.pages.first.description == "synthetic demo cohort"


def test_the_patches_are_those_of_the_files(tissue):
    """The stored margin beyond a patch of 64 px is its mirror."""
    card = load_card(CONFIG, "datasets", "demo_tissue_external")
    cells = read_cells(tissue / "external.csv", tissue / "external", card, "d")
    cells.to_csv(tissue / "cells.csv", index=False)
    cut(tissue / "patches.h5", tissue / "cells.csv", tissue / "external", card)
    patches, ids, about = read_patches(tissue / "patches.h5", cells=tissue / "cells.csv")
    assert (patches.shape, about["seen"]) == ((108, 78, 78, 3), 64)
    image = cells.set_index("id").loc[ids[40], "image"]
    assert (patches[40, 7:-7, 7:-7] == tifffile.imread(tissue / "external" / image)).all()


def test_the_tissue_is_seeded(tissue, tmp_path):
    make_tissue(tmp_path / "a.csv", tmp_path / "a", count=2, domain=ABROAD, seed=4)
    for name in ("ADI-001", "TUM-000"):
        file = f"{name[:3]}/{name}.tif"
        assert (tmp_path / "a" / file).read_bytes() == (tissue / "external" / file).read_bytes()
    make_tissue(tmp_path / "b.csv", tmp_path / "b", count=1, domain=HOME, seed=4)
    first, other = (tifffile.imread(tmp_path / f / "LYM/LYM-000.tif") for f in "ab")
    assert first.mean() != other.mean()  # another stain


def test_colour_tells_much_and_not_all(tissue):
    """Far above the ninth of chance, far below 1."""
    sets = [
        np.stack([tifffile.imread(p) for p in sorted((tissue / part).glob("*/*.tif"))])
        for part in ("training", "external")
    ]
    learns, tests = (colour_histogram(pixels, bins=16) for pixels in sets)
    label = np.repeat(np.arange(9), TRAINING), np.repeat(np.arange(9), EXTERNAL)
    fit, _ = fit_logistic(learns, label[0], penalty=0.01, iterations=1000, tolerance=1e-4)
    scores = fit.score(tests)
    assert 0.4 < balanced_accuracy_score(label[1], scores.argmax(axis=1)) < 0.85
