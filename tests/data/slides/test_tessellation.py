import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryotome.data.images import open_image
from cryotome.data.slides.tessellation import tessellate, tile_pixels
from cryotome.data.slides.tile_grid import read_tile

TENFOLD = {"mpp": 1.0, "side": 256, "min_tissue_fraction": 0.5}
STORED = {"mpp": 0.5, "side": 512, "min_tissue_fraction": 0.5, "jpeg_side": 256, "quality": 90}


def test_the_coordinates_of_a_real_slide_at_20x_are_those_of_10x(shared, tmp_path):
    slide = shared / "slides" / "cmu_small_region.svs"
    ten, twenty = (tessellate(slide, kind, None) for kind in (TENFOLD, STORED))
    assert ten.coords.tolist() == twenty.coords.tolist()
    shown = np.asarray(Image.open(io.BytesIO(twenty.jpegs[0].tobytes())))
    tile = read_tile(open_image(slide), *ten.coords[0], reach=ten.side, side=256)
    assert shown.shape == (256, 256, 3)
    assert (
        np.abs(shown.astype(int) - tile).mean() < 6
    )  # of 255: quality 90, colours at half resolution
    assert sum(map(len, twenty.jpegs)) < 6 * 256 * 256 * 3 / 5


def test_threads_give_the_same_tiles_in_the_same_order(shared):
    image = open_image(shared / "slides" / "cmu_small_region.svs")
    coords = np.array([[64 * x, 64 * y] for y in range(12) for x in range(8)])  # more than wait
    one, two = (list(tile_pixels(image, coords, side=64.0, seen=32, threads=n)) for n in (1, 2))
    assert len(one) == 96
    assert (np.stack(one) == np.stack(two)).all()


def test_a_slide_that_is_not_at_hand_is_missing(tmp_path):
    found = tessellate(tmp_path / "s.svs", TENFOLD, None)
    assert (found.status, len(found.coords), found.mask.size) == ("missing", 0, 0)


def tissue(path, mpp, orientation=1, down=None, width=256):
    """Write a slide that is all purple, of 1 x 1 mm at 4 µm/px."""
    pixels = np.full((width, width, 3), (150, 60, 140), np.uint8)
    tifffile.imwrite(
        path,
        pixels,
        photometric="rgb",
        tile=(64, 64),
        resolution=(1e4 / mpp, 1e4 / (down or mpp)) if mpp else (1, 1),
        resolutionunit="CENTIMETER" if mpp else "NONE",
        extratags=[(274, "H", 1, orientation, True)],
    )
    return path


def test_a_slide_coarser_than_the_tiling_has_a_status_of_its_own(tmp_path):
    """5x for 20x: tiles of 256 px are enlarged from 64."""
    twenty = {"mpp": 0.5, "side": 256, "min_tissue_fraction": 0.5}
    found = tessellate(tissue(tmp_path / "s.tif", 2.0), twenty, None)
    assert (found.status, len(found.coords), found.side) == ("coarse", 16, 64.0)
    assert found.reason == "its 2 µm/px are too coarse, and its tiles are enlarged 4 times"
    half = twenty | {"jpeg_side": 64, "quality": 90}
    assert tessellate(tmp_path / "s.tif", half, None).status == "ok"  # what is kept is no larger
    assert tessellate(tissue(tmp_path / "b.tif", 0.54), twenty, None).status == "ok"


@pytest.mark.parametrize(
    ("slide", "why"),
    [
        ({"orientation": 3}, "s.tif has the orientation tag 3"),
        ({"down": 2.0}, "not square, by its tags: 1 µm/px across and 2 µm/px down"),
    ],
)
def test_a_whole_slide_that_cannot_be_used_as_it_is_is_unfit_not_broken(tmp_path, slide, why):
    tissue(tmp_path / "s.tif", 1.0, **slide)
    found = tessellate(tmp_path / "s.tif", TENFOLD, None)
    assert (found.status, len(found.coords)) == ("unfit", 0)
    assert why in found.reason and "Fetch" not in found.reason


def test_a_slide_that_contradicts_the_card_is_reported_and_the_card_wins_by_a_key(tmp_path):
    tissue(tmp_path / "s.tif", 1.0)
    found = tessellate(tmp_path / "s.tif", TENFOLD, 0.5)
    assert (found.status, found.mpp, found.side) == ("ok", 1.0, 256.0)
    assert "s.tif has 1 µm/px in its tags, and the dataset's card has `mpp: 0.5`" in found.reason
    file = tessellate(tmp_path / "s.tif", TENFOLD | {"mpp_overrides_file": False}, 0.5)
    assert (file.mpp, file.reason) == (1.0, "")
    tissue(tmp_path / "s.tif", 1.0, down=2.0, width=600)
    card = tessellate(tmp_path / "s.tif", TENFOLD | {"mpp_overrides_file": True}, 0.5)
    assert (card.mpp, card.side, card.reason) == (0.5, 512.0, "")
