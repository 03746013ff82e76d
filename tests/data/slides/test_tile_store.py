import io
import json
import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import CONFIG, ROOT
from PIL import Image

import cryotome.data.slides.tessellation
from cryotome.core.cards import load_card, tiling_of
from cryotome.core.errors import CryotomeError, DataError, StoreError
from cryotome.data.demo.cohorts import DemoCohort
from cryotome.data.demo.slides import make_cohort_slides
from cryotome.data.slides.tile_grid import read_tile
from cryotome.data.slides.tile_store import (
    _jpegs,
    read_tiles,
    slide_row,
    source_fingerprint,
    write_tiles,
)

TENFOLD = {"mpp": 1.0, "side": 256, "min_tissue_fraction": 0.5}
STORED = {"mpp": 0.5, "side": 512, "min_tissue_fraction": 0.5, "jpeg_side": 256, "quality": 90}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Fourteen slides: DC-002-DX2 says no µm/px, DC-004-DX2 is glass."""
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort_slides(DemoCohort("DC", 14, side=320), folder)
    return folder


def tiling(name="classify"):
    return tiling_of(load_card(CONFIG, "datasets", "demo_cohort"), name)


def cut(folder, slide, card=None, name="s"):
    how = {"dataset": "d", "slide": name, "partial": folder / "partial"}
    return write_tiles(folder / f"{name}.h5", slide, card or tiling(), **how)


REAL = [
    ("cmu_small_region.svs", "ok", "", 6),
    ("boxes.tiff", "no mpp", "boxes.tiff does not say how many µm a pixel measures", 0),
    ("kidney-48-5.tif", "no mpp", "write `mpp:` in the card", 0),
    ("stack_5.tiff", "no tissue", "no tile of 256 µm fits into it", 0),
    ("unopenable.tiff", "broken", "Unsupported TIFF compression: 52479", 0),
    ("unreadable.svs", "broken", "Bogus marker length", 0),
    ("absent.svs", "missing", "absent.svs is not at hand", 0),
]


@pytest.mark.parametrize(("file", "status", "why", "count"), REAL, ids=[row[0] for row in REAL])
@pytest.mark.parametrize("kind", [TENFOLD, STORED], ids=["10x", "20x"])
def test_what_real_slides_give(kind, file, status, why, count, shared, tmp_path, capsys):
    card = {"tiling": kind, "mpp": None, "synthetic": ""}
    cut(tmp_path, shared / "slides" / file, card)
    tiles = read_tiles(tmp_path / "s.h5", dataset="d", slide="s")
    assert tiles.stamps["status"] == status
    assert why in tiles.stamps["reason"]
    assert len(tiles.coords) == len(tiles.tissue) == count
    assert (tiles.jpegs is None) == (kind is TENFOLD)
    assert f"d, slide s: {status}: " * (status != "ok") in capsys.readouterr().err


def test_the_card_says_mpp_where_the_slide_does_not(shared, tmp_path):
    """And not where it does; this slide is grey fluorescence, no tissue has colour in it."""
    card = {"tiling": TENFOLD, "mpp": 0.25, "synthetic": ""}
    for file, mpp, status in (
        ("kidney-48-5.tif", 0.25, "no tissue"),
        ("cmu_small_region.svs", 0.499, "ok"),
    ):
        cut(tmp_path, shared / "slides" / file, card)
        stamps = read_tiles(tmp_path / "s.h5").stamps
        assert (stamps["mpp"], stamps["status"]) == (mpp, status)
        assert stamps["level0_side"] == pytest.approx(256 / mpp)


def test_a_store_says_what_it_was_made_from(cohort, tmp_path):
    found = cut(tmp_path, cohort / "DC-001-DX1.tiff")
    tiles = read_tiles(tmp_path / "s.h5", dataset="d", slide="s")
    assert (tiles.coords == found.coords).all() and tiles.coords.dtype == np.int64
    assert (tiles.tissue == found.tissue).all() and tiles.tissue.dtype == np.float32
    assert (tiles.tissue >= 0.5).all()
    assert (tiles.coords % 64 == 0).all()  # 32 px at 1 µm/px are 64 px at 0.5 µm/px
    stamps = tiles.stamps
    assert {n: stamps[n] for n in ("status", "reason", "mpp", "level0_side", "seen", "width")} == {
        "status": "ok", "reason": "", "mpp": 0.5, "level0_side": 64.0, "seen": 32, "width": 320,
    }  # fmt: skip
    assert json.loads(stamps["card"])["tiling"] == {
        "mpp": 1.0,
        "side": 32,
        "min_tissue_fraction": 0.5,
    }
    assert slide_row(tmp_path / "s.h5")["tissue_mm2"] == round(tiles.tissue.sum() * 0.032**2, 3)
    assert stamps["slide_stamp"] == source_fingerprint(cohort / "DC-001-DX1.tiff")


def test_the_oddities_of_the_demo_stop_nothing(cohort, tmp_path):
    for name, status in (("DC-002-DX2", "no mpp"), ("DC-004-DX2", "no tissue")):
        assert cut(tmp_path, cohort / f"{name}.tiff").status == status
        line = slide_row(tmp_path / "s.h5")
        assert [line[n] for n in ("slide", "status", "tiles", "tissue_mm2")] == ["s", status, 0, 0]
    assert cut(tmp_path, None).status == "missing"


def test_stored_tiles_are_jpegs_of_the_stored_side(cohort, tmp_path):
    cut(tmp_path, cohort / "DC-001-DX1.tiff", tiling("finetune"))
    tiles = read_tiles(tmp_path / "s.h5")
    assert len(tiles.jpegs) == len(tiles.coords) > 0
    with h5py.File(tmp_path / "s.h5") as file:
        assert h5py.check_vlen_dtype(file["jpeg"].dtype) == np.uint8
    assert Image.open(io.BytesIO(tiles.jpegs[0].tobytes())).size == (32, 32)


def test_the_filter_is_asked_of_every_tile(cohort, tmp_path, monkeypatch):
    whole = cut(tmp_path, cohort / "DC-001-DX1.tiff")
    card = tiling()
    card["tiling"] = card["tiling"] | {"filter": "histobistro"}
    answers = iter([False, True] * len(whole.coords))
    monkeypatch.setattr(
        cryotome.data.slides.tessellation, "passes_filter", lambda tile: next(answers)
    )
    half = cut(tmp_path, cohort / "DC-001-DX1.tiff", card)
    assert (half.coords == whole.coords[1::2]).all()
    monkeypatch.setattr(cryotome.data.slides.tessellation, "passes_filter", lambda tile: False)
    none = cut(tmp_path, cohort / "DC-001-DX1.tiff", card)
    assert none.status == "no tissue" and "its filter keeps none" in none.reason


def test_a_tile_that_is_torn_makes_the_slide_broken(cohort, tmp_path, monkeypatch):
    def torn(image, x, y, **how):
        if x > 64:
            raise DataError("s.tiff cannot be read (torn). Fetch it again.")
        return read_tile(image, x, y, **how)

    monkeypatch.setattr(cryotome.data.slides.tessellation, "read_tile", torn)
    found = cut(tmp_path, cohort / "DC-001-DX1.tiff", tiling("finetune"))
    assert (found.status, len(found.coords)) == ("broken", 0)
    assert read_tiles(tmp_path / "s.h5").jpegs == []


def test_a_disk_that_fails_is_no_broken_slide(tmp_path):
    (tmp_path / "s.svs").symlink_to("/proc/self/mem")  # gives EIO at its first byte
    with pytest.raises(OSError, match="Input/output error"):
        cut(tmp_path, tmp_path / "s.svs")
    assert not (tmp_path / "s.h5").exists()


def crash(path, tiling, mpp):
    """Stand for a slide that crashes its reader."""
    os.kill(os.getpid(), signal.SIGSEGV)
    yield


def test_a_slide_that_crashes_its_reader_is_named_by_the_next_attempt(
    cohort, tmp_path, monkeypatch
):
    monkeypatch.setattr(cryotome.data.slides.tessellation, "_yield_tessellation", crash)
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "at_work").touch()  # left by the attempt that crashed
    found = cut(tmp_path, cohort / "DC-001-DX1.tiff")
    assert found.status == "broken"
    assert "crashes the process that reads it (SIGSEGV)" in found.reason
    assert not (tmp_path / "partial").exists()


def test_after_a_kill_a_good_slide_is_read_apart_and_gives_the_same(cohort, tmp_path):
    first = cut(tmp_path, cohort / "DC-001-DX1.tiff", tiling("finetune"))
    (tmp_path / "partial").mkdir()
    (tmp_path / "partial" / "at_work").touch()
    again = cut(tmp_path, cohort / "DC-001-DX1.tiff", tiling("finetune"))
    assert (again.coords == first.coords).all()
    assert all((a == b).all() for a, b in zip(again.jpegs, first.jpegs, strict=True))


KILLED = """
import os, signal, sys
sys.path[:0] = [".", "workflow", "tests", "tests/tools"]
import cryotome.data.slides.tile_store
from tests.data.slides import test_tile_store
from pathlib import Path
cryotome.data.slides.tile_store.finalise_store = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
test_tile_store.cut(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_kill_while_writing_leaves_nothing_half(cohort, tmp_path):
    words = [sys.executable, "-c", KILLED, str(tmp_path), str(cohort / "DC-001-DX1.tiff")]
    assert subprocess.run(words, cwd=ROOT).returncode == -signal.SIGKILL
    assert not (tmp_path / "s.h5").exists()
    assert list(tmp_path.glob(".s.h5.*.part"))
    cut(tmp_path, cohort / "DC-001-DX1.tiff")
    assert read_tiles(tmp_path / "s.h5").stamps["status"] == "ok"
    assert not list(tmp_path.glob(".s.h5.*"))


def test_foreign_stale_and_damaged_stores_are_refused_by_name(cohort, tmp_path):
    cut(tmp_path, cohort / "DC-001-DX1.tiff", tiling("finetune"))
    with pytest.raises(StoreError, match=r"s.h5 was made for slide s, but t is asked for"):
        read_tiles(tmp_path / "s.h5", slide="t")
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        file["tissue"][1] = 0.77
    with pytest.raises(
        StoreError, match=r"s.h5 is damaged: the bytes of 1 cells .* first of cell 1"
    ):
        read_tiles(tmp_path / "s.h5")
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["coords"] = np.zeros((1, 2))
    with pytest.raises(StoreError, match=r"s.h5 has format None"):
        read_tiles(tmp_path / "s.h5")
    (tmp_path / "s.h5").write_bytes(b"half")
    with pytest.raises(CryotomeError, match=r"s.h5 is not a readable HDF5 file"):
        read_tiles(tmp_path / "s.h5")


def test_a_flipped_bit_of_a_stored_tile_is_found(cohort, tmp_path):
    cut(tmp_path, cohort / "DC-001-DX1.tiff", tiling("finetune"))
    with h5py.File(tmp_path / "s.h5", "r+") as file:
        content = file["jpeg"][2]
        content[40] ^= 1
        file["jpeg"][2] = content
    with pytest.raises(StoreError, match="first of cell 2"):
        read_tiles(tmp_path / "s.h5")


def test_the_hash_of_tiles_follows_slide_and_coordinates_not_the_date(cohort, tmp_path):
    slide = tmp_path / "a.tiff"
    slide.write_bytes((cohort / "DC-001-DX1.tiff").read_bytes())
    hashes = []
    for change in ("none", "date", "slide"):
        if change == "date":
            os.utime(slide, (1, 1))
        if change == "slide":
            slide.write_bytes((cohort / "DC-003-DX1.tiff").read_bytes())
        cut(tmp_path, slide)
        hashes.append(read_tiles(tmp_path / "s.h5").stamps["tiles_sha256"])
    assert hashes[0] == hashes[1] != hashes[2]


def test_stored_tiles_that_all_point_at_one_are_refused(tmp_path):
    """Sixteen bytes a row say where a tile lies; many rows may say the same place."""
    path, rows = tmp_path / "s.h5", 2000
    with h5py.File(path, "w") as file:
        jpeg = file.create_dataset("jpeg", (rows,), dtype=h5py.vlen_dtype(np.uint8))
        jpeg[:] = [np.zeros(1, np.uint8)] * rows
        jpeg[0] = np.zeros(1_000_000, np.uint8)
        start = jpeg.id.get_offset()
    content = bytearray(path.read_bytes())
    content[start : start + 16 * rows] = content[start : start + 16] * rows
    path.write_bytes(content)
    with h5py.File(path) as file, pytest.raises(StoreError, match="more than the file"):
        _jpegs(path, file["jpeg"])
