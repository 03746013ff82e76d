"""Pixel size in µm and orientation of an image, from its file's metadata."""

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import tifffile
from PIL import Image

from cryotome.core.errors import UnfitError

MICRONS_PER_UNIT = {2: 25_400.0, 3: 10_000.0}  # TIFF ResolutionUnit: 2 inch, 3 centimetre
PLAUSIBLE_MPP = (0.05, 20.0)  # µm/px; tags outside are 72 or 96 dots per inch of a screen
ASPECT_TOLERANCE = 0.01  # relative; largest allowed difference of µm/px in x and y
MPP_TOLERANCE = 0.10  # relative; largest allowed difference of µm/px in card and file
ENLARGED_FROM = 1.1  # times; a patch or tile enlarged more is reported
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = (
    274,
    282,
    283,
    296,
)  # tags of TIFF and EXIF
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # first bytes, of BigTIFF too

OME_PIXEL_SIZE = re.compile(r'\bPhysicalSize([XY](?:Unit)?)\s*=\s*["\']([^"\']{1,40})["\']')
IMAGEJ_UNIT = re.compile(r"^unit=(\S{1,20})", re.MULTILINE)
# µm per unit, by its name in OME-XML and ImageJ
UNIT_MICRONS = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "\\u00B5m": 1.0}
UNIT_MICRONS |= {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25_400.0}
EXIF_ERRORS = (SyntaxError, struct.error, ValueError, TypeError, LookupError, OSError, Warning)

PixelSize = tuple[
    float | None, float
]  # µm/px across, None if not known; height of a px by its width


def is_tiff(path: Path) -> bool:
    """Whether a file begins like a TIFF, whatever its name."""
    with open(path, "rb") as file:
        return file.read(4) in TIFF_SIGNATURES


def plausible_mpp(mpp: float | None) -> float | None:
    """Return µm/px if a microscope can have it, else None."""
    return mpp if mpp and PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1] else None


def mpp_from_tags(resolution: float, unit: int) -> float | None:
    """Return µm/px from the TIFF tags XResolution and ResolutionUnit, None if they give none.

    >>> mpp_from_tags(101600, 2), mpp_from_tags(40000, 3)
    (0.25, 0.25)
    >>> mpp_from_tags(72, 2), mpp_from_tags(1, 1)
    (None, None)
    """
    return (
        plausible_mpp(MICRONS_PER_UNIT[unit] / resolution)
        if unit in MICRONS_PER_UNIT and resolution
        else None
    )


def pixel_size_from_tags(x: float, y: float, unit: int) -> PixelSize:
    """Return µm/px in x and the aspect (height by width) of a pixel, from TIFF tags.

    Parameters
    ----------
    x, y
        XResolution and YResolution; if one is 0, the other holds for both.

    >>> pixel_size_from_tags(40000, 20000, 3), pixel_size_from_tags(0, 40000, 3)
    ((0.25, 2.0), (0.25, 1.0))
    >>> pixel_size_from_tags(1, 2, 1)
    (None, 0.5)
    """
    x, y = x or y, y or x
    return mpp_from_tags(x, unit), x / y if x > 0 and y > 0 else 1.0


def pixel_size_from_description(text: str, x: float, y: float) -> PixelSize:
    """Return the same from the ImageDescription of OME-TIFF or ImageJ.

    Parameters
    ----------
    text
        ImageDescription.
    x, y
        XResolution and YResolution, which ImageJ gives in its own unit.

    >>> pixel_size_from_description('<Pixels PhysicalSizeX="0.25" PhysicalSizeY="0.5">', 1, 1)
    (0.25, 2.0)
    >>> pixel_size_from_description("ImageJ=1.53\\nunit=micron\\n", 4, 4)
    (0.25, 1.0)
    >>> pixel_size_from_description("by hand", 4, 2)
    (None, 2.0)
    """
    unit = IMAGEJ_UNIT.search(text) if text.startswith("ImageJ=") else None
    if unit and unit[1] in UNIT_MICRONS:
        return (plausible_mpp(UNIT_MICRONS[unit[1]] / x) if x > 0 else None), pixel_size_from_tags(
            x, y, 1
        )[1]
    said: dict[str, str] = {}
    for name, value in OME_PIXEL_SIZE.findall(text) if "<Pixels" in text else ():
        said.setdefault(name, value)  # of the first image
    try:
        across, down = (
            float(said[axis]) * UNIT_MICRONS[said.get(f"{axis}Unit", "µm")] for axis in ("X", "Y")
        )
    except (KeyError, ValueError):
        return pixel_size_from_tags(x, y, 1)
    return plausible_mpp(across), (down / across if across > 0 and down > 0 else 1.0)


def pixel_size_of_page(page: tifffile.TiffPage) -> PixelSize:
    """Return the pixel size of a TIFF page, from its tags or else its description."""
    x, y = (_number(page, tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
    said = pixel_size_from_tags(
        x, y, int(page.tags.valueof(RESOLUTION_UNIT, 2))
    )  # inch where not said, as TIFF 6.0
    return said if said[0] else pixel_size_from_description(page.description, x, y)


def _number(page: tifffile.TiffPage, tag: int) -> float:
    over, under = page.tags.valueof(tag, (0, 1))
    return over / under if under else 0.0


def exif_tags(image: Image.Image) -> dict[int, float]:
    """Return orientation and resolutions of an image's EXIF, as far as they are numbers.

    Damaged EXIF is ignored: the pixels do not depend on it.
    """
    try:
        tags = image.getexif()
        named = {
            tag: tags.get(tag) for tag in (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
        }
        whole = {tag: n for tag, n in named.items() if isinstance(n, int)}
        sides = {tag: float(named[tag] or 0) for tag in (X_RESOLUTION, Y_RESOLUTION)}
    except EXIF_ERRORS:
        return {}
    return whole | sides


def pixel_size_of_image(image: Image.Image, tags: Mapping[int, float]) -> PixelSize:
    """Return the pixel size of a PNG, JPEG, BMP or WebP, from EXIF, dots per inch or aspect."""
    across, down = tags.get(X_RESOLUTION, 0.0), tags.get(Y_RESOLUTION, 0.0)
    if across > 0 and down > 0:
        return pixel_size_from_tags(across, down, int(tags.get(RESOLUTION_UNIT, 2)))
    unitless = image.info.get("aspect")
    if unitless is None and image.info.get("jfif_unit") == 0:
        unitless = image.info["jfif_density"]
    x, y = (float(value) for value in unitless or image.info.get("dpi", (0, 0)))
    return pixel_size_from_tags(x, y, 1 if unitless else 2)


def pixel_size_of_slide(properties: Mapping[str, str]) -> PixelSize:
    """Return µm/px in x and the aspect of a pixel, from OpenSlide's properties."""
    said = [float(properties.get(f"openslide.mpp-{axis}", 0)) for axis in "xy"]
    if any(said):
        x, y = said[0] or said[1], said[1] or said[0]
        return plausible_mpp(x), y / x
    unit = {"inch": 2, "centimeter": 3}.get(properties.get("tiff.ResolutionUnit", ""), 1)
    x, y = (float(properties.get(f"tiff.{axis}Resolution", 0)) for axis in "XY")
    tags = pixel_size_from_tags(x, y, unit)
    return (
        tags
        if tags[0]
        else pixel_size_from_description(properties.get("tiff.ImageDescription", ""), x, y)
    )


def mpp_conflict(mpp: float | None, path: Path, rule: float | str | None) -> str:
    """Return a message if file and dataset card differ by more than 10 % in µm/px, else "".

    Parameters
    ----------
    mpp
        µm/px in the file.
    rule
        `mpp` of the card. Values derived from the image's size never contradict.
    """
    if not mpp or not isinstance(rule, int | float) or abs(rule / mpp - 1) <= MPP_TOLERANCE:
        return ""
    return (
        f"{path} has {mpp:.4g} µm/px in its tags, and the dataset's card has `mpp: {rule:g}`. "
        "Correct the wrong one, or decide in the card: `mpp_overrides_file: true` uses the card's "
        "value for all files, `false` each file's own value where it has one."
    )


def check_resolution(
    scale: PixelSize, path: Path, rule: float | str | None, overrides: bool | None
) -> None:
    """Refuse pixels that are not square, and contradicting µm/px of file and card.

    Parameters
    ----------
    scale
        Pixel size in the file.
    rule, overrides
        `mpp` and `mpp_overrides_file` of the dataset's card, None if absent.

    Raises
    ------
    UnfitError
        µm/px in x and y differ by more than 1 %, and the card does not override them; or file
        and card differ by more than 10 %, and the card does not state which to use.
    """
    mpp, aspect = scale
    if abs(aspect - 1) > ASPECT_TOLERANCE and not overrides:
        both = f"{mpp:.4g} µm/px across and {mpp * aspect:.4g} µm/px down" if mpp else ""
        raise UnfitError(
            f"{path} has pixels that are not square, by its tags: "
            f"{both or f'{aspect:.4g} times as high as wide'}. Resample it, correct its tags, or, "
            "where they are wrong, write the right µm/px as `mpp:` and `mpp_overrides_file: true` "
            "into the dataset's card."
        )
    odd = mpp_conflict(mpp, path, rule) if overrides is None else ""
    if odd:
        raise UnfitError(odd)


def check_upright(orientation: float | None, path: Path) -> None:
    """Refuse an image whose orientation tag rotates or mirrors it; None if it has no tag.

    Libraries differ: some rotate such pixels, some do not, some rotate each tile in place.

    Raises
    ------
    UnfitError
        The orientation is not 1, the upright one.
    """
    if orientation not in (None, 1):
        raise UnfitError(
            f"{path} has the orientation tag {orientation!s:.40}: rotate or mirror its pixels. "
            "Programs differ in doing so, and so do positions of cells. Save the image with "
            "orientation 1, rotated as its annotations expect (`exiftool -n -Orientation=1 FILE` "
            "where the stored pixels fit them already), or leave it out."
        )
