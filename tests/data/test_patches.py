import errno
import json
import os
import shutil
import signal

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, cut
from PIL import Image

from cryotome.core.cards import load_card
from cryotome.core.errors import CryotomeError, DataError, StoreError
from cryotome.core.store import PATCHES, provenance
from cryotome.data.images import open_image
from cryotome.data.patches import cut_image, mpp_range, patch_view, read_patches
from cryotome.data.windows import cut_patch


def seen(patch: np.ndarray, side: int) -> np.ndarray:
    edge = (len(patch) - side) // 2
    return patch[edge : edge + side, edge : edge + side]


def test_the_store_holds_every_cell_in_order(store, cohort, demo_card):
    patches, ids, stamps = read_patches(store, cells=cohort / "cells.csv")
    cells = pd.read_csv(cohort / "cells.csv")
    assert patches.shape == (48, 40, 40, 3)
    assert (ids == cells["id"]).all()
    last = cells.iloc[-1]
    image = open_image(cohort / "images" / last["image"])
    again = cut_patch(image, last["x"], last["y"], side=32, scale=1, border="reflect")
    assert (patches[-1] == again).all()
    assert stamps["seen"] == 32
    with h5py.File(store) as file:
        assert file["patch"].chunks is None  # contiguous


def test_threads_do_not_change_the_store(cohort, demo_card, store, tmp_path):
    cut(tmp_path / "p.h5", cohort / "cells.csv", cohort / "images", demo_card, threads=1)
    assert (
        provenance(tmp_path / "p.h5", PATCHES)["patches_sha256"]
        == provenance(store, PATCHES)["patches_sha256"]
    )


def test_class_folder_images_are_cut_around_their_own_centre(shared, tmp_path):
    card = load_card(CONFIG, "datasets", "amibr")
    cells = pd.DataFrame(
        {"id": [0], "image": ["Normal/MIDOG21_6.png"], "x": [4422.0], "y": [216.0]}
    )
    cells.to_csv(tmp_path / "cells.csv", index=False)
    cut(tmp_path / "p.h5", tmp_path / "cells.csv", shared / "amibr", card)
    patches, _, _ = read_patches(tmp_path / "p.h5", cells=tmp_path / "cells.csv")
    with Image.open(shared / "amibr" / "Normal" / "MIDOG21_6.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    assert (seen(patches[0], 64) == pixels[32:96, 32:96]).all()


def test_a_store_of_other_cells_is_refused(store, tmp_path):
    (tmp_path / "cells.csv").write_text("id\n0\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"was cut from another .*cells.csv"):
        read_patches(store, cells=tmp_path / "cells.csv")


def some_cells(folder, images=("001.tiff", "002.tiff", "999.tiff")):
    """Two cells on each of these images."""
    rows = [(name, x) for name in images for x in (50, 90)]
    cells = pd.DataFrame(rows, columns=["image", "x"]).assign(y=50)
    cells.assign(id=cells.index).to_csv(folder / "cells.csv", index=False)
    return folder / "cells.csv"


def test_broken_images_are_all_named_after_the_others_are_cut(cohort, demo_card, tmp_path):
    cells = some_cells(tmp_path, ("000.tiff", "001.tiff", "999.tiff"))
    with pytest.raises(DataError, match=r"(?s)2 images of 'd' .*000.tiff does not .*999.tiff does"):
        cut(tmp_path / "p.h5", cells, cohort / "images", demo_card)
    assert not (tmp_path / "p.h5").exists()
    assert "\n2 2 " in (tmp_path / "partial" / "journal").read_text(
        encoding="utf-8"
    )  # two cells of 001.tiff


def test_broken_images_may_be_left_black_and_are_named_in_the_passport(cohort, demo_card, tmp_path):
    cut(tmp_path / "p.h5", some_cells(tmp_path), cohort / "images", demo_card, broken="drop")
    patches, _, stamps = read_patches(tmp_path / "p.h5", cells=tmp_path / "cells.csv")
    assert [bool(patch.any()) for patch in patches] == [True, True, True, True, False, False]
    assert "999.tiff does not exist" in json.loads(stamps["broken"])["999.tiff"]


def cut_by_one_that_dies(cells, path, card):
    """Stand for a child process that ends at 002.tiff, by the signal that a file names."""
    if path.name == "002.tiff" and path.exists():
        os.kill(os.getpid(), int((path.parent / "signal").read_text(encoding="utf-8")))
    yield from cut_image(cells, path, card)


@pytest.fixture
def apart(cohort, tmp_path, monkeypatch):
    """Images, their cells, and partial work that a kill has left: they are read in children."""
    images = shutil.copytree(cohort / "images", tmp_path / "images")
    monkeypatch.setattr("cryotome.data.patches.cut_image", cut_by_one_that_dies)

    def prepare(card, number):
        cells = some_cells(tmp_path)
        with pytest.raises(DataError, match="999.tiff"):
            (images / "002.tiff").rename(tmp_path / "away")
            cut(tmp_path / "p.h5", cells, images, card)
        (tmp_path / "away").rename(images / "002.tiff")
        (tmp_path / "partial" / "at_work").touch()
        (images / "signal").write_text(str(int(number)), encoding="utf-8")
        return cells, images

    return prepare


def test_an_image_that_crashes_its_reader_is_left_black(apart, demo_card, tmp_path):
    cells, images = apart(demo_card, signal.SIGSEGV)
    cut(tmp_path / "p.h5", cells, images, demo_card, broken="drop")
    lost = json.loads(provenance(tmp_path / "p.h5", PATCHES)["broken"])
    assert "002.tiff crashes the process that reads it (SIGSEGV)" in lost["002.tiff"]


def test_a_reader_that_is_killed_takes_no_image_away(apart, demo_card, tmp_path):
    cells, images = apart(demo_card, signal.SIGKILL)
    with pytest.raises(
        CryotomeError, match=r"ended \(SIGKILL\): killed, probably because memory ran out"
    ):
        cut(tmp_path / "p.h5", cells, images, demo_card, broken="drop")
    assert not (tmp_path / "p.h5").exists()


def test_a_disk_that_fails_takes_no_image_away(cohort, demo_card, tmp_path):
    images = shutil.copytree(cohort / "images", tmp_path / "images")
    (images / "999.png").symlink_to("/proc/self/mem")  # gives EIO at its first byte
    with pytest.raises(OSError, match="Input/output error") as raised:
        cut(tmp_path / "p.h5", some_cells(tmp_path), images, demo_card, broken="drop")
    assert raised.value.errno == errno.EIO
    assert not (tmp_path / "p.h5").exists()


def test_what_is_cut_is_not_cut_again(cohort, demo_card, tmp_path, monkeypatch):
    """The missing image comes, and only it is opened to be cut."""
    images = tmp_path / "images"
    shutil.copytree(cohort / "images", images)
    cells, opened = some_cells(tmp_path), []
    with pytest.raises(DataError, match=r"1 images of 'd' gave no patches"):
        cut(tmp_path / "p.h5", cells, images, demo_card)
    shutil.copy(images / "003.tiff", images / "999.tiff")
    monkeypatch.setattr(
        "cryotome.data.patches.open_image", lambda p: opened.append(p.name) or open_image(p)
    )
    cut(tmp_path / "p.h5", cells, images, demo_card)
    assert opened[0] == "999.tiff"
    assert opened[1:] == sorted(set(opened))  # each once more, for its µm/px
    shutil.rmtree(tmp_path / "partial", ignore_errors=True)
    cut(tmp_path / "whole.h5", cells, images, demo_card)
    stores = [provenance(tmp_path / name, PATCHES) for name in ("p.h5", "whole.h5")]
    assert stores[0] == stores[1]


def test_an_image_that_changed_is_cut_again(cohort, demo_card, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(cohort / "images", images)
    cells = some_cells(tmp_path, ("001.tiff", "999.tiff"))
    with pytest.raises(DataError, match="gave no patches"):
        cut(tmp_path / "p.h5", cells, images, demo_card)
    for name in ("001.tiff", "999.tiff"):
        shutil.copy(images / "003.tiff", images / name)
    cut(tmp_path / "p.h5", cells, images, demo_card)
    patches, _, _ = read_patches(tmp_path / "p.h5", cells=cells)
    assert (patches[:2] == patches[2:]).all()


def test_cells_need_not_be_sorted_by_image(cohort, demo_card, tmp_path):
    cells = pd.read_csv(some_cells(tmp_path, ("001.tiff", "002.tiff"))).iloc[[0, 2, 1, 3]]
    cells.to_csv(tmp_path / "cells.csv", index=False)
    cut(tmp_path / "p.h5", tmp_path / "cells.csv", cohort / "images", demo_card)
    patches, ids, _ = read_patches(tmp_path / "p.h5", cells=tmp_path / "cells.csv")
    assert ids.tolist() == [0, 1, 2, 3]
    image = open_image(cohort / "images" / "001.tiff")
    again = cut_patch(image, 90, 50, side=32, scale=1, border="reflect")
    assert (patches[1] == again).all()


def test_seen_patches_are_centres_by_id(store):
    rows = patch_view(store, {"odd": [41, 3]})
    with h5py.File(store) as file:
        assert (rows["odd"][0] == file["patch"][41, 4:36, 4:36]).all()
    assert rows["odd"].shape == (2, 32, 32, 3)


def test_a_store_says_its_resolution_as_the_files_and_the_card_do(store, cohort, demo_card):
    assert json.loads(provenance(store, PATCHES)["mpp"]) == [0.23, 0.25]
    images, folder = np.array(["001.tiff", "009.tiff"]), cohort / "images"
    assert mpp_range(images, folder, demo_card) == [0.23, 0.25]
    assert mpp_range(images[1:], folder, demo_card) == [0.25, 0.25]
    resampled = demo_card | {"patch": demo_card["patch"] | {"resolution": 0.5}}
    assert mpp_range(images, folder, resampled) == [0.5, 0.5]


def test_a_resolution_that_nobody_says_is_none(tmp_path):
    for number in range(70):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{number}.png")
    images = np.array([f"{number}.png" for number in range(70)])
    card = {"patch": {"resolution": "native"}}
    assert mpp_range(images, tmp_path, card) is None
    assert mpp_range(images, tmp_path, card | {"mpp": 0.3}) == [0.3, 0.3]
