"""Thumbnails of slides, for the tissue mask."""

import numpy as np
from PIL import Image

from cryotome.data.images import Opened

THUMBNAIL = 8.0  # µm/px at most, and an eighth of a tile where tiles are small


AT_ONCE = 2**24  # pixels read at once for a thumbnail


def thumbnail_resolution(tile: float) -> float:
    """Return µm/px of the thumbnail for tiles of so many µm.

    >>> thumbnail_resolution(256), thumbnail_resolution(32)
    (8.0, 4.0)
    """
    return min(THUMBNAIL, tile / 8)


def read_thumbnail(image: Opened, shrink: float) -> np.ndarray:
    """Read a whole slide so many times smaller, strip by strip, in little memory.

    Returns
    -------
    (h, w, 3) uint8, each px the mean of those it covers on the level that was read

    Raises
    ------
    DataError
        The slide cannot be read.
    """
    width, height = image.size
    columns, rows = max(1, round(width / shrink)), max(1, round(height / shrink))
    strips, row, step = [], 0, max(1, int(AT_ONCE / (width * shrink)))
    while row < rows:
        end = min(row + step, rows)
        top, bottom = round(row * height / rows), round(end * height / rows)
        pixels = image.read(0, top, width, max(bottom - top, 1), shrink)
        strips.append(_resized(pixels, (columns, end - row), Image.Resampling.BOX))
        # a pyramid gives fewer pixels than feared
        step = max(1, AT_ONCE * (end - row) // (pixels.shape[0] * pixels.shape[1]))
        row = end
    return np.concatenate(strips)


def _resized(
    pixels: np.ndarray,
    size: tuple[int, int],
    how: Image.Resampling,
    box: tuple[float, float, float, float] | None = None,
) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize(size, how, box=box))
