import io

import numpy as np
from PIL import Image

from cryotome.images import open_image
from cryotome.slides import read_tile
from cryotome.tessellation import tessellate, tile_pixels

TENFOLD = {"mpp": 1.0, "side": 256, "least_tissue": 0.5}
STORED = {"mpp": 0.5, "side": 512, "least_tissue": 0.5, "stored": 256, "quality": 90}


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
