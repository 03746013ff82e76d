import numpy as np
from PIL import Image, ImageFont

from cryotome.data.slides.tessellation import Tessellation
from cryotome.data.slides.tile_overlay import (
    LETTER,
    LINE,
    MARGIN,
    MIN_WIDTH,
    NOTICE,
    SMALL,
    TILE,
    TISSUE,
    draw_overlay,
    save_overlay,
)

MASK = np.zeros((100, 120), bool)
MASK[20:80, 30:90] = True
FOUND = Tessellation(
    "ok", size=(1920, 1600), mpp=0.5, side=256.0, mask=MASK,
    thumbnail=np.full((100, 120, 3), 240, np.uint8), coords=np.array([[512, 512], [768, 512]]),
    tissue=np.ones(2, np.float32),
)  # fmt: skip


def places(picture, colour):
    """Return the box (left, top, right, bottom) that holds all px of a colour."""
    found = np.argwhere((np.asarray(picture) == colour).all(axis=2))
    (top, left), (bottom, right) = found.min(axis=0), found.max(axis=0)
    return left, top, right, bottom


def test_outline_and_tiles_lie_where_they_are():
    picture = draw_overlay(FOUND, "s", "")
    assert picture.width == 768  # 6.4 px of the picture to one of the thumbnail
    left, top, right, bottom = places(picture, TISSUE)
    assert abs(left - 192) <= 1 and abs(right - 575) <= 1
    assert abs(top - 128) <= 1 and abs(bottom - 511) <= 1
    assert places(picture, TILE)[:2] == (204, 204)


def test_tiles_are_framed_each():
    frame = np.asarray(draw_overlay(FOUND, "s", ""))
    row = (frame[250] == TILE).all(axis=1)  # through the middle of both tiles
    assert np.flatnonzero(row).tolist() in ([204, 306, 307, 408], [204, 305, 307, 408])


def test_the_notice_is_said_in_red_and_only_where_there_is_one():
    assert (np.asarray(draw_overlay(FOUND, "s", "synthetic")) == NOTICE).all(axis=2).any()
    assert not (np.asarray(draw_overlay(FOUND, "s", "")) == NOTICE).all(axis=2).any()


def test_each_part_of_the_caption_has_lines_of_its_own_under_the_picture():
    plain = draw_overlay(FOUND, "s", "").height
    assert draw_overlay(FOUND, "s", "synthetic").height == plain + LINE
    long = Tessellation("broken", reason="a/" * 200)
    assert draw_overlay(long, "s", "").height == 2 * 8 + LINE * (2 + 4)


def test_a_name_as_the_tcga_writes_it_stays_on_the_page():
    name = "tcga_crc, TCGA-AA-A02E-01Z-00-DX1.4ED05BDB-CA3D-4A44-AAAD-AEA9ED5C4CB0"
    line = name[: (MIN_WIDTH - 2 * MARGIN) // LETTER]
    assert MARGIN + ImageFont.load_default(SMALL).getlength(line) < MIN_WIDTH


def test_a_slide_that_gives_no_pixel_has_a_picture_too(tmp_path):
    save_overlay(tmp_path / "a" / "s.png", Tessellation("missing", "it is not at hand"), "s", "")
    with Image.open(tmp_path / "a" / "s.png") as picture:
        assert picture.size == (440, 70)


def test_pictures_are_modest_files(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2000, 3), dtype=np.uint8)
    large = Tessellation(
        "ok", size=(64000, 48000), mpp=0.25, side=1024.0, thumbnail=noise, mask=noise[..., 0] > 3
    )
    save_overlay(tmp_path / "s.png", large, "s", "")
    assert (tmp_path / "s.png").stat().st_size < 600_000
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size[0] == 768
