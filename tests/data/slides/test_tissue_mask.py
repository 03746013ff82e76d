import io

import numpy as np
import pytest
import tifffile
from PIL import Image

import cryotome.data.slides.tissue_mask
from cryotome.data.demo.slides import LABORATORIES, draw_slide
from cryotome.data.images import open_image
from cryotome.data.slides.thumbnail import read_thumbnail, thumbnail_resolution
from cryotome.data.slides.tile_grid import encode_jpeg, read_tile, tile_grid, tissue_fractions
from cryotome.data.slides.tissue_mask import otsu, tissue_mask


def pyramid(path, pixels, mpp=0.5, levels=(4,)):
    """Write a tiled TIFF whose further levels are means, cut where they do not divide."""
    height, width = pixels.shape[:2]
    how = {"tile": (128, 128), "compression": "zlib", "photometric": "rgb"}
    tags = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **how, **(tags if mpp else {}))
        for times in levels:
            rows, columns = height // times, width // times
            part = pixels[: rows * times, : columns * times].reshape(rows, times, columns, times, 3)
            tiff.write(part.mean(axis=(1, 3)).astype(np.uint8), subfiletype=1, **how)
    return path


def waves(width, height):
    y, x = np.mgrid[:height, :width]
    return np.stack([127 + 120 * np.sin(x / 40), 127 + 120 * np.cos(y / 30), x * 0 + 9], -1).astype(
        "u1"
    )


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    pixels = np.random.default_rng(0).integers(0, 255, (512, 768, 3), dtype=np.uint8)
    return open_image(pyramid(tmp_path_factory.mktemp("s") / "s.tiff", pixels)), pixels


@pytest.mark.parametrize("laboratory", [0, 1])
def test_the_mask_finds_known_tissue(laboratory, tmp_path):
    rng = np.random.default_rng(laboratory)
    pixels, tissue = draw_slide(rng, LABORATORIES[laboratory], side=1120, share=0.2)
    image = open_image(pyramid(tmp_path / "s.tiff", pixels))
    mask = tissue_mask(read_thumbnail(image, 8 / 0.5), 8)
    assert mask.shape == (70, 70)
    found = np.kron(mask, np.ones((16, 16), bool))
    assert (found & tissue).sum() / (found | tissue).sum() >= 0.95


def test_glass_alone_has_no_tissue_and_a_slide_all_covered_no_glass():
    rng = np.random.default_rng(0)
    glass = rng.normal(240, 3, (80, 80, 3)).clip(0, 255).astype(np.uint8)
    assert not tissue_mask(glass, 8).any()
    covered = glass.copy()
    covered[:, :, 1] = np.where(rng.uniform(size=(80, 80)) < 0.5, 190, 90)  # pale and dark
    assert tissue_mask(covered, 8).all()


def test_grey_is_no_tissue():
    assert not tissue_mask(
        np.kron(np.eye(8), np.ones((10, 10)))[..., None].repeat(3, 2).astype("u1") * 200, 8
    ).any()


def test_gaps_are_closed_and_dirt_is_left_out():
    thumbnail = np.full((60, 60, 3), 240, np.uint8)
    thumbnail[10:40, 10:40, 1] = 100
    thumbnail[20:23, 10:40, 1] = 240  # a gap of 24 µm
    thumbnail[50:55, 50:55, 1] = 100  # 1,600 µm²
    mask = tissue_mask(thumbnail, 8)
    assert mask[10:40, 12:38].all()
    assert not mask[45:].any()
    wide = thumbnail.copy()
    wide[20:28, 10:40, 1] = 240  # 64 µm
    assert not tissue_mask(wide, 8)[24, 20]


def test_otsu_parts_two_peaks():
    values = np.concatenate([np.full(90, 10), np.full(10, 12), np.full(50, 200)])
    assert otsu(values) == 13  # the first value above the lower peak


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


def test_the_thumbnail_is_the_mean_in_strips_as_whole(tmp_path, monkeypatch):
    pixels = waves(1024, 768)
    image = open_image(pyramid(tmp_path / "s.tiff", pixels))
    whole = read_thumbnail(image, 16)
    assert whole.shape == (48, 64, 3)
    assert np.abs(whole - pixels.reshape(48, 16, 64, 16, 3).mean(axis=(1, 3))).max() <= 2
    monkeypatch.setattr(cryotome.data.slides.tissue_mask, "AT_ONCE", 8000)
    assert (read_thumbnail(image, 16) == whole).all()


def test_a_real_slide(shared):
    """Aperio, one level, 0.499 µm/px: the outline was looked at."""
    image = open_image(shared / "slides" / "cmu_small_region.svs")
    assert thumbnail_resolution(256) == 8
    thumbnail = read_thumbnail(image, 8 / 0.499)
    assert thumbnail.shape == (185, 138, 3)
    mask = tissue_mask(thumbnail, 8)
    assert mask.mean() == pytest.approx(0.363, abs=0.002)
    coords = tile_grid(image.size, 256 / 0.499)
    shares = tissue_fractions(mask, coords, side=256 / 0.499, size=image.size)
    assert len(coords) == 20
    assert coords[shares >= 0.5].tolist() == [
        [1026, 513], [1026, 1026], [1026, 1539], [513, 2052], [1026, 2052], [1539, 2052]
    ]  # fmt: skip


def test_a_jpeg_keeps_what_it_shows():
    tile = waves(64, 64)
    content = encode_jpeg(tile, 90)
    assert content.dtype == np.uint8
    assert len(content) < tile.size / 4
    shown = np.asarray(Image.open(io.BytesIO(content.tobytes())))
    assert np.abs(shown.astype(int) - tile).mean() < 3
