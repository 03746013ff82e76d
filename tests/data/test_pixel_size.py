import numpy as np
import pytest
import tifffile
from PIL import Image

from cryotome.core.errors import UnfitError
from cryotome.data.images import microns_per_pixel, open_image
from cryotome.data.patches import patch_scale
from cryotome.data.pixel_size import mpp_conflict, pixel_size_from_tags

PIXELS = np.random.default_rng(0).integers(0, 255, (192, 256, 3), dtype=np.uint8)
CARD = {"patch": {"resolution": 0.5}}


def tiff(path, orientation=None, resolution=(1, 1), unit="NONE", **how):
    tags = [] if orientation is None else [(274, "H", 1, orientation, True)]
    how |= {"photometric": "rgb", "extratags": tags}
    tifffile.imwrite(path, PIXELS, resolution=resolution, resolutionunit=unit, **how)


def tiff_by_pillow(path, orientation=None, **how):
    tags = {} if orientation is None else {274: orientation}
    Image.fromarray(PIXELS).save(path, tiffinfo=tags, **how)


def picture(path, orientation=None, **how):
    exif = Image.Exif()
    exif[274] = orientation or 1
    Image.fromarray(PIXELS).save(path, exif=exif, **how)


TURNED = {
    "raw.tif": tiff,
    "deflate.tif": lambda *a: tiff(*a, compression="zlib"),
    "lzw.tif": lambda *a: tiff_by_pillow(*a, compression="tiff_lzw"),
    "jpeg.tif": lambda *a: tiff_by_pillow(*a, compression="jpeg"),
    "tiled.tif": lambda *a: tiff(*a, tile=(64, 64)),
    "big.tif": lambda *a: tiff(*a, bigtiff=True, tile=(64, 64)),
    "tiff_named.png": lambda path, *a: tiff_by_pillow(path, *a, format="TIFF"),
    "photo.jpg": picture,
    "photo.png": picture,
    "photo.webp": lambda *a: picture(*a, lossless=True),
    "photo.tif": lambda path, *a: picture(path, *a, format="PNG"),
}


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("name", TURNED)
def test_images_that_ask_to_be_turned_are_refused_in_every_encoding(tmp_path, name, orientation):
    TURNED[name](tmp_path / name, orientation)
    with pytest.raises(
        UnfitError, match=rf"{name} has the orientation tag {orientation}: .*annotations"
    ):
        open_image(tmp_path / name)


def test_an_orientation_that_is_none_is_refused_too(tmp_path):
    tiff(tmp_path / "a.tif", 0)
    with pytest.raises(UnfitError, match=r"a.tif has the orientation tag 0:"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("orientation", [1, None])
@pytest.mark.parametrize("name", TURNED)
def test_upright_images_are_read_as_they_are(tmp_path, name, orientation):
    TURNED[name](tmp_path / name, orientation)
    image = open_image(tmp_path / name)
    assert image.size == (256, 192)
    if name not in ("jpeg.tif", "photo.jpg"):
        assert (image.read(30, 20, 50, 40) == PIXELS[20:60, 30:80]).all()


def test_a_level_of_a_pyramid_may_not_be_turned_either(tmp_path):
    how = {"photometric": "rgb", "tile": (64, 64)}
    with tifffile.TiffWriter(tmp_path / "p.tif") as file:
        file.write(PIXELS, **how)
        turned = [(274, "H", 1, 3, True)]
        file.write(PIXELS[::2, ::2], subfiletype=1, extratags=turned, **how)
    with pytest.raises(UnfitError, match=r"p.tif has the orientation tag 3"):
        open_image(tmp_path / "p.tif")


OBLONG = {
    "tiled.tif": lambda p: tiff(p, None, (40_000, 20_000), "CENTIMETER", tile=(64, 64)),
    "flat.tif": lambda p: tiff(p, None, (40_000, 20_000), "CENTIMETER"),
    "deflate.tif": lambda p: tiff(p, None, (101_600, 50_800), "INCH", compression="zlib"),
    "ratio.tif": lambda p: tiff(p, None, (2, 1), "NONE"),
    "ratio_tiled.tif": lambda p: tiff(p, None, (2, 1), "NONE", tile=(64, 64)),
    "a.png": lambda p: picture(p, dpi=(101_600, 50_800)),
    "a.jpg": lambda p: picture(p, dpi=(60_000, 30_000)),
}


@pytest.mark.parametrize("resolution", [0.5, "native"])
@pytest.mark.parametrize("name", OBLONG)
def test_pixels_that_are_not_square_are_refused_with_both_values(tmp_path, name, resolution):
    OBLONG[name](tmp_path / name)
    card = {"patch": {"resolution": resolution}, "mpp": 0.25}
    image = open_image(tmp_path / name)
    both = r"(across and \S+ µm/px down|2 times as high as wide)"
    with pytest.raises(
        UnfitError, match=rf"{name} has pixels that are not square, by its tags: .*{both}"
    ):
        patch_scale(image, tmp_path / name, card)
    decided = card | {"mpp_overrides_file": True}
    assert patch_scale(image, tmp_path / name, decided) == (1 if resolution == "native" else 2)


def test_a_percent_between_across_and_down_is_rounding(tmp_path):
    tiff(tmp_path / "a.tif", None, (40_000, 40_300), "CENTIMETER")
    assert patch_scale(open_image(tmp_path / "a.tif"), tmp_path / "a.tif", CARD) == 2.0


@pytest.mark.parametrize("how", [{}, {"tile": (64, 64)}])
def test_file_and_card_that_contradict_each_other_are_named_with_both_values(tmp_path, how):
    """40,000 px an inch should have been a centimetre."""
    path = tmp_path / "a.tif"
    tiff(path, None, (40_000, 40_000), "INCH", **how)
    image, card = open_image(path), {"patch": {"resolution": 0.25}, "mpp": 0.25}
    with pytest.raises(
        UnfitError, match=r"a.tif has 0.635 µm/px in its tags, .* `mpp: 0.25`.*overrides_file"
    ):
        patch_scale(image, path, card)
    with pytest.raises(UnfitError, match=r"a.tif has 0.635"):
        patch_scale(image, path, {"patch": {"resolution": "native"}, "mpp": 0.25})
    assert patch_scale(image, path, card | {"mpp_overrides_file": True}) == 1.0
    assert patch_scale(image, path, card | {"mpp_overrides_file": False}) == pytest.approx(
        0.25 / 0.635
    )


def test_up_to_ten_percent_the_file_is_taken(tmp_path):
    tiff(tmp_path / "a.tif", None, (40_000, 40_000), "CENTIMETER")
    image = open_image(tmp_path / "a.tif")
    assert microns_per_pixel(image, tmp_path / "a.tif", 0.27) == 0.25
    assert mpp_conflict(0.25, tmp_path, 0.27) == mpp_conflict(None, tmp_path, 9.0) == ""
    assert mpp_conflict(0.25, tmp_path, "roi_2mm2") == ""


def test_tags_that_say_one_axis_alone_say_both():
    assert pixel_size_from_tags(0, 40_000, 3) == pixel_size_from_tags(40_000, 0, 3) == (0.25, 1.0)
    assert pixel_size_from_tags(0, 0, 3) == (None, 1.0)


JUNK = [b"junk", b"II*\0", b"II*\0\xff\xff\xff\x7f", b"Exif\0\0nothing of the kind"]
JUNK += [b"II*\0\x08\0\0\0\xff\xff\x01\x02\x03"]
OF_TEXT = b"II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x01\0\0\0\x03\0\0\0\0\0\0\0"  # tag 274


@pytest.mark.parametrize("exif", [*JUNK, OF_TEXT])
@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_an_exif_that_is_none_makes_no_image_broken(tmp_path, name, exif):
    how = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(PIXELS).save(tmp_path / name, exif=exif, **how)
    assert (open_image(tmp_path / name).read(0, 0, 256, 192) == PIXELS).all()


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_resolutions_in_exif_are_read(tmp_path, name):
    exif = Image.Exif()
    exif[282], exif[283], exif[296] = 40_000.0, 20_000.0, 3
    Image.fromarray(PIXELS).save(tmp_path / name, exif=exif)
    image = open_image(tmp_path / name)
    assert (image.mpp, image.aspect) == (0.25, 2.0)


OME = {"axes": "YXS", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}
DESCRIBED = {
    "ome.tif": {"ome": True, "metadata": OME | {"PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}},
    "imagej.tif": {"imagej": True, "resolution": (4, 2), "metadata": {"unit": "um"}},
}


@pytest.mark.parametrize("how", [{}, {"tile": (64, 64)}])
@pytest.mark.parametrize("name", DESCRIBED)
def test_what_ome_and_imagej_say_of_pixels_is_read(tmp_path, name, how):
    said = DESCRIBED[name] | (how if name == "ome.tif" else {})
    tifffile.imwrite(tmp_path / name, PIXELS, photometric="rgb", **said)
    image = open_image(tmp_path / name)
    assert (image.mpp, image.aspect) == (0.25, 2.0)
