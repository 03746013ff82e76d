import numpy as np
import pytest
from pyramidal_slides import pyramid

from cryotome.data.demo.slides import LABORATORIES, draw_slide
from cryotome.data.images import open_image
from cryotome.data.slides.thumbnail import read_thumbnail, thumbnail_resolution
from cryotome.data.slides.tile_grid import tile_grid, tissue_fractions
from cryotome.data.slides.tissue_mask import otsu, tissue_mask


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
