"""What an image file says of itself beside its pixels: orientation, µm/px across and down."""

import re
import struct
from collections.abc import Mapping
from pathlib import Path

import tifffile
from PIL import Image

from cryotome.core.errors import UnfitError

MICRONS = {2: 25_400.0, 3: 10_000.0}  # TIFF ResolutionUnit: 2 inch, 3 centimetre
PLAUSIBLE_MPP = (0.05, 20.0)  # µm/px; tags outside say 72 or 96 dots per inch of a screen
SQUARE = 0.01  # most by which µm/px across and down may differ
AGREE = 0.10  # most by which µm/px of the card and of the file may differ
ENLARGED = 1.1  # times from which on a patch or tile is reported as enlarged
ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT = 274, 282, 283, 296  # tags of TIFF and EXIF
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # first bytes, of BigTIFF too

OF_PIXEL = re.compile(r'\bPhysicalSize([XY](?:Unit)?)\s*=\s*["\']([^"\']{1,40})["\']')
OF_IMAGEJ = re.compile(r"^unit=(\S{1,20})", re.MULTILINE)
# µm of what OME-XML and ImageJ call the unit
UNITS = {"µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "microns": 1.0, "\\u00B5m": 1.0}
UNITS |= {"nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "inch": 25_400.0}
NO_EXIF = (SyntaxError, struct.error, ValueError, TypeError, LookupError, OSError, Warning)

Scale = tuple[float | None, float]  # µm/px across, None if not known; height of a px by its width


def is_tiff(path: Path) -> bool:
    """Whether a file begins as TIFF does, whatever its name."""
    with open(path, "rb") as file:
        return file.read(4) in TIFF


def plausible(mpp: float | None) -> float | None:
    """Return µm/px that a microscope can have, None for any other."""
    return mpp if mpp and PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1] else None


def mpp_from_tags(resolution: float, unit: int) -> float | None:
    """Return µm/px from the TIFF tags XResolution and ResolutionUnit, None if they say nothing.

    >>> mpp_from_tags(101600, 2), mpp_from_tags(40000, 3)
    (0.25, 0.25)
    >>> mpp_from_tags(72, 2), mpp_from_tags(1, 1)
    (None, None)
    """
    return plausible(MICRONS[unit] / resolution) if unit in MICRONS and resolution else None


def tag_scale(x: float, y: float, unit: int) -> Scale:
    """Return µm/px across, and how many times as high as wide a pixel is, from TIFF tags.

    Parameters
    ----------
    x, y
        XResolution and YResolution; where one is 0, as if it were the other.

    >>> tag_scale(40000, 20000, 3), tag_scale(0, 40000, 3), tag_scale(1, 2, 1)
    ((0.25, 2.0), (0.25, 1.0), (None, 0.5))
    """
    x, y = x or y, y or x
    return mpp_from_tags(x, unit), x / y if x > 0 and y > 0 else 1.0


def described_scale(text: str, x: float, y: float) -> Scale:
    """Return the same from what OME-XML or ImageJ write as a TIFF's description.

    Parameters
    ----------
    text
        ImageDescription.
    x, y
        XResolution and YResolution, which ImageJ counts by its own unit.

    >>> described_scale('<Pixels PhysicalSizeX="0.25" PhysicalSizeY="0.5">', 1, 1)
    (0.25, 2.0)
    >>> described_scale("ImageJ=1.53\\nunit=micron\\n", 4, 4), described_scale("by hand", 4, 2)
    ((0.25, 1.0), (None, 2.0))
    """
    unit = OF_IMAGEJ.search(text) if text.startswith("ImageJ=") else None
    if unit and unit[1] in UNITS:
        return (plausible(UNITS[unit[1]] / x) if x > 0 else None), tag_scale(x, y, 1)[1]
    said: dict[str, str] = {}
    for name, value in OF_PIXEL.findall(text) if "<Pixels" in text else ():
        said.setdefault(name, value)  # of the first image
    try:
        across, down = (
            float(said[axis]) * UNITS[said.get(f"{axis}Unit", "µm")] for axis in ("X", "Y")
        )
    except (KeyError, ValueError):
        return tag_scale(x, y, 1)
    return plausible(across), (down / across if across > 0 and down > 0 else 1.0)


def page_scale(page: tifffile.TiffPage) -> Scale:
    """Return `tag_scale` of a page of a TIFF, by its description where its tags do not say."""
    x, y = (_number(page, tag) for tag in (X_RESOLUTION, Y_RESOLUTION))
    said = tag_scale(x, y, int(page.tags.valueof(UNIT, 2)))  # inch where not said, as TIFF 6.0
    return said if said[0] else described_scale(page.description, x, y)


def _number(page: tifffile.TiffPage, tag: int) -> float:
    over, under = page.tags.valueof(tag, (0, 1))
    return over / under if under else 0.0


def picture_tags(image: Image.Image) -> dict[int, float]:
    """Return orientation and resolutions of an image's EXIF, those that are numbers.

    Bytes that are no EXIF say nothing: the pixels are whole without them.
    """
    try:
        tags = image.getexif()
        named = {tag: tags.get(tag) for tag in (ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT)}
        whole = {tag: n for tag, n in named.items() if isinstance(n, int)}
        sides = {tag: float(named[tag] or 0) for tag in (X_RESOLUTION, Y_RESOLUTION)}
    except NO_EXIF:
        return {}
    return whole | sides


def picture_scale(image: Image.Image, tags: Mapping[int, float]) -> Scale:
    """Return `tag_scale` of a PNG, JPEG, BMP or WebP, from EXIF, dots per inch, or its aspect."""
    across, down = tags.get(X_RESOLUTION, 0.0), tags.get(Y_RESOLUTION, 0.0)
    if across > 0 and down > 0:
        return tag_scale(across, down, int(tags.get(UNIT, 2)))
    unitless = image.info.get("aspect")
    if unitless is None and image.info.get("jfif_unit") == 0:
        unitless = image.info["jfif_density"]
    x, y = (float(value) for value in unitless or image.info.get("dpi", (0, 0)))
    return tag_scale(x, y, 1 if unitless else 2)


def slide_scale(properties: Mapping[str, str]) -> Scale:
    """Return µm/px across and the aspect of a pixel, by OpenSlide's properties."""
    said = [float(properties.get(f"openslide.mpp-{axis}", 0)) for axis in "xy"]
    if any(said):
        x, y = said[0] or said[1], said[1] or said[0]
        return plausible(x), y / x
    unit = {"inch": 2, "centimeter": 3}.get(properties.get("tiff.ResolutionUnit", ""), 1)
    x, y = (float(properties.get(f"tiff.{axis}Resolution", 0)) for axis in "XY")
    tags = tag_scale(x, y, unit)
    return tags if tags[0] else described_scale(properties.get("tiff.ImageDescription", ""), x, y)


def contradiction(mpp: float | None, path: Path, rule: float | str | None) -> str:
    """Say that a file and the dataset's card differ by more than 10 % in µm/px, else nothing.

    Parameters
    ----------
    mpp
        What the file says.
    rule
        `mpp` of the card. What is derived from the image's size is no contradiction.
    """
    if not mpp or not isinstance(rule, int | float) or abs(rule / mpp - 1) <= AGREE:
        return ""
    return (
        f"{path} says {mpp:.4g} µm/px, and the dataset's card says `mpp: {rule:g}`. Correct the "
        "one that is wrong, or decide in the card: `mpp_overrides_file: true` takes the card's "
        "for all files, `false` each file's own where it says one."
    )


def check_resolution(
    scale: Scale, path: Path, rule: float | str | None, overrides: bool | None
) -> None:
    """Refuse pixels that are not square, and µm/px of file and card that contradict each other.

    Parameters
    ----------
    scale
        What the file says.
    rule, overrides
        `mpp` and `mpp_overrides_file` of the dataset's card, None where it does not say.

    Raises
    ------
    UnfitError
        µm/px across and down differ by more than 1 %, and the card does not override them; or
        file and card differ by more than 10 %, and the card does not say which one holds.
    """
    mpp, aspect = scale
    if abs(aspect - 1) > SQUARE and not overrides:
        both = f"{mpp:.4g} µm/px across and {mpp * aspect:.4g} µm/px down" if mpp else ""
        raise UnfitError(
            f"{path} says that its pixels are not square: "
            f"{both or f'{aspect:.4g} times as high as wide'}. Resample it, correct its tags, or, "
            "where they are wrong, write the right µm/px as `mpp:` and `mpp_overrides_file: true` "
            "into the dataset's card."
        )
    odd = contradiction(mpp, path, rule) if overrides is None else ""
    if odd:
        raise UnfitError(odd)


def check_upright(orientation: float | None, path: Path) -> None:
    """Refuse an image that asks to be turned or mirrored; None where it does not say.

    Libraries differ: some turn such pixels, some do not, some turn each tile in its place.

    Raises
    ------
    UnfitError
        The orientation is not 1, the upright one.
    """
    if orientation not in (None, 1):
        raise UnfitError(
            f"{path} says orientation {orientation!s:.40}: turn or mirror the pixels before use. "
            "Programs differ in doing so, and positions of cells with them. Save the image with "
            "orientation 1, turned as its annotations expect (`exiftool -n -Orientation=1 FILE` "
            "where the stored pixels fit them already), or leave it out."
        )
