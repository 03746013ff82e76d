"""Open whole slides, flat TIFF and PNG alike: size, µm/px, and windows of pixels."""

import struct
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
import openslide
import tifffile
from PIL import Image

from cryotome.core.errors import CardError, DataError, UnfitError, raise_system_error
from cryotome.core.files import leads_out
from cryotome.data.file_kinds import begins, first_bytes_say
from cryotome.data.file_names import image_named
from cryotome.data.image_tags import (
    ORIENTATION,
    Scale,
    check_resolution,
    check_upright,
    is_tiff,
    page_scale,
    picture_scale,
    picture_tags,
    slide_scale,
)
from cryotome.data.pyramid import Levels

MOST_PIXELS = 400_000_000  # decoded whole, 1.2 GB; ten times a region of MIDOG
SAFE_PIXELS = 50_000_000  # whatever the file weighs; a region of MIDOG has fewer
PIXELS_OF_A_BYTE = 30  # of a larger image: tissue packs to a twentieth, bombs to a thousandth
LONGEST = 240  # bytes of a name; file systems take 255
MOST_PAGES = 1000  # of a TIFF; a slide has a dozen
MOST_TILE = 2**26  # pixels of one tile or strip, decoded at once
Image.MAX_IMAGE_PIXELS = None  # `MOST_PIXELS` is asked for instead, with a sentence

# what Pillow may decode: no others, some of which start programs (EPS: Ghostscript)
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
ROI_AREA = 2e6  # µm²: a MIDOG region measures 2 mm² (Aubreville et al. 2024)


# what Pillow and the tag PhotometricInterpretation call pixels that are not RGB
KINDS = {"L": "grey", "LA": "grey", "1": "black and white", "P": "palette", "I;16": "16-bit grey"}
KINDS |= {"MINISBLACK": "grey", "MINISWHITE": "grey", "SEPARATED": "CMYK", "PALETTE": "palette"}


# what OpenSlide, tifffile and Pillow raise on files that are cut or torn
UNREADABLE: tuple[type[Exception], ...] = (openslide.OpenSlideError, tifffile.TiffFileError)
UNREADABLE += (OSError, ValueError, IndexError, KeyError, TypeError, SyntaxError, EOFError)
UNREADABLE += (ArithmeticError, AttributeError, RuntimeError, AssertionError)
UNREADABLE += (struct.error, zlib.error)


class Opened(Protocol):
    """An image that has been opened once and gives windows of pixels."""

    size: tuple[int, int]  # width, height in level-0 px
    mpp: float | None  # µm per level-0 px across, None where the file does not say
    aspect: float  # height of a pixel by its width, 1 where the file does not say

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        """Return (h, w, 3) uint8 of a window that lies inside the image.

        x, y, width, height are level-0 px. A `shrink` above one allows a pyramid level
        that is at most so many times smaller than level 0; the pixels cover the window exactly.
        """


class _Slide:
    """A file that OpenSlide understands."""

    def __init__(self, path: Path) -> None:
        if is_tiff(path):
            _check_pages(path)
        self._path, self._slide = path, openslide.OpenSlide(path)
        self.size = self._slide.dimensions
        properties = self._slide.properties
        how = (self._slide.level_dimensions, self._slide.level_downsamples)
        self._levels = Levels(*how, self._region)
        self._clear = False  # whether its pixels may be transparent
        if properties[openslide.PROPERTY_NAME_VENDOR] == "generic-tiff":
            with tifffile.TiffFile(path) as tiff:  # OpenSlide turns anything into RGB in silence
                _check_colour(tiff.pages.first, path)
                self._clear = tiff.pages.first.samplesperpixel > 3
        self.mpp, self.aspect = slide_scale(properties)

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        level = self._slide.get_best_level_for_downsample(shrink * 1.01)
        return self._levels.read(level, (x, y), (width, height))

    def _region(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> np.ndarray:
        try:
            region = self._slide.read_region(corner, level, size)
        except UNREADABLE as error:
            raise _broken(self._path, error) from error
        alpha = region.getchannel("A")
        pixels = np.asarray(region.convert("RGB"))
        if alpha.getextrema() == (255, 255):
            return pixels
        if self._clear:
            raise _not_colour(self._path, "transparent")
        # a window that begins between two px of a level has edges that are clear in part
        return np.where(np.asarray(alpha)[..., None] == 0, np.uint8(255), pixels)


class _Flat:
    """A flat image: uncompressed TIFF is mapped, anything else decoded once."""

    def __init__(self, path: Path) -> None:
        if not is_tiff(path):
            self._pixels, (self.mpp, self.aspect) = _decoded(path)
        else:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                check_upright(page.tags.valueof(ORIENTATION), path)
                _check_colour(page, path)
                self.mpp, self.aspect = page_scale(page)
                layout = tifffile.PHOTOMETRIC(page.photometric), page.planarconfig
                mapped = tifffile.PHOTOMETRIC.RGB, tifffile.PLANARCONFIG.CONTIG
                if page.is_memmappable and layout == mapped:
                    self._pixels = tifffile.memmap(path, page=0, mode="r")
                else:
                    self._pixels = _decoded(path)[0]
        if self._pixels.ndim != 3 or self._pixels.shape[2] not in (3, 4):
            raise _not_colour(path, f"{self._pixels.shape[2:] or 'one'}-channel")
        if self._pixels.shape[2] == 4 and (self._pixels[..., 3] != 255).any():
            raise _not_colour(path, "transparent")
        self.size = (self._pixels.shape[1], self._pixels.shape[0])

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        return np.asarray(self._pixels[y : y + height, x : x + width, :3])


def _check_pages(path: Path) -> None:
    """Refuse a TIFF whose pages ask to be turned, or whose first has tiles that no memory holds."""
    with tifffile.TiffFile(path) as tiff:
        _check_tile(tiff.pages.first, path)
        for page in tiff.pages:
            page = page.aspage()
            if page.index == 0 or page.is_tiled:  # a level; the label may lie as it likes
                check_upright(page.tags.valueof(ORIENTATION), path)


def _check_tile(page: tifffile.TiffPage, path: Path) -> None:
    if page.is_tiled and page.tilewidth * page.tilelength > MOST_TILE:
        raise _too_large(path, page.tilewidth, page.tilelength, "a tile", MOST_TILE)


def _too_large(path: Path, width: int, height: int, what: str, most: int) -> UnfitError:
    return UnfitError(
        f"{path} says that {what} has {width:,} x {height:,} pixels, and at most {most:,} are "
        "decoded at once. Save it tiled, as a pyramid or uncompressed, or leave its cells out."
    )


def _check_colour(page: tifffile.TiffPage, path: Path) -> None:
    kind = tifffile.PHOTOMETRIC(page.photometric).name
    if page.bitspersample != 8:
        raise _not_colour(path, f"{page.bitspersample}-bit {KINDS.get(kind, kind)}")
    if kind not in ("RGB", "YCBCR"):
        raise _not_colour(path, KINDS.get(kind, kind))


def _decoded(path: Path) -> tuple[np.ndarray, Scale]:
    with Image.open(path, formats=FORMATS) as image:
        if ";16" in str(image.tile):  # Pillow would cut 16 bits to 8 in silence
            raise _not_colour(path, "16-bit")
        if image.mode not in ("RGB", "RGBA"):
            raise _not_colour(path, KINDS.get(image.mode, image.mode))
        most = min(MOST_PIXELS, max(SAFE_PIXELS, PIXELS_OF_A_BYTE * path.stat().st_size))
        if image.width * image.height > most:
            raise _too_large(path, *image.size, "the image", most)
        image.load()
        tags = picture_tags(image)  # in PNG they may follow the pixels
        check_upright(tags.get(ORIENTATION), path)
        return np.asarray(image), picture_scale(image, tags)


def _not_colour(path: Path, what: str) -> UnfitError:
    return UnfitError(
        f"{path} holds {what} pixels; cryotome reads 8-bit RGB, and guesses nothing. Convert the "
        "image (on white, where it is transparent), or leave its cells out."
    )


def _broken(path: Path, error: Exception) -> DataError:
    """Blame an image for an error, unless the disk is to blame: that passes, and comes back."""
    raise_system_error(error, path)
    kind = first_bytes_say(path)
    other = f"; it begins with {begins(path)}" if kind and not kind.endswith("image") else ""
    said = f"{type(error).__name__}: {error}"
    return DataError(f"{path} cannot be read ({said}){other}. Fetch it again.")


def crash(path: Path, error: ChildProcessError) -> DataError:
    """Blame an image for the crash of the process that read it, unless the disk is to blame."""
    raise_system_error(error, path)
    return DataError(f"{path} crashes what reads it ({error}). Fetch it again.")


def _is_slide(path: Path) -> bool:
    """Whether OpenSlide understands a file; it reads all pages of a TIFF at once to tell.

    Raises
    ------
    UnfitError
        These are more than any slide has.
    """
    if is_tiff(path):
        with tifffile.TiffFile(path) as tiff:
            if len(tiff.pages) > MOST_PAGES:
                raise UnfitError(
                    f"{path} has {len(tiff.pages):,} pages, and at most {MOST_PAGES:,} are read. "
                    "Save the levels of its slide alone, or leave its cells out."
                )
    return openslide.OpenSlide.detect_format(path) is not None


def open_image(path: Path) -> Opened:
    """Open an image once, with OpenSlide where it can, flat otherwise.

    Raises
    ------
    DataError
        The file is missing or broken.
    UnfitError
        It is not 8-bit colour, asks to be turned, or would take too much memory.
    OSError
        The disk fails, or does not let it be read.
    """
    if not path.is_file():  # /dev/zero has no end
        raise DataError(f"{path} does not exist or is no file. Put it there, or correct `images:`.")
    try:
        return _Slide(path) if _is_slide(path) else _Flat(path)
    except UNREADABLE as error:
        raise _broken(path, error) from error


def size_of(path: Path) -> tuple[int, int] | None:
    """Return width and height, level-0 px, from an image's header; None where it cannot be read."""
    try:
        if path.is_file() and _is_slide(path):
            with openslide.OpenSlide(path) as slide:
                return slide.dimensions
        with Image.open(path, formats=FORMATS) as image:
            return image.size
    except (*UNREADABLE, UnfitError):  # type: ignore[misc]
        return None


def filename_problem(name: object) -> str:
    """Say why a name from an annotation file names no image or slide, nothing where it may.

    A name stays below its folder on every system, and no spreadsheet takes it for a formula.

    >>> what_is_odd("Normal/007.tiff"), filename_problem("../007.tiff")
    ('', 'it leads out of the folder')
    """
    if not isinstance(name, str):
        return "it is no text"
    if not name.isprintable():
        return "it has characters that cannot be printed"
    if len(name.encode()) > LONGEST:
        return f"it has more than {LONGEST} bytes"
    if name[:1] in tuple("=+-@"):
        return "a spreadsheet would take it for a formula"
    if leads_out(name):
        return "it leads out of the folder"
    return "it is a hidden file" if PurePosixPath(name).name[:1] == "." else ""


def find_image(folder: Path, name: str) -> Path:
    """Return the image of that name, with whichever suffix of images it has.

    An exact name wins; else the suffix may be another, missing, or in other letters (`.TIF`).
    Only suffixes of images are suffixes: `case.1` is no name of `case.png`. Names in either of
    Unicode's forms (NFC, NFD) are one. Links inside the folder may lead anywhere: they are the
    user's own.

    Raises
    ------
    DataError
        The name is none of an image in that folder, or may mean several.
    """
    odd = filename_problem(name)
    if odd:
        raise DataError(f"{name!r} names no image of {folder}: {odd}. Correct the annotations.")
    return image_named(folder, name)


def microns_per_pixel(
    image: Opened, path: Path, rule: float | str | None, *, overrides: bool | None = None
) -> float:
    """Return µm/px: from the file's tags, else from the card's `mpp`.

    Parameters
    ----------
    rule
        `mpp` of the dataset's card: a number, or `roi_2mm2` for regions that measure 2 mm².
    overrides
        `mpp_overrides_file` of the card: whether the rule holds whatever the file says; None
        where the card does not say, and a contradiction is refused.

    Raises
    ------
    CardError
        Neither the file nor the card says.
    UnfitError
        They contradict each other, or µm/px across and down differ.
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
