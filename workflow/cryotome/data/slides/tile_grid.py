"""Tile grid of a slide: corners, tissue fractions and pixels of its tiles."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from cryotome.core.cards import Card
from cryotome.data.images import OpenImage
from cryotome.data.slides.thumbnail import resized

MIN_SHRINK_FOR_MEAN = 1.5  # times; at less, the mean of a tile px is over one or two px
LEVEL_TOLERANCE = 1.04  # times a level may be finer: 0.253 µm/px at four times counts as 1 µm/px


def tile_grid(size: tuple[int, int], side: float) -> np.ndarray:
    """Return the upper left corners of all tiles that lie completely in a slide, row by row.

    Parameters
    ----------
    size
        Width and height of the slide, level-0 px.
    side
        Of a tile, level-0 px; need not be a whole number.

    Returns
    -------
    (n, 2) int64: x, y
    """
    across, down = (np.floor(np.arange(int(length / side)) * side) for length in size)
    return np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2).astype(np.int64)


def tissue_fractions(
    mask: np.ndarray, coords: np.ndarray, *, side: float, size: tuple[int, int]
) -> np.ndarray:
    """Return the tissue fraction of each tile, from an integral image.

    Parameters
    ----------
    mask : (h, w) bool
        Of the whole slide.
    coords, side, size
        As for `tile_grid`.

    Returns
    -------
    (n,) float32, 0 to 1
    """
    integral = np.pad(mask, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1).astype(float)
    scale = np.array(mask.shape)[::-1] / size  # px of the mask per level-0 px
    start, end = coords * scale, (coords + side) * scale

    def area(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # linear interpolation is exact, because the mask is constant within a px
        return ndimage.map_coordinates(integral, [y, x], order=1, mode="nearest")

    (x0, y0), (x1, y1) = start.T, end.T
    covered = area(x1, y1) - area(x0, y1) - area(x1, y0) + area(x0, y0)
    return np.clip(covered / (scale * side).prod(), 0, 1).astype(np.float32)


def read_tile(image: OpenImage, x: int, y: int, *, reach: float, side: int) -> np.ndarray:
    """Read one tile from the next finer level, and shrink it to its resolution.

    Parameters
    ----------
    x, y, reach
        Upper left corner and side, level-0 px.
    side
        Side of the tile returned, px.

    Returns
    -------
    (side, side, 3) uint8

    Raises
    ------
    DataError
        The slide cannot be read at that place.
    """
    whole = int(np.ceil(reach))
    pixels = image.read(int(x), int(y), whole, whole, max(reach / side, 1) * LEVEL_TOLERANCE)
    across, down = pixels.shape[1] * reach / whole, pixels.shape[0] * reach / whole
    if (across, down) == (side, side):
        return np.ascontiguousarray(pixels[:side, :side])
    many = min(across, down) >= MIN_SHRINK_FOR_MEAN * side
    how = Image.Resampling.BOX if many else Image.Resampling.BICUBIC
    return resized(pixels, (side, side), how, box=(0, 0, across, down))


def stored_tile_side(tiling: Card) -> int:
    """Return the side of a tile as stored or given to a network, px."""
    return tiling["jpeg_side" if "jpeg_side" in tiling else "side"]


def encode_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return pixels (h, w, 3) uint8 as a JPEG, its bytes (n,) uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.frombuffer(file.getvalue(), np.uint8)
