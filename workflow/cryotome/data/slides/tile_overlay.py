"""Overlay image of a tessellated slide: tissue outlined, kept tiles framed."""

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cryotome.core.files import atomic_write
from cryotome.data.slides.tessellation import Tessellation

MAX_SIDE, MIN_WIDTH = 768, 440  # px: longer side of the image; least width for its caption
MAX_ENLARGEMENT = 8  # times a thumbnail is enlarged at most
TISSUE, TILE, FRAME = (20, 130, 40), (20, 70, 200), (190, 190, 190)
NOTICE, INK = (178, 34, 34), (40, 40, 40)
SMALL, LETTER, LINE, MARGIN = 13, 7, 18, 8  # px: font size, letter width, line height, margin
LINES = 4  # at most, of each part of the caption
Box = tuple[float, float, float, float]


def draw_overlay(found: Tessellation, title: str, notice: str) -> Image.Image:
    """Draw the thumbnail of a slide with the outlines of tissue and tiles, above a caption.

    Parameters
    ----------
    title
        Name of the slide.
    notice
        States that the tissue is synthetic; empty if it is not.
    """
    return caption(_draw_outlines(found), notice, [title, _summary(found), found.reason])


def caption(picture: Image.Image, notice: str, said: list[str]) -> Image.Image:
    """Put lines of text below a picture, the notice first and in red."""
    width = max(picture.width, MIN_WIDTH)
    lines = [  # Pillow's default font has no µ
        (line.replace("µ", "u"), ink)
        for text, ink in [(notice.upper(), NOTICE), *((text, INK) for text in said)]
        for line in wrap(text, (width - 2 * MARGIN) // LETTER)[:LINES]
    ]
    page = Image.new("RGB", (width, picture.height + 2 * MARGIN + LINE * len(lines)), "white")
    page.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(page)
    for row, (line, ink) in enumerate(lines):
        at = (MARGIN, picture.height + MARGIN + row * LINE)
        pen.text(at, line, fill=ink, font=ImageFont.load_default(SMALL))
    return page


def _draw_outlines(found: Tessellation) -> Image.Image:
    if not found.mask.size:
        return Image.new("RGB", (MIN_WIDTH, 0))
    picture = enlarged(found.thumbnail)
    size = picture.size
    pen = ImageDraw.Draw(picture)
    for box in tile_boxes(found.coords, found.side, np.array(size) / found.size):
        pen.rectangle(box, outline=TILE)
    inside = np.asarray(Image.fromarray(found.mask).resize(size, Image.Resampling.NEAREST))
    pen.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=FRAME)
    edge = inside & ~ndimage.binary_erosion(inside, np.ones((3, 3)), iterations=2)
    picture.paste(TISSUE, mask=Image.fromarray(edge))
    return picture


def enlarged(thumbnail: np.ndarray) -> Image.Image:
    """Return a thumbnail (h, w, 3) uint8 at the size of a picture for people."""
    height, width = thumbnail.shape[:2]
    times = min(MAX_SIDE / max(height, width), MAX_ENLARGEMENT)
    size = (max(1, round(width * times)), max(1, round(height * times)))
    return Image.fromarray(thumbnail).resize(size, Image.Resampling.BICUBIC)


def tile_boxes(coords: np.ndarray, side: float, scale: np.ndarray) -> Iterator[Box]:
    """Yield left, top, right and bottom of each tile in a picture.

    Parameters
    ----------
    coords, side
        Upper left corners (n, 2) and side, level-0 px.
    scale : (2,)
        px of the picture per level-0 px, across and down.
    """
    for corner in coords:
        (left, top), (right, bottom) = corner * scale, (corner + side) * scale - 1
        yield left, top, max(left, right), max(top, bottom)


def _summary(found: Tessellation) -> str:
    if not found.mask.size:
        return f"{found.status}: no tiles"
    return (
        f"{found.status}: {len(found.coords):,} tiles of {found.side * found.mpp:g} µm (blue), "
        f"{100 * found.mask.mean():.0f} % tissue (green), {found.mpp:.4g} µm/px"
    )


def save_overlay(picture: Path, found: Tessellation, title: str, notice: str) -> None:
    """Write the picture as a PNG of at most 256 colours."""
    with atomic_write(picture) as beside:
        draw_overlay(found, title, notice).quantize(256).save(beside, "PNG", optimize=True)
