"""Overlay image of a tessellated slide: tissue outlined, kept tiles framed."""

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


def draw_overlay(found: Tessellation, title: str, notice: str) -> Image.Image:
    """Draw the thumbnail of a slide with the outlines of tissue and tiles, above a caption.

    Parameters
    ----------
    title
        Name of the slide.
    notice
        States that the tissue is synthetic; empty if it is not.
    """
    picture = _draw_outlines(found)
    width = max(picture.width, MIN_WIDTH)
    said = [(notice.upper(), NOTICE), (title, INK), (_summary(found), INK), (found.reason, INK)]
    lines = [  # Pillow's default font has no µ
        (line.replace("µ", "u"), ink)
        for text, ink in said
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
    height, width = found.mask.shape
    if not found.mask.size:
        return Image.new("RGB", (MIN_WIDTH, 0))
    times = min(MAX_SIDE / max(height, width), MAX_ENLARGEMENT)
    size = (max(1, round(width * times)), max(1, round(height * times)))
    picture = Image.fromarray(found.thumbnail).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    scale = np.array(size) / found.size  # px of the picture per level-0 px
    for corner in found.coords:
        (left, top), (right, bottom) = corner * scale, (corner + found.side) * scale - 1
        pen.rectangle((left, top, max(left, right), max(top, bottom)), outline=TILE)
    inside = np.asarray(Image.fromarray(found.mask).resize(size, Image.Resampling.NEAREST))
    pen.rectangle((0, 0, size[0] - 1, size[1] - 1), outline=FRAME)
    edge = inside & ~ndimage.binary_erosion(inside, np.ones((3, 3)), iterations=2)
    picture.paste(TISSUE, mask=Image.fromarray(edge))
    return picture


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
