"""Golden numbers of the expensive steps. If a change here is intended, bump the recipe."""

import hashlib

import h5py
import numpy as np
import pytest
import tifffile
from conftest import CONFIG, windows_of

from cryotome.core import step_versions
from cryotome.core.cards import load_card, tiling_of
from cryotome.data.cells import load_cells, read_cells
from cryotome.data.demo.cohorts import COHORTS, DemoCohort, cohort_slides
from cryotome.data.demo.mitoses import DOMAINS, draw_tissue
from cryotome.data.demo.slides import make_cohort_slides
from cryotome.data.images import _Flat
from cryotome.data.place_windows import place_windows
from cryotome.data.slides.tile_store import read_tiles, write_tiles
from cryotome.data.splits.cells import draw_split
from cryotome.data.windows import cut_patch
from cryotome.encoders.bag_store import read_bag
from cryotome.encoders.embed_slide import write_bag
from cryotome.encoders.embedders import ComputeSettings, ModelView, embedder_of_store
from cryotome.encoders.embedding_store import write_embeddings

HINT = "If the change of numbers is intended, bump {} in workflow/cryotome/core/step_versions.py and this test."


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return draw_tissue(np.random.default_rng(0), DOMAINS["demo lung"], 200)[0]


def flat(pixels: np.ndarray) -> _Flat:
    image = _Flat.__new__(_Flat)
    image._pixels, image.size, image.mpp = pixels, pixels.shape[1::-1], 0.25
    return image


def test_demo(pixels):
    golden = {2: [176.35, 131.93, 163.27]}
    assert pixels.mean((0, 1)) == pytest.approx(golden[step_versions.DEMO], abs=0.02), HINT.format(
        "DEMO"
    )


def test_cells(cohort, demo_card):
    cells = read_cells(cohort / "annotations.json", cohort / "images", demo_card, "demo_rois")
    found = hashlib.sha256(cells.to_csv(index=False).encode()).hexdigest()[:16]
    golden = {2: "08205fb51f998768"}
    assert found == golden[step_versions.CELLS], HINT.format("CELLS")


@pytest.mark.parametrize(
    ("scheme", "card", "size"),
    [
        ("random", "random", None),
        ("slide_grouped", "slide_grouped", None),
        ("from_left", "from_domain", None),
        ("no_overlap", "no_overlap", None),
        ("except_left", "except_domain", None),
        ("no_overlap", "no_overlap", 100),
    ],
)
def test_splits(placed, scheme, card, size):
    windows, card = windows_of(placed, side=32, margin=4), load_card(CONFIG, "schemes", card)
    how = {"fraction": "1.0", "fold": 1, "windows": windows, "size": size}
    roles = draw_split(placed, card, scheme=scheme, **how).roles
    found = hashlib.sha256(roles.to_csv(index=False).encode()).hexdigest()[:16]
    golden = {
        1: {
            ("random", None): "5d385e5e9e2af8fd",
            ("slide_grouped", None): "78a763509bbf9f53",
            ("from_left", None): "733d4eddfad90031",
            ("no_overlap", None): "e9c3740817d10d0b",
            ("except_left", None): "4b6d14e223505db4",
            ("no_overlap", 100): "ce96e31032ddfdde",
        }
    }
    assert found == golden[step_versions.SPLITS][scheme, size], HINT.format("SPLITS")


def test_windows(store, cohort, demo_card):
    cells = load_cells(cohort / "cells.csv")
    table = place_windows(cells, store, cohort / "images", demo_card)
    found = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()[:16]
    golden = {1: "1750e87c03035159"}
    assert found == golden[step_versions.WINDOWS], HINT.format("WINDOWS")


def test_patches(pixels):
    patch = cut_patch(flat(pixels), 20, 100, side=64, scale=1.3, border="reflect")
    golden = {2: [175.79, 131.06, 162.52]}
    assert patch.mean((0, 1)) == pytest.approx(golden[step_versions.PATCHES], abs=0.02), (
        HINT.format("PATCHES")
    )


def test_embeddings(store, tmp_path):
    card = load_card(CONFIG, "models", "resnet10t_random")
    compute = ComputeSettings(tmp_path, "cpu", 2, tmp_path / "batches")
    embedder = embedder_of_store(store, ModelView("r", card, "paper-fp32"), compute)
    write_embeddings(tmp_path / "e.h5", store, embedder, partial=tmp_path / "partial")
    with h5py.File(tmp_path / "e.h5") as file:
        x = file["embedding"][:]
    found = [float(x.mean()), float(x.std()), float(x[7].max())]
    golden = {2: [0.0526485, 0.0745312, 0.382572]}
    assert found == pytest.approx(golden[step_versions.EMBEDDINGS], rel=1e-3), HINT.format(
        "EMBEDDINGS"
    )


@pytest.mark.large
def test_endtoend():
    """Twenty steps move with every draw of sampler, augmentation, optimiser and cycle."""
    from tests.learners.endtoend.test_train import train

    found = train(steps=20, every=10)[1].curve["validation_loss"].tolist()
    golden = {2: [0.407637, 0.061036]}
    assert found == pytest.approx(golden[step_versions.ENDTOEND], rel=1e-2), HINT.format("ENDTOEND")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """An invented slide and its tiles."""
    folder = tmp_path_factory.mktemp("slide")
    make_cohort_slides(DemoCohort("DC", 1, side=320), folder)
    card = tiling_of(load_card(CONFIG, "datasets", "demo_cohort"), "classify")
    how = {"dataset": "d", "slide": "s", "partial": folder / "partial"}
    write_tiles(folder / "s.h5", folder / "DC-001-DX1.tiff", card, **how)
    return folder


def test_demo_slides(slide):
    pixels = tifffile.imread(slide / "DC-001-DX1.tiff")
    names = ",".join(part.name for part in cohort_slides(COHORTS["demo_cohort"]))
    found = [round(float(value), 1) for value in pixels.mean(axis=(0, 1))]
    golden = {1: ([216.3, 189.0, 226.7], "96680ba2")}
    hint = HINT.format("DEMO_SLIDES")
    assert (found, hashlib.sha256(names.encode()).hexdigest()[:8]) == golden[
        step_versions.DEMO_SLIDES
    ], hint


def test_tiles(slide):
    tiles = read_tiles(slide / "s.h5")
    found = len(tiles.coords), int(tiles.coords.sum()), float(tiles.tissue.sum())
    golden = {2: (12, 3136, 10.8125)}
    assert found == pytest.approx(golden[step_versions.TILES], rel=1e-3), HINT.format("TILES")


def test_bags(slide):
    model = ModelView("r", load_card(CONFIG, "models", "resnet10t_random"), "paper-fp32")
    compute, files = (
        ComputeSettings(slide, "cpu", 1, slide / "batches"),
        (slide / "b.h5", slide / "s.h5"),
    )
    write_bag(*files, slide / "DC-001-DX1.tiff", model, compute, partial=slide / "partial")
    x = read_bag(slide / "b.h5", model="r", view="paper-fp32").features
    found = [float(x.mean()), float(x.std()), float(x[3].max())]
    golden = {2: [0.0645777, 0.0907519, 0.49383]}
    assert found == pytest.approx(golden[step_versions.BAGS], rel=1e-3), HINT.format("BAGS")


def test_cohorts(tmp_path):
    from tests.data.splits.test_patients import card, people
    from tests.data.test_cohorts import OWN, labels_csv

    from cryotome.data.cohorts import join_cohort, read_labels, read_slides
    from cryotome.data.splits.patients import draw_patients

    path = labels_csv(tmp_path, "PATIENT,TARGET\na,MSIH\nb,nonMSIH\nc,\n")
    slides = read_slides(["a-2", "a-1", "b-1", "c-1"], pattern="^(.)-")
    tables = [*join_cohort(read_labels(path, OWN), slides, "c").tables]
    for scheme in ("patient_folds", "patient_folds_histobistro"):
        tables.append(draw_patients(people(20, 40), card(scheme), fold=1).roles)
    text = "".join(table.to_csv(index=False) for table in tables)
    golden = {1: "03e78b3b4539f1c3", 2: "03e78b3b4539f1c3"}  # 2: names of two datasets are two
    found = hashlib.sha256(text.encode()).hexdigest()[:16]
    assert found == golden[step_versions.COHORTS], HINT.format("COHORTS")


def test_mil():
    """Two epochs on 12 patients move with every draw of weights and order, and with AdamW."""
    from tests.learners.mil.test_train import CPU, fold_of, head, invented, score_patients

    (people, bags), (others, more) = invented(60, 0, "p"), invented(30, 1, "x")
    table = fold_of(people, others, bags | more)
    table = table.groupby(["role", "label"]).head(3).reset_index(drop=True)
    card = head("transformer_mil_short", epochs=2)
    notes = score_patients(bags | more, table, card, seed=0, device=CPU)[1]
    golden = {
        version: [0.898107, 1.193852] for version in (1, 2)
    }  # 2: slides of two datasets are two
    found = [look["validation_loss"] for look in notes["looks"]]
    assert found == pytest.approx(golden[step_versions.MIL], rel=1e-2), HINT.format("MIL")
