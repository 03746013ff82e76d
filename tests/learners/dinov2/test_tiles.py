import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from torchvision.io import encode_jpeg

from cryotome.core.errors import DataError, SplitError, StoreError
from cryotome.learners.dinov2.tiles import TileLoader, holds_tiles, training_slides

CPU = torch.device("cpu")


def tile(shade, side=32):
    return encode_jpeg(torch.full((3, side, side), shade, dtype=torch.uint8), 95).numpy()


def write(path, shades, side=32, **attributes):
    """Write a tile store as the rule that tiles slides does."""
    with h5py.File(path, "w") as file:
        jpeg = file.create_dataset("jpeg", (len(shades),), h5py.vlen_dtype(np.uint8))
        for at, shade in enumerate(shades):
            jpeg[at] = tile(shade, side)
        file["coords"] = np.arange(2 * len(shades)).reshape(-1, 2)
        file.attrs.update({"status": "ok", "reason": ""} | attributes)
    return path


@pytest.fixture
def slides(tmp_path):
    return [
        write(tmp_path / "A-1.h5", [10, 20, 30]),
        write(tmp_path / "A-2.h5", [], status="no tissue"),
        write(tmp_path / "B-1.h5", [40, 50]),
    ]


def test_tiles_of_all_slides_are_numbered_through(slides):
    tiles = TileLoader(slides, CPU, 2)
    taken = tiles.take(torch.tensor([4, 0, 2, 3]))
    assert taken.shape == (4, 32, 32, 3)
    assert taken.dtype == torch.uint8
    assert taken.float().mean((1, 2, 3)).tolist() == pytest.approx([50, 10, 30, 40], abs=1)
    assert tiles.where == "5 tiles of 3 slides, decoded ahead"


def test_batches_come_in_the_order_asked_for(slides):
    rows = torch.tensor([[0, 1], [4, 3], [2, 2], [1, 0]])
    found = [
        batch.float().mean((1, 2, 3)).round().tolist()
        for batch in TileLoader(slides, CPU, 1).batches(rows)
    ]
    assert np.allclose(found, [[10, 20], [50, 40], [30, 30], [20, 10]], atol=1)


def test_a_broken_tile_names_its_slide(slides):
    with h5py.File(slides[2], "a") as file:
        file["jpeg"][1] = file["jpeg"][1][:40]
    with pytest.raises(StoreError, match=r"A tile of B-1.h5 cannot be read \("):
        TileLoader(slides, CPU, 1).take(torch.tensor([4]))


def test_tiles_of_two_sizes_are_refused(slides, tmp_path):
    other = write(tmp_path / "C.h5", [7], side=48)
    with pytest.raises(StoreError, match="cannot be read"):
        TileLoader([*slides, other], CPU, 1).take(torch.tensor([0, 5]))


def test_a_cohort_without_a_tile_is_an_error(slides):
    with pytest.raises(DataError, match="None of the 1 tile stores has a tile"):
        TileLoader(slides[1:2], CPU, 1)


def test_what_decides_is_which_tiles_of_which_slides(slides, tmp_path):
    whole, fewer = TileLoader(slides, CPU, 1), TileLoader(slides[:2], CPU, 1)
    assert whole.sha256 == TileLoader(slides, CPU, 1).sha256 != fewer.sha256


def test_kinds_of_stores_are_told_apart(slides, tmp_path):
    with h5py.File(tmp_path / "patches.h5", "w") as file:
        file["patch"] = np.zeros((1, 2, 2, 3))
    assert holds_tiles(slides[0])
    assert not holds_tiles(tmp_path / "patches.h5")
    (tmp_path / "page.h5").write_text("<html>", encoding="utf-8")
    with pytest.raises(StoreError, match="is not a readable HDF5 file"):
        holds_tiles(tmp_path / "page.h5")


def test_slides_of_training_patients_are_kept_with_all_of_theirs(slides, tmp_path):
    table, split = tmp_path / "slides.csv", tmp_path / "split.csv"
    named = {"FILENAME": ["A-1.svs", "A-2", "B-1"], "PATIENT": ["A", "A", "B"]}
    pd.DataFrame(named).to_csv(table, index=False)
    pd.DataFrame({"id": ["A", "B"], "role": ["train", "test"]}).to_csv(split, index=False)
    assert training_slides(slides, [table], split) == slides[:2]
    with pytest.raises(SplitError, match="the table of their slides is missing"):
        training_slides(slides, [], split)
