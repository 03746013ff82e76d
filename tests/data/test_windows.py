import numpy as np
import pytest
import tifffile
from PIL import Image

from cryotome.data.images import open_image
from cryotome.data.windows import cut_patch
from cryotome.study.geometry import stored_side


@pytest.fixture
def ramp(tmp_path):
    """An image whose red is the column and whose green is the row."""
    y, x = np.mgrid[:100, :120].astype(np.uint8)
    tifffile.imwrite(tmp_path / "ramp.tiff", np.stack([x, y, 0 * x + 7], -1), photometric="rgb")
    return open_image(tmp_path / "ramp.tiff")


def seen(patch: np.ndarray, side: int) -> np.ndarray:
    edge = (len(patch) - side) // 2
    return patch[edge : edge + side, edge : edge + side]


def test_the_store_keeps_272_where_the_network_sees_224():
    assert [stored_side(side) for side in (224, 128, 64, 40)] == [272, 156, 78, 50]


def test_a_patch_is_centred_and_its_corner_is_that_of_the_authors(ramp):
    patch = seen(cut_patch(ramp, 60, 50, side=32, scale=1, border="black"), 32)
    assert patch[0, 0].tolist() == [60 - 16, 50 - 16, 7]
    half = seen(cut_patch(ramp, 60.5, 50.5, side=32, scale=1, border="black"), 32)
    assert half[0, 0].tolist() == [44, 34, 7]  # int(60.5 - 16)


def test_black_reflect_and_clamp_differ_at_the_border_only(ramp):
    cut = {
        b: seen(cut_patch(ramp, 4, 50, side=16, scale=1, border=b), 16)
        for b in ("black", "reflect", "clamp")
    }
    assert (cut["black"][:, :4] == 0).all()
    assert cut["black"][0, 4:, 0].tolist() == list(range(12))
    assert cut["reflect"][0, :, 0].tolist() == [4, 3, 2, 1, *range(12)]
    assert cut["clamp"][0, :, 0].tolist() == list(range(16))
    inside = [
        cut_patch(ramp, 60, 50, side=16, scale=1, border=b) for b in ("black", "reflect", "clamp")
    ]
    assert (inside[0] == inside[1]).all()
    assert (inside[0] == inside[2]).all()


def test_a_centre_outside_the_image_still_gives_a_patch(ramp):
    patch = seen(cut_patch(ramp, -2, 50, side=16, scale=1, border="black"), 16)
    assert (patch[:, :10] == 0).all()
    assert patch[0, 10:, 0].tolist() == list(range(6))


def test_resampling_keeps_centre_and_scale(ramp):
    patch = seen(cut_patch(ramp, 60, 50, side=20, scale=2, border="black"), 20)
    middle = (patch[9, 9, :2].astype(float) + patch[10, 10, :2]) / 2
    assert middle == pytest.approx([59.5, 49.5], abs=0.6)  # pixel centres lie half a pixel in
    assert float(patch[10, 15, 0]) - float(patch[10, 5, 0]) == pytest.approx(20, abs=1)


def test_a_real_slide_at_a_quarter_micron_is_twice_as_large(shared):
    image = open_image(shared / "slides" / "cmu_small_region.svs")
    scale = 0.25 / image.mpp
    fine = cut_patch(image, 1110, 1480, side=224, scale=scale, border="black")
    coarse = cut_patch(image, 1110, 1480, side=112, scale=1, border="black")
    middle = seen(fine, 224)
    shrunk = np.asarray(Image.fromarray(middle).resize((112, 112), Image.Resampling.BOX)).astype(
        float
    )
    assert np.abs(shrunk - seen(coarse, 112)).mean() < 6


def test_pyramid_levels_agree_with_level_zero(tmp_path):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).resize(
        (1024, 1024), 3
    )
    pixels = np.asarray(smooth)
    with tifffile.TiffWriter(tmp_path / "p.tiff") as tiff:
        tiff.write(pixels, tile=(256, 256), photometric="rgb")
        tiff.write(pixels[::4, ::4], tile=(256, 256), photometric="rgb", subfiletype=1)
    tifffile.imwrite(tmp_path / "flat.tiff", pixels, photometric="rgb")
    pyramid, flat = open_image(tmp_path / "p.tiff"), open_image(tmp_path / "flat.tiff")
    cut = [
        cut_patch(i, 500, 500, side=64, scale=4.5, border="black").astype(float)
        for i in (pyramid, flat)
    ]
    assert np.abs(cut[0] - cut[1]).mean() < 4


@pytest.mark.parametrize("scale", [2.0, 2.17, 4.0, 4.3])
def test_any_centre_can_be_shrunk_through_a_pyramid(tmp_path, scale):
    """Boxes at whole and half centres differ by a px in height and width and round apart."""
    y, x = np.mgrid[:2048, :2048]
    pixels = np.stack([x // 8, y // 8, 0 * x], -1).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "p.tiff") as tiff:
        for level, step in enumerate((1, 2, 4)):
            tiff.write(
                pixels[::step, ::step],
                tile=(256, 256),
                photometric="rgb",
                subfiletype=min(level, 1),
            )
    image = open_image(tmp_path / "p.tiff")
    rng = np.random.default_rng(0)
    for centre in rng.integers(1200, 2900, size=(60, 2)) / 2:
        patch = cut_patch(image, *centre, side=64, scale=scale, border="black")
        middle = seen(patch, 64)[31:33, 31:33, :2].mean((0, 1))
        assert middle == pytest.approx(centre / 8 - 0.5, abs=1.2)


def test_a_strip_of_a_coarse_level_is_filled_to_its_own_height(tmp_path):
    pixels = np.full((1024, 1024, 3), 200, np.uint8)
    with tifffile.TiffWriter(tmp_path / "p.tiff") as tiff:
        tiff.write(pixels, tile=(256, 256), photometric="rgb")
        tiff.write(pixels[::4, ::4], tile=(256, 256), photometric="rgb", subfiletype=1)
    image = open_image(tmp_path / "p.tiff")
    patch = cut_patch(image, 6 - 100, 512, side=64, scale=4, border="black")
    lit = (patch[..., 0] > 100).any(axis=1)
    assert lit.all()  # every row reaches into the image, by 34 level-0 px
