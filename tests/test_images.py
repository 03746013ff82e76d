import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from cryotome.errors import DataError
from cryotome.images import find_image, microns_per_pixel, open_image, tag_mpp


def test_a_real_aperio_slide_opens_with_its_resolution(shared):
    image = open_image(shared / "slides" / "cmu_small_region.svs")
    assert image.size == (2220, 2967)
    assert image.mpp == pytest.approx(0.499)
    whole = openslide.OpenSlide(shared / "slides" / "cmu_small_region.svs")
    there = np.asarray(whole.read_region((1000, 1200), 0, (50, 40)))[..., :3]
    assert (image.read(1000, 1200, 50, 40) == there).all()


def test_a_real_flat_tiff_is_mapped_not_decoded(shared):
    path = shared / "slides" / "kidney-48-5.tif"
    image = open_image(path)
    assert image.size == (1493, 901)
    with Image.open(path) as other:
        assert (image.read(700, 300, 64, 32) == np.asarray(other)[300:332, 700:764, :3]).all()
    assert isinstance(image._pixels.base, np.memmap)


def test_the_resolution_tag_of_midog_is_read_with_its_unit(shared):
    assert open_image(shared / "slides" / "stack_5.tiff").mpp == pytest.approx(0.2482, abs=1e-4)
    assert tag_mpp(40_000, 3) == 0.25
    assert tag_mpp(101_600, 2) == 0.25
    assert tag_mpp(72, 2) is None


@pytest.mark.parametrize("name", ["unopenable.tiff", "unreadable.svs"])
def test_broken_files_are_named(shared, name):
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        open_image(shared / "slides" / name).read(0, 0, 10, 10)


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"001.tiff does not exist"):
        open_image(tmp_path / "001.tiff")


def test_the_extension_may_differ(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "001.png")
    assert find_image(tmp_path, "001.tiff") == tmp_path / "001.png"
    assert find_image(tmp_path, "002.tiff") == tmp_path / "002.tiff"


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_flat_tiffs_give_equal_windows_whatever_their_compression(tmp_path, compression):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / "a.tiff"
    if compression == "lzw":
        Image.fromarray(pixels).save(path, compression="tiff_lzw")
    else:
        tifffile.imwrite(path, pixels, compression=compression, photometric="rgb")
    assert (open_image(path).read(10, 20, 30, 5) == pixels[20:25, 10:40]).all()


def test_sixteen_bits_and_grey_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "deep.tiff", np.zeros((8, 8, 3), np.uint16), photometric="rgb")
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    for name in ("deep.tiff", "grey.png"):
        with pytest.raises(DataError, match=rf"{name} holds .* cryotome reads 8-bit colour"):
            open_image(tmp_path / name)


def test_unknown_resolution_says_where_to_write_it(tmp_path):
    Image.new("RGB", (6577, 4933)).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"Write `mpp: 0.25` .* in the dataset's card"):
        microns_per_pixel(image, tmp_path / "a.png", None)
    assert microns_per_pixel(image, tmp_path / "a.png", 0.3) == 0.3
    # a 3D Histech region of MIDOG 2022 of that size has 0.2483 um/px
    assert microns_per_pixel(image, tmp_path / "a.png", "roi_2mm2") == pytest.approx(
        0.2483, abs=1e-4
    )
