import io

import numpy as np
import pytest
from PIL import Image
from pyramidal_slides import pyramid, waves

from cryotome.data.images import open_image
from cryotome.data.slides.tile_grid import encode_jpeg, read_tile, tile_grid, tissue_fractions


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 255, (512, 768, 3), dtype=np.uint8)
    return open_image(pyramid(tmp_path_factory.mktemp("s") / "s.tiff", pixels)), pixels


def test_the_grid_holds_whole_tiles_at_the_cards_resolution():
    # 256 px at 1 µm/px on a slide of 0.499 µm/px: 513.03 level-0 px
    coords = tile_grid((2220, 1100), 256 / 0.499)
    assert coords.dtype == np.int64
    assert coords.tolist() == [[x, y] for y in (0, 513) for x in (0, 513, 1026, 1539)]
    assert tile_grid((511, 2000), 512).shape == (0, 2)
    assert len(tile_grid((1024, 512), 512)) == 2


def test_shares_of_tissue_are_exact_also_between_the_pixels_of_the_mask():
    mask = np.zeros((4, 4), bool)
    mask[:, :2] = True  # the left half of a slide of 32 px
    coords = np.array([[0, 0], [16, 0], [12, 5], [10, 0]])
    shares = tissue_fractions(mask, coords, side=8, size=(32, 32))
    assert shares.tolist() == [1.0, 0.0, 0.5, 0.75]
    assert shares.dtype == np.float32


def test_a_tile_is_the_block_mean_of_its_pixels(slide):
    image, pixels = slide
    tile = read_tile(image, 64, 32, reach=64, side=32)  # 1 µm/px of a slide of 0.5 µm/px
    block = pixels[32:96, 64:128].reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(tile - block).max() <= 1  # rounded twice, across and down


def test_a_tile_comes_from_the_level_of_its_resolution(slide):
    image, pixels = slide
    tile = read_tile(image, 128, 256, reach=128, side=32)  # 2 µm/px: the second level
    block = pixels.reshape(128, 4, 192, 4, 3).mean(axis=(1, 3)).astype(np.uint8)
    assert (tile == block[64:96, 32:64]).all()


def test_a_tile_at_the_slides_own_resolution_is_its_pixels(slide):
    image, pixels = slide
    assert (read_tile(image, 5, 7, reach=64, side=64) == pixels[7:71, 5:69]).all()


@pytest.mark.parametrize("reach", [128.0, 130.3, 256.51])
def test_tiles_of_slides_whose_levels_do_not_divide_are_the_shrunk_pixels(reach, tmp_path):
    """At their edges, where a level has part of a pixel, too."""
    pixels = waves(1003, 701)
    image = open_image(pyramid(tmp_path / "s.tiff", pixels, levels=(4, 16)))
    for x, y in tile_grid(image.size, reach):
        tile = read_tile(image, x, y, reach=reach, side=32)
        true = Image.fromarray(pixels).resize(
            (32, 32), Image.Resampling.BOX, box=(x, y, x + reach, y + reach)
        )
        assert np.abs(tile[:-1, :-1].astype(int) - np.asarray(true)[:-1, :-1]).max() <= 20


def test_a_jpeg_keeps_what_it_shows():
    tile = waves(64, 64)
    content = encode_jpeg(tile, 90)
    assert content.dtype == np.uint8
    assert len(content) < tile.size / 4
    shown = np.asarray(Image.open(io.BytesIO(content.tobytes())))
    assert np.abs(shown.astype(int) - tile).mean() < 3
