import h5py
import pytest

from cryotome.errors import StoreError
from cryotome.stores import PATCHES, passport


def test_a_passport_is_plain(store):
    stamps = passport(store, PATCHES)
    assert stamps["seen"] == 32
    assert type(stamps["seen"]) is int


def test_foreign_stores_are_refused_by_name(store):
    with pytest.raises(
        StoreError,
        match=r"patches.h5 says it is 'cryotome patches', version 1, not 'other', version 1",
    ):
        passport(store, "other")


def test_half_written_stores_are_refused_by_name(store, tmp_path):
    (tmp_path / "half.h5").write_bytes(store.read_bytes()[:1000])
    with pytest.raises(
        StoreError, match=r"half.h5 is not a readable HDF5 file.*Delete it and rerun"
    ):
        passport(tmp_path / "half.h5", PATCHES)


def test_stores_without_a_passport_are_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["features"] = [1.0]
    with pytest.raises(StoreError, match="says it is None"):
        passport(tmp_path / "x.h5", PATCHES)
