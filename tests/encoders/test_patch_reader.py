from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from cryotome.core.errors import StoreError
from cryotome.core.store import finalise_store
from cryotome.encoders.patch_reader import PatchReader


def write_noise(path: Path) -> Path:
    """Write a patch store of 50 patches of noise."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["id"] = np.arange(50)
        file["patch"] = rng.integers(0, 255, (50, 40, 40, 3), dtype=np.uint8)
    finalise_store(path, "patch", {})
    return path


@pytest.fixture
def patches(tmp_path) -> Path:
    return write_noise(tmp_path / "p.h5")


def test_the_reader_gives_the_rows_of_the_array_whatever_was_read_before(patches):
    read = PatchReader(patches, pinned=False)
    with h5py.File(patches) as file:
        for rows in [(0, 7), (7, 20), (49, 1), (30, 5), (0, 50)]:
            first, block = read(rows)
            assert first == rows[0]
            assert (block.numpy() == file["patch"][rows[0] : sum(rows)]).all()
    read.close()


def test_two_blocks_in_hand_are_not_overwritten_by_the_third(patches):
    read = PatchReader(patches, pinned=False)
    one, two = read((0, 10))[1], read((10, 10))[1]
    before = one.clone(), two.clone()
    read((20, 10))
    assert torch.equal(one, before[0])
    assert torch.equal(two, before[1])


def test_a_store_that_ends_early_is_no_silent_zero(patches):
    read = PatchReader(patches, pinned=False)
    with pytest.raises(StoreError, match=r"p.h5 ends before row 60. Delete it and rerun"):
        read((40, 20))
