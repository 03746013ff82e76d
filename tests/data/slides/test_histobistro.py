import numpy as np
import pytest

from cryotome.data.slides.histobistro import canny_edges, passes_filter


def step(height, channels=(0, 1, 2)):
    """A tile of 50 whose right half is higher in some channels."""
    tile = np.full((10, 10, 3), 50, np.uint8)
    tile[:, 5:, list(channels)] += height
    return tile


def test_a_step_has_one_column_of_edge():
    found = canny_edges(step(50))
    assert found[:, 4].all()
    assert found.sum() == 10


@pytest.mark.parametrize(("height", "count"), [(9, 0), (25, 0), (26, 10)])
def test_the_slope_counts_four_times_the_step_and_the_strong_threshold_is_100(height, count):
    assert canny_edges(step(height)).sum() == count


def test_the_steepest_colour_decides_not_their_sum():
    assert canny_edges(step(26, channels=[1])).sum() == 10
    assert canny_edges(step(25, channels=[0, 1, 2])).sum() == 0


def test_a_weak_line_is_kept_where_it_holds_a_strong_part():
    tile = step(20)  # a slope of 80: weak
    assert canny_edges(tile).sum() == 0
    tile[:3, 5:] = 120
    found = canny_edges(tile)
    assert found[8, 4]  # joined to the strong part above


def noisy(value, rng=0):
    return np.clip(np.random.default_rng(rng).normal(value, 30, (64, 64, 3)), 1, 255).astype("u1")


def test_tissue_is_kept_glass_and_blur_are_not():
    assert passes_filter(noisy(140))
    assert not passes_filter(np.full((64, 64, 3), 240, np.uint8))  # glass
    assert not passes_filter(np.full((64, 64, 3), 140, np.uint8))  # not an edge in it


def test_at_most_three_tenths_are_glass_or_black():
    tile = noisy(140)
    tile[:19] = 240  # 19 of 64 rows: 29.7 %
    assert passes_filter(tile)
    tile[19] = 0  # a black row, 31.2 %
    assert not passes_filter(tile)


def test_the_threshold_of_glass_differs_by_colour():
    tile = noisy(140)
    tile[:32] = (176, 191, 179)
    assert not passes_filter(tile)
    tile[:32] = (175, 191, 179)  # red is not above 175
    assert passes_filter(tile)


def test_dark_tiles_are_always_kept():
    tile = np.full((64, 64, 3), 240, np.uint8)
    tile[:4] = 40  # 6.2 %: calcification
    assert passes_filter(tile)
    tile[:4] = 0  # black is padding, not calcification
    assert not passes_filter(tile)
