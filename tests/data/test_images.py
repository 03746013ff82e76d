import errno
import struct
import zlib

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from cryotome.core.errors import CardError, DataError
from cryotome.data.images import image_size, microns_per_pixel, open_image
from cryotome.data.pixel_size import mpp_from_tags


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
    assert isinstance(image._pixels, np.memmap)


def test_the_resolution_tag_of_midog_is_read_with_its_unit(shared):
    assert open_image(shared / "slides" / "stack_5.tiff").mpp == pytest.approx(0.2482, abs=1e-4)
    assert mpp_from_tags(40_000, 3) == 0.25
    assert mpp_from_tags(101_600, 2) == 0.25
    assert mpp_from_tags(72, 2) is None


@pytest.mark.parametrize("name", ["unopenable.tiff", "unreadable.svs"])
def test_broken_files_are_named(shared, name):
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        open_image(shared / "slides" / name).read(0, 0, 10, 10)


def test_a_missing_image_is_named(tmp_path):
    with pytest.raises(DataError, match=r"001.tiff does not exist"):
        open_image(tmp_path / "001.tiff")


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_flat_tiffs_give_equal_windows_whatever_their_compression(tmp_path, compression):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / "a.tiff"
    if compression == "lzw":
        Image.fromarray(pixels).save(path, compression="tiff_lzw")
    else:
        tifffile.imwrite(path, pixels, compression=compression, photometric="rgb")
    assert (open_image(path).read(10, 20, 30, 5) == pixels[20:25, 10:40]).all()


def deep_png(path):
    """A PNG of 16 bits a channel, which Pillow would open as if it had 8."""

    def chunk(kind, content):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checksum

    header = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + bytes(48) for _ in range(8)))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", lines), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def tiff(path, shape, photometric, dtype=np.uint8, **how):
    pixels = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    tifffile.imwrite(path, pixels, photometric=photometric, **how)


TILED = {"tile": (64, 64)}  # what OpenSlide opens, and turns into RGB without a word
ODD = {
    "16-bit RGB": lambda p: tiff(p / "a.tiff", (64, 64, 3), "rgb", np.uint16),
    "16-bit": lambda p: deep_png(p / "a.png"),
    "grey": lambda p: tiff(p / "a.tiff", (64, 64), "minisblack"),
    "grey ": lambda p: Image.new("L", (64, 64)).save(p / "a.png"),
    "palette": lambda p: Image.new("P", (64, 64)).save(p / "a.png"),
    "CMYK": lambda p: Image.new("CMYK", (64, 64)).save(p / "a.tif"),
    "CMYK ": lambda p: Image.new("CMYK", (64, 64)).save(p / "a.jpg"),
    "transparent": lambda p: Image.new("RGBA", (64, 64), (9, 9, 9, 128)).save(p / "a.png"),
    "16-bit RGB ": lambda p: tiff(p / "a.tiff", (128, 128, 3), "rgb", np.uint16, **TILED),
    "grey  ": lambda p: tiff(p / "a.tiff", (128, 128), "minisblack", **TILED),
    "CMYK  ": lambda p: tiff(p / "a.tiff", (128, 128, 4), "separated", **TILED),
    "transparent ": lambda p: tiff(
        p / "a.tiff", (128, 128, 4), "rgb", extrasamples=["unassalpha"], **TILED
    ),
}


@pytest.mark.parametrize("kind", ODD)
def test_pixels_that_are_not_8_bit_rgb_are_refused_by_what_they_are(tmp_path, kind):
    ODD[kind](tmp_path)
    (path,) = tmp_path.iterdir()
    with pytest.raises(DataError, match=rf"{path.name} holds {kind.strip()} pixels; .* 8-bit RGB"):
        open_image(path).read(0, 0, 8, 8)


def test_an_opaque_alpha_channel_is_left_away(tmp_path):
    Image.new("RGBA", (64, 64), (9, 8, 7, 255)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").read(0, 0, 2, 2)[0, 0].tolist() == [9, 8, 7]


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_a_truncated_tiff_that_pillow_wrote_is_named(tmp_path, compression, share):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    path = tmp_path / "a.tiff"
    Image.fromarray(pixels).save(path, compression=compression)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"a.tiff cannot be read .*Fetch it again"):
        open_image(path)


@pytest.mark.parametrize("error", [OSError(errno.ESTALE, "Stale file handle"), MemoryError()])
@pytest.mark.parametrize("of", ["detect_format", "read_region"])
def test_a_passing_fault_of_disk_or_memory_is_not_the_images(tmp_path, monkeypatch, error, of):
    def fail(*_):
        raise error

    tiff(tmp_path / "a.tiff", (128, 128, 3), "rgb", **TILED)
    monkeypatch.setattr(openslide.OpenSlide, of, fail)
    with pytest.raises(type(error)) as raised:
        open_image(tmp_path / "a.tiff").read(0, 0, 8, 8)
    assert raised.value is error


@pytest.mark.parametrize("how", [{}, TILED, {"compression": "zlib"}])
def test_a_truncated_tiff_is_named(tmp_path, how):
    path = tmp_path / "a.tiff"
    tiff(path, (512, 512, 3), "rgb", **how)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"a.tiff cannot be read .*Fetch it again"):
        open_image(path).read(400, 400, 100, 100)


def test_unknown_resolution_says_where_to_write_it(tmp_path):
    Image.new("RGB", (6577, 4933)).save(tmp_path / "a.png")
    image = open_image(tmp_path / "a.png")
    with pytest.raises(CardError, match=r"Write `mpp: 0.25` .* in the dataset's card"):
        microns_per_pixel(image, tmp_path / "a.png", None)
    assert microns_per_pixel(image, tmp_path / "a.png", 0.3) == 0.3
    # a 3D Histech region of MIDOG 2022 of that size has 0.2483 um/px
    assert microns_per_pixel(image, tmp_path / "a.png", "roi_2mm2") == pytest.approx(
        0.2483, abs=1e-4
    )


def test_a_picture_that_is_postscript_starts_no_program(tmp_path, monkeypatch):
    """Pillow decodes EPS by Ghostscript, whatever the file is called."""
    started = tmp_path / "started"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {started}\nexit 1\n", encoding="utf-8")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    eps = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\nshowpage\n"
    for name in ("a.png", "a.jpg", "a.bmp"):
        (tmp_path / name).write_text(eps, encoding="utf-8")
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            open_image(tmp_path / name)
    assert not started.exists()


def test_a_webp_that_is_called_png_is_read(tmp_path):
    Image.new("RGB", (40, 40), (200, 100, 150)).save(tmp_path / "a.png", "WEBP", lossless=True)
    assert (open_image(tmp_path / "a.png").read(0, 0, 2, 2) == (200, 100, 150)).all()


def test_a_small_file_that_claims_many_pixels_is_not_decoded(tmp_path):
    """A PNG of 1.2 MB took 3.9 GB."""
    Image.new("L", (10_000, 10_000)).convert("RGB").save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a.png: the image has 10,000 x 10,000 pixels"):
        open_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.svs", "a.webp"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git-LFS pointer"),
        (b"<html>", "an HTML page"),
    ],
)
def test_what_lies_in_place_of_an_image_is_named(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name} cannot be read .*; it begins with .*{kind}"):
        open_image(tmp_path / name)


def test_a_tiff_of_very_many_pages_is_not_given_to_openslide(tmp_path):
    """OpenSlide took 1 GB and 16 s for two million pages in 36 MB."""
    tiff(tmp_path / "a.tif", (64, 64, 3), "rgb")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content += b"\0" * (len(content) % 2)
    first = struct.unpack_from("<I", content, 4)[0]
    end = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
    for _ in range(1000):
        struct.pack_into("<I", content, end, len(content))
        content += struct.pack("<HHHIII", 1, 256, 4, 1, 64, 0)
        end = len(content) - 4
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(DataError, match=r"a.tif has 1,001 pages, and at most 1,000 are read"):
        open_image(tmp_path / "a.tif")
    assert image_size(tmp_path / "a.tif") is None


@pytest.mark.parametrize("name", ["a.png", "a.svs"])
def test_a_link_to_a_device_without_end_is_no_image(tmp_path, name):
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(DataError, match=rf"{name} does not exist or is no file"):
        open_image(tmp_path / name)
    assert image_size(tmp_path / name) is None


def test_a_tiff_whose_pages_are_a_circle_is_read(tmp_path):
    tiff(tmp_path / "a.tif", (64, 48, 3), "rgb")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    first = struct.unpack_from("<I", content, 4)[0]
    end = first + 2 + 12 * struct.unpack_from("<H", content, first)[0]
    struct.pack_into("<I", content, end, first)
    (tmp_path / "a.tif").write_bytes(content)
    assert open_image(tmp_path / "a.tif").size == (48, 64)


@pytest.mark.parametrize(
    "chunk", [(b"zTXt", b"k\0\0"), (b"iCCP", b"k\0\0"), (b"iTXt", b"k\0\1\0\0\0")]
)
def test_png_text_that_unpacks_to_too_much_is_refused(tmp_path, chunk):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    plain = (tmp_path / "a.png").read_bytes()
    kind, content = chunk[0], chunk[1] + zlib.compress(bytes(10_000_000))
    long = struct.pack(">I", len(content)) + kind + content
    long += struct.pack(">I", zlib.crc32(kind + content))
    (tmp_path / "a.png").write_bytes(plain[:33] + long + plain[33:])  # behind IHDR
    with pytest.raises(DataError, match=r"a.png cannot be read .*Decompressed data too large"):
        open_image(tmp_path / "a.png")
