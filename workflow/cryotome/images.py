"""Open whole slides, flat TIFF and PNG alike: size, µm/px, and windows of pixels."""

import errno
import struct
import zlib
from pathlib import Path
from typing import Protocol

import numpy as np
import openslide
import tifffile
from PIL import Image

from cryotome.errors import CardError, DataError
from cryotome.failures import WAYS_OUT
from cryotome.paths import leads_out

MOST_PIXELS = 400_000_000  # decoded whole, 1.2 GB; ten times a region of MIDOG
SAFE_PIXELS = 50_000_000  # whatever the file weighs; a region of MIDOG has fewer
PIXELS_OF_A_BYTE = 30  # of a larger image: tissue packs to a twentieth, bombs to a thousandth
LONGEST = 240  # bytes of a name; file systems take 255
MOST_TILE = 2**26  # pixels of one tile or strip, decoded at once
Image.MAX_IMAGE_PIXELS = None  # `MOST_PIXELS` is asked for instead, with a sentence

# what Pillow may decode: no others, some of which start programs (EPS: Ghostscript)
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP")
MICRONS = {2: 25_400.0, 3: 10_000.0}  # TIFF ResolutionUnit: 2 inch, 3 centimetre
PLAUSIBLE_MPP = (0.05, 20.0)  # µm/px; tags outside say 72 or 96 dots per inch of a screen
ROI_AREA = 2e6  # µm²: a MIDOG region measures 2 mm² (Aubreville et al. 2024)
ENDINGS = (".tiff", ".tif", ".png", ".svs", ".jpg")  # which an image may have instead of its own


# what Pillow and the tag PhotometricInterpretation call pixels that are not RGB
KINDS = {"L": "grey", "LA": "grey", "1": "black and white", "P": "palette", "I;16": "16-bit grey"}
KINDS |= {"MINISBLACK": "grey", "MINISWHITE": "grey", "SEPARATED": "CMYK", "PALETTE": "palette"}


# what OpenSlide, tifffile and Pillow raise on files that are cut or torn
UNREADABLE: tuple[type[Exception], ...] = (openslide.OpenSlideError, tifffile.TiffFileError)
UNREADABLE += (OSError, ValueError, IndexError, KeyError, TypeError, SyntaxError, EOFError)
UNREADABLE += (ArithmeticError, AttributeError, RuntimeError, AssertionError)
UNREADABLE += (struct.error, zlib.error)


CHUNK = 2**24  # bytes read at once


class Opened(Protocol):
    """An image that has been opened once and gives windows of pixels."""

    size: tuple[int, int]  # width, height in level-0 px
    mpp: float | None  # µm per level-0 px, None where the file does not say

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        """Return (h, w, 3) uint8 of a window that lies inside the image.

        x, y, width, height are level-0 px. A `shrink` above one allows a pyramid level
        that is at most so many times smaller than level 0.
        """


def _plausible(mpp: float | None) -> float | None:
    return mpp if mpp and PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1] else None


def tag_mpp(resolution: float, unit: int) -> float | None:
    """Return µm/px from the TIFF tags XResolution and ResolutionUnit, None if they say nothing.

    >>> round(tag_mpp(102351, 2), 4), tag_mpp(40000, 3), tag_mpp(72, 2), tag_mpp(1, 1)
    (0.2482, 0.25, None, None)
    """
    return _plausible(MICRONS[unit] / resolution) if unit in MICRONS and resolution else None


class _Slide:
    """A file that OpenSlide understands."""

    def __init__(self, path: Path) -> None:
        _check_tiles(path)
        self._path, self._slide = path, openslide.OpenSlide(path)
        self.size = self._slide.dimensions
        properties = self._slide.properties
        self._clear = False  # whether its pixels may be transparent
        if properties[openslide.PROPERTY_NAME_VENDOR] == "generic-tiff":
            with tifffile.TiffFile(path) as tiff:  # OpenSlide turns anything into RGB in silence
                _check_colour(tiff.pages.first, path)
                self._clear = tiff.pages.first.samplesperpixel > 3
        said = properties.get(openslide.PROPERTY_NAME_MPP_X)
        units = {"inch": 2, "centimeter": 3}
        unit = units.get(properties.get("tiff.ResolutionUnit", ""), 1)
        tagged = tag_mpp(float(properties.get("tiff.XResolution", 0)), unit)
        self.mpp = _plausible(float(said)) if said else tagged

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        level = self._slide.get_best_level_for_downsample(shrink * 1.01)
        scale = self._slide.level_downsamples[level]
        size = (max(1, round(width / scale)), max(1, round(height / scale)))
        try:
            region = self._slide.read_region((x, y), level, size)
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
        self.mpp = None
        pixels = None
        if path.suffix.lower() in {".tif", ".tiff"}:
            with tifffile.TiffFile(path) as tiff:
                page = tiff.pages.first
                tags = {tag.name: tag.value for tag in page.tags}
                over, under = tags.get("XResolution", (0, 1))
                self.mpp = tag_mpp(over / under if under else 0, int(tags.get("ResolutionUnit", 1)))
                _check_colour(page, path)
                layout = tifffile.PHOTOMETRIC(page.photometric), page.planarconfig
                mapped = tifffile.PHOTOMETRIC.RGB, tifffile.PLANARCONFIG.CONTIG
                if page.is_memmappable and layout == mapped:
                    pixels = tifffile.memmap(path, page=0, mode="r")
        self._pixels = _decoded(path) if pixels is None else pixels
        if self._pixels.ndim != 3 or self._pixels.shape[2] not in (3, 4):
            raise _not_colour(path, f"{self._pixels.shape[2:] or 'one'}-channel")
        if self._pixels.shape[2] == 4 and (self._pixels[..., 3] != 255).any():
            raise _not_colour(path, "transparent")
        self.size = (self._pixels.shape[1], self._pixels.shape[0])

    def read(self, x: int, y: int, width: int, height: int, shrink: float = 1) -> np.ndarray:
        return np.asarray(self._pixels[y : y + height, x : x + width, :3])


def _check_tiles(path: Path) -> None:
    """Refuse a TIFF whose first page has tiles that no memory holds; slides of other kinds pass."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return
    with tifffile.TiffFile(path) as tiff:
        _check_tile(tiff.pages.first, path)


def _check_tile(page: tifffile.TiffPage, path: Path) -> None:
    if page.is_tiled and page.tilewidth * page.tilelength > MOST_TILE:
        raise _too_large(path, page.tilewidth, page.tilelength, "a tile", MOST_TILE)


def _too_large(path: Path, width: int, height: int, what: str, most: int) -> DataError:
    return DataError(
        f"{path} says that {what} has {width:,} x {height:,} pixels, and at most {most:,} are "
        "decoded at once. Save it tiled, as a pyramid or uncompressed, or leave its cells out."
    )


def _check_colour(page: tifffile.TiffPage, path: Path) -> None:
    kind = tifffile.PHOTOMETRIC(page.photometric).name
    if page.bitspersample != 8:
        raise _not_colour(path, f"{page.bitspersample}-bit {KINDS.get(kind, kind)}")
    if kind not in ("RGB", "YCBCR"):
        raise _not_colour(path, KINDS.get(kind, kind))


def _decoded(path: Path) -> np.ndarray:
    with Image.open(path, formats=FORMATS) as image:
        if any(
            ";16" in str(tile.args) for tile in image.tile
        ):  # Pillow would cut 16 bits to 8 in silence
            raise _not_colour(path, "16-bit")
        if image.mode not in ("RGB", "RGBA"):
            raise _not_colour(path, KINDS.get(image.mode, image.mode))
        most = min(MOST_PIXELS, max(SAFE_PIXELS, PIXELS_OF_A_BYTE * path.stat().st_size))
        if image.width * image.height > most:
            raise _too_large(path, *image.size, "the image", most)
        return np.asarray(image)


def _not_colour(path: Path, what: str) -> DataError:
    return DataError(
        f"{path} holds {what} pixels; cryotome reads 8-bit RGB, and guesses nothing. Convert the "
        "image (on white, where it is transparent), or leave its cells out."
    )


def _broken(path: Path, error: Exception) -> Exception:
    """Blame an image for an error, unless the disk is to blame: that passes, and comes back."""
    if isinstance(error, openslide.OpenSlideError):  # it keeps the number of the disk's error
        try:
            with open(path, "rb", buffering=0) as file:
                while file.read(CHUNK):
                    pass
        except OSError as failed:
            return failed
    number = getattr(error, "errno", None)
    if number in WAYS_OUT and number != errno.ENOENT:
        return error
    return DataError(f"{path} cannot be read ({type(error).__name__}: {error}). Fetch it again.")


def open_image(path: Path) -> Opened:
    """Open an image once, with OpenSlide where it can, flat otherwise.

    Raises
    ------
    DataError
        The file is missing or broken, or is not 8-bit colour.
    OSError
        The disk fails, or does not let it be read.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist. Put the image there, or correct `images:`.")
    try:
        return _Slide(path) if openslide.OpenSlide.detect_format(path) else _Flat(path)
    except UNREADABLE as error:
        raise _broken(path, error) from error


def what_is_odd(name: object) -> str:
    """Say why a name from an annotation file names no image or slide, nothing where it may.

    A name stays below its folder on every system, and no spreadsheet takes it for a formula.

    >>> what_is_odd("Normal/007.tiff"), what_is_odd("../007.tiff")
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
    return ""


def find_image(folder: Path, name: str) -> Path:
    """Return the image of that name, whichever of the usual extensions it has.

    Links inside the folder may lead anywhere: they are the user's own.

    Raises
    ------
    DataError
        The name is none of an image in that folder.
    """
    odd = what_is_odd(name)
    if odd:
        raise DataError(f"{name!r} names no image of {folder}: {odd}. Correct the annotations.")
    named = folder / name
    others = [named.with_suffix(end) for end in ENDINGS]
    return next((path for path in (named, *others) if path.exists()), named)


def microns_per_pixel(image: Opened, path: Path, rule: float | str | None) -> float:
    """Return µm/px: from the file's tags, else from the card's `mpp`.

    Parameters
    ----------
    rule
        `mpp` of the dataset's card: a number, or `roi_2mm2` for regions that measure 2 mm².

    Raises
    ------
    CardError
        Neither the file nor the card says.
    """
    if image.mpp:
        return image.mpp
    if rule == "roi_2mm2":
        return float((ROI_AREA / (image.size[0] * image.size[1])) ** 0.5)
    if rule is None:
        raise CardError(
            f"{path} does not say how many µm a pixel measures. Write `mpp: 0.25` (your value) in "
            "the dataset's card in config/datasets/, or cut patches at `resolution: native`."
        )
    return float(rule)
