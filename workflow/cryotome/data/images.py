"""Images, whole slides and flat files alike: open them, read their size, µm/px and pixels."""

import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
import openslide
import tifffile
from PIL import Image

from cryotome.core.errors import CardError, DataError, UnfitError, raise_system_error
from cryotome.data.file_signatures import describe_start, file_kind
from cryotome.data.pixel_size import (
    ORIENTATION,
    PixelSize,
    check_resolution,
    check_upright,
    exif_tags,
    is_tiff,
    pixel_size_of_image,
    pixel_size_of_page,
    pixel_size_of_slide,
)
from cryotome.data.pyramid import PyramidLevels

MAX_PIXELS = 400_000_000  # of an image decoded whole, 1.2 GB; ten times a region of MIDOG
SAFE_PIXELS = 50_000_000  # allowed for any file size; a region of MIDOG has fewer
MAX_PIXELS_PER_BYTE = 30  # of a larger image; tissue has about 7, decompression bombs 300
MAX_PAGES = 1000  # of a TIFF; a slide has a dozen
MAX_TILE_PIXELS = 2**26  # pixels of one tile or strip, decoded at once
Image.MAX_IMAGE_PIXELS = None  # replaced by `MAX_PIXELS`, which has an error message

# formats that Pillow may decode; some others start programs (EPS: Ghostscript)
PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
ROI_AREA = 2e6  # µm²: a MIDOG region measures 2 mm² (Aubreville et al. 2024)

# names in Pillow and in the tag PhotometricInterpretation of pixels that are not RGB
PIXEL_KINDS = {"L": "grey", "LA": "grey", "1": "black and white", "P": "palette"}
PIXEL_KINDS |= {"I;16": "16-bit grey", "MINISBLACK": "grey", "MINISWHITE": "grey"}
PIXEL_KINDS |= {"SEPARATED": "CMYK", "PALETTE": "palette"}

# raised by OpenSlide, tifffile and Pillow on truncated or damaged files
UNREADABLE: tuple[type[Exception], ...] = (openslide.OpenSlideError, tifffile.TiffFileError)
UNREADABLE += (OSError, ValueError, IndexError, KeyError, TypeError, SyntaxError, EOFError)
UNREADABLE += (ArithmeticError, AttributeError, RuntimeError, AssertionError)
UNREADABLE += (struct.error, zlib.error)


class OpenImage(Protocol):
    """An open image, from which windows of pixels are read."""

    size: tuple[int, int]  # width, height in level-0 px
    mpp: float | None  # µm per level-0 px in x, None if the file gives none
    aspect: float  # height of a pixel divided by its width, 1 if the file gives none

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        """Return (h, w, 3) uint8 of a window that lies inside the image.

        x, y, width, height are level-0 px. A `shrink` above one allows a pyramid level that is
        at most that many times smaller than level 0; the pixels cover the window exactly.
        """


class _Slide:
    """A file that OpenSlide can open."""

    def __init__(self, path: Path) -> None:
        if is_tiff(path):
            _check_pages(path)
        self._path, self._slide = path, openslide.OpenSlide(path)
        self.size = self._slide.dimensions
        properties = self._slide.properties
        how = (self._slide.level_dimensions, self._slide.level_downsamples)
        self._levels = PyramidLevels(*how, self._region)
        self._transparent = False  # whether its pixels may be transparent
        if properties[openslide.PROPERTY_NAME_VENDOR] == "generic-tiff":
            with tifffile.TiffFile(path) as tiff:  # OpenSlide converts anything to RGB silently
                _check_colour(tiff.pages.first, path)
                self._transparent = tiff.pages.first.samplesperpixel > 3
        self.mpp, self.aspect = pixel_size_of_slide(properties)

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        level = self._slide.get_best_level_for_downsample(shrink * 1.01)
        return self._levels.read(level, (x, y), (width, height))

    def _region(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> np.ndarray:
        try:
            region = self._slide.read_region(corner, level, size)
        except UNREADABLE as error:
            raise _unreadable_error(self._path, error) from error
        alpha = region.getchannel("A")
        pixels = np.asarray(region.convert("RGB"))
        if alpha.getextrema() == (255, 255):
            return pixels
        if self._transparent:
            raise _pixel_kind_error(self._path, "transparent")
        # edges of a window between two px of a level are partly transparent
        return np.where(np.asarray(alpha)[..., None] == 0, np.uint8(255), pixels)


class _Flat:
    """A flat image: uncompressed TIFF is memory-mapped, any other decoded once."""

    def __init__(self, path: Path) -> None:
        if not is_tiff(path):
            self._pixels, (self.mpp, self.aspect) = _decode(path)
        else:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                check_upright(page.tags.valueof(ORIENTATION), path)
                _check_colour(page, path)
                self.mpp, self.aspect = pixel_size_of_page(page)
                layout = tifffile.PHOTOMETRIC(page.photometric), page.planarconfig
                mapped = tifffile.PHOTOMETRIC.RGB, tifffile.PLANARCONFIG.CONTIG
                if page.is_memmappable and layout == mapped:
                    self._pixels = tifffile.memmap(path, page=0, mode="r")
                else:
                    self._pixels = _decode(path)[0]
        if self._pixels.ndim != 3 or self._pixels.shape[2] not in (3, 4):
            raise _pixel_kind_error(path, f"{self._pixels.shape[2:] or 'one'}-channel")
        if self._pixels.shape[2] == 4 and (self._pixels[..., 3] != 255).any():
            raise _pixel_kind_error(path, "transparent")
        self.size = (self._pixels.shape[1], self._pixels.shape[0])

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        return np.asarray(self._pixels[y : y + height, x : x + width, :3])


def _check_pages(path: Path) -> None:
    """Refuse a TIFF with rotated pages, or with tiles too large for memory."""
    with tifffile.TiffFile(path) as tiff:
        _check_tile(tiff.pages.first, path)
        for page in tiff.pages:
            page = page.aspage()
            if page.index == 0 or page.is_tiled:  # a level; the label may be rotated
                check_upright(page.tags.valueof(ORIENTATION), path)


def _check_tile(page: tifffile.TiffPage, path: Path) -> None:
    if page.is_tiled and page.tilewidth * page.tilelength > MAX_TILE_PIXELS:
        raise _too_large_error(path, page.tilewidth, page.tilelength, "a tile", MAX_TILE_PIXELS)


def _too_large_error(path: Path, width: int, height: int, what: str, most: int) -> UnfitError:
    return UnfitError(
        f"{path}: {what} has {width:,} x {height:,} pixels, and at most {most:,} are "
        "decoded at once. Save it tiled, as a pyramid or uncompressed, or leave its cells out."
    )


def _check_colour(page: tifffile.TiffPage, path: Path) -> None:
    kind = tifffile.PHOTOMETRIC(page.photometric).name
    if page.bitspersample != 8:
        raise _pixel_kind_error(path, f"{page.bitspersample}-bit {PIXEL_KINDS.get(kind, kind)}")
    if kind not in ("RGB", "YCBCR"):
        raise _pixel_kind_error(path, PIXEL_KINDS.get(kind, kind))


def _decode(path: Path) -> tuple[np.ndarray, PixelSize]:
    with Image.open(path, formats=PILLOW_FORMATS) as image:
        if ";16" in str(image.tile):  # Pillow would truncate 16 bits to 8 silently
            raise _pixel_kind_error(path, "16-bit")
        if image.mode not in ("RGB", "RGBA"):
            raise _pixel_kind_error(path, PIXEL_KINDS.get(image.mode, image.mode))
        most = min(MAX_PIXELS, max(SAFE_PIXELS, MAX_PIXELS_PER_BYTE * path.stat().st_size))
        if image.width * image.height > most:
            raise _too_large_error(path, *image.size, "the image", most)
        image.load()
        tags = exif_tags(image)  # in PNG they may come after the pixels
        check_upright(tags.get(ORIENTATION), path)
        return np.asarray(image), pixel_size_of_image(image, tags)


def _pixel_kind_error(path: Path, what: str) -> UnfitError:
    return UnfitError(
        f"{path} holds {what} pixels; cryotome reads 8-bit RGB only. Convert the "
        "image (on white, where it is transparent), or leave its cells out."
    )


def _unreadable_error(path: Path, error: Exception) -> DataError:
    """Return the error of an unreadable image; raise the disk's error if the disk failed."""
    raise_system_error(error, path)
    kind = file_kind(path)
    other = (
        f"; it begins with {describe_start(path)}" if kind and not kind.endswith("image") else ""
    )
    said = f"{type(error).__name__}: {error}"
    return DataError(f"{path} cannot be read ({said}){other}. Fetch it again.")


def crash_error(path: Path, error: ChildProcessError) -> DataError:
    """Return the error of an image that crashed its reader; raise if the disk failed."""
    raise_system_error(error, path)
    return DataError(f"{path} crashes the process that reads it ({error}). Fetch it again.")


def _is_slide(path: Path) -> bool:
    """Whether OpenSlide can open a file; for a TIFF it reads all pages to decide.

    Raises
    ------
    UnfitError
        The TIFF has more than `MAX_PAGES` pages.
    """
    if is_tiff(path):
        with tifffile.TiffFile(path) as tiff:
            if len(tiff.pages) > MAX_PAGES:
                raise UnfitError(
                    f"{path} has {len(tiff.pages):,} pages, and at most {MAX_PAGES:,} are read. "
                    "Save the levels of its slide alone, or leave its cells out."
                )
    return openslide.OpenSlide.detect_format(path) is not None


def open_image(path: Path) -> OpenImage:
    """Open an image with OpenSlide if possible, else as a flat image.

    Raises
    ------
    DataError
        The file is missing or broken.
    UnfitError
        It is not 8-bit colour, has a rotating orientation tag, or needs too much memory.
    OSError
        The disk fails or denies access.
    """
    if not path.is_file():  # /dev/zero has no end
        raise DataError(f"{path} does not exist or is no file. Put it there, or correct `images:`.")
    try:
        return _Slide(path) if _is_slide(path) else _Flat(path)
    except UNREADABLE as error:
        raise _unreadable_error(path, error) from error


def image_size(path: Path) -> tuple[int, int] | None:
    """Return width and height, level-0 px, from an image's header; None if unreadable."""
    try:
        if path.is_file() and _is_slide(path):
            with openslide.OpenSlide(path) as slide:
                return slide.dimensions
        with Image.open(path, formats=PILLOW_FORMATS) as image:
            return image.size
    except (*UNREADABLE, UnfitError):  # type: ignore[misc]
        return None


def microns_per_pixel(
    image: OpenImage, path: Path, rule: float | str | None, *, overrides: bool | None = None
) -> float:
    """Return µm/px: from the file's tags, else from the card's `mpp`.

    Parameters
    ----------
    rule
        `mpp` of the dataset's card: a number, or `roi_2mm2` for regions that measure 2 mm².
    overrides
        `mpp_overrides_file` of the card: whether the rule replaces the file's value; with None,
        a contradiction is an error.

    Raises
    ------
    CardError
        Neither the file nor the card gives a value.
    UnfitError
        They contradict each other, or µm/px in x and y differ.
    """
    check_resolution((image.mpp, image.aspect), path, rule, overrides)
    if image.mpp and not overrides:
        return image.mpp
    if rule == "roi_2mm2":
        return float((ROI_AREA / (image.size[0] * image.size[1])) ** 0.5)
    if rule is None:
        raise CardError(
            f"{path} does not say how many µm a pixel measures. Write `mpp: 0.25` (your value) in "
            "the dataset's card in config/datasets/, or cut patches at `resolution: native`."
        )
    return float(rule)
