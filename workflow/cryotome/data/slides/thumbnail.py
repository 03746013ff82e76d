"""Thumbnails of slides, for the tissue mask."""

import numpy as np
from PIL import Image

from cryotome.data.images import OpenImage

MAX_MPP = 8.0  # µm/px; for small tiles an eighth of a tile
PIXELS_AT_ONCE = 2**24  # pixels read at once


def thumbnail_resolution(tile: float) -> float:
    """Return µm/px of the thumbnail for tiles of a given side, µm.

    >>> thumbnail_resolution(256), thumbnail_resolution(32)
    (8.0, 4.0)
    """
    return min(MAX_MPP, tile / 8)


def read_thumbnail(image: OpenImage, shrink: float) -> np.ndarray:
    """Read a whole slide, reduced by a factor, in strips that need little memory.

    Returns
    -------
    (h, w, 3) uint8, each px the mean of the px it covers on the level that was read

    Raises
    ------
    DataError
        The slide cannot be read.
    """
    width, height = image.size
    columns, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    strips, row, step = [], 0, max(1, int(PIXELS_AT_ONCE / (width * shrink)))
    while row < rows:
        end = min(row + step, rows)
        top, bottom = round(row * height / rows), round(end * height / rows)
        pixels = image.read(0, top, width, max(bottom - top, 1), shrink)
        strips.append(resized(pixels, (columns, end - row), Image.Resampling.BOX))
        # a pyramid level has fewer pixels than level 0
        step = max(1, PIXELS_AT_ONCE * (end - row) // (pixels.shape[0] * pixels.shape[1]))
        row = end
    return np.concatenate(strips)


def resized(
    pixels: np.ndarray,
    size: tuple[int, int],
    how: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    """Resize pixels (h, w, 3) uint8, or a box (x0, y0, x1, y1) of them, to (width, height)."""
    return np.asarray(Image.fromarray(pixels).resize(size, how, box=box))
