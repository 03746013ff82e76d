import numpy as np
import pytest
import tifffile
from PIL import Image

from cryotome.data.images import open_image
from cryotome.data.pyramid import level_factors, place_span
from cryotome.data.slides.tile_grid import read_tile, tile_grid
from cryotome.data.windows import cut_patch

WIDTH, HEIGHT = 1003, 701
MOST = 0.15  # tile px, or patch px


def value(x, y):
    """What the slide shows at a place, level-0 px: waves along both axes."""
    return 127 + 80 * np.sin(x / 23) + 40 * np.sin(y / 19)


def cut(pixels, times):
    """Mean of times x times px; what is left over is cut."""
    rows, columns = pixels.shape[0] // times, pixels.shape[1] // times
    part = pixels[: rows * times, : columns * times]
    return part.reshape(rows, times, columns, times).mean(axis=(1, 3))


def resized(pixels, width, height):
    return np.asarray(Image.fromarray(pixels.astype("f4")).resize((width, height), 4))


LEVELS = {
    "cut": lambda whole: [cut(whole, 4)],
    "cut to three": lambda whole: [cut(whole, 3)],
    "two levels": lambda whole: [cut(whole, 2), cut(whole, 4)],
    "resized to fewer": lambda whole: [resized(whole, WIDTH // 4, HEIGHT // 4)],
    "resized to more": lambda whole: [resized(whole, -(-WIDTH // 4), -(-HEIGHT // 4))],
    "by no whole number": lambda whole: [resized(whole, 233, 151)],
}


@pytest.fixture(scope="module", params=LEVELS)
def slide(request, tmp_path_factory):
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    whole = value(x, y)
    path = tmp_path_factory.mktemp("p") / "s.tiff"
    how = {"tile": (128, 128), "photometric": "rgb"}
    with tifffile.TiffWriter(path) as tiff:
        for level, pixels in enumerate([whole, *LEVELS[request.param](whole)]):
            rgb = np.round(pixels).astype("u1")[..., None].repeat(3, 2)
            tiff.write(rgb, subfiletype=min(level, 1), **how)
    return open_image(path)


def offset(pixels, left, top, times):
    """Return how far pixels lie from where they should, px of theirs, by least squares."""
    steps = (np.arange(len(pixels)) + 0.5) * times
    x, y = np.meshgrid(left + steps, top + steps)
    slopes = [value(x + 1, y) - value(x - 1, y), value(x, y + 1) - value(x, y - 1)]
    shown = [slopes[0] / 2, slopes[1] / 2, np.sin(x / 23), np.sin(y / 19), np.ones_like(x)]
    inside = (slice(2, -2), slice(2, -2))
    table = np.stack([part[inside].ravel() for part in shown], axis=1)
    found = np.linalg.lstsq(table, (pixels[..., 0] - value(x, y))[inside].ravel(), rcond=None)[0]
    return np.abs(found[:2]).max() / times


@pytest.mark.parametrize("times", [4.0, 4.05, 4.4])
def test_tiles_lie_where_they_should_whatever_the_factor_of_the_level(slide, times):
    reach = 32 * times
    tiles = [
        (read_tile(slide, x, y, reach=reach, side=32), x, y, times)
        for x, y in tile_grid(slide.size, reach)
    ]
    assert max(offset(*tile) for tile in tiles) < MOST


@pytest.mark.parametrize("times", [4.0, 4.3])
def test_patches_lie_where_they_should_too(slide, times):
    for x, y in np.random.default_rng(0).integers(300, 400, size=(5, 2)):
        patch = cut_patch(slide, x, y, side=64, scale=times, border="black")
        reach = len(patch) * times / 2
        assert offset(patch, x - reach, y - reach, times) < MOST


def test_a_window_beyond_a_cut_level_repeats_its_edge():
    found = place_span(1001, 2, factor=4.0, downsample=4.012, level=250)
    assert (found.start, found.count, found.out) == (998, 1, 1)
    assert found.part[1] > found.count


def test_levels_that_divide_are_in_no_doubt():
    assert level_factors((1024, 768), (64, 48)) == [(16.0, 16.0)]
    assert place_span(128, 64, factor=4.0, downsample=4.0, level=256).part == (0, 16)
