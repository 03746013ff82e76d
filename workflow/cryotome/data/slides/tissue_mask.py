"""Where the tissue of a slide lies, which tiles hold enough of it, and their pixels.

The mask is made on a thumbnail: tissue has colour, glass has none. No slide is ever read whole.
"""

import io

import numpy as np
from PIL import Image
from scipy import ndimage

from cryotome.core.cards import Card
from cryotome.data.images import Opened

THUMBNAIL = 8.0  # µm/px at most, and an eighth of a tile where tiles are small
FLOOR, CEILING = 12, 40  # grey values: glass has less colour than one, tissue may have the other
CLOSING = 16.0  # µm: gaps up to twice as wide are closed
SMALLEST = 10_000.0  # µm²: smaller pieces are dirt
AT_ONCE = 2**24  # pixels read at once for a thumbnail
FEW = 1.5  # shrunk less than so, the mean of a tile pixel's pixels would be of one or two
NEAR = 1.04  # a level this much finer than asked for will do: 0.253 µm/px at four times is 1 µm/px


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


def otsu(values: np.ndarray) -> int:
    """Return the first grey value of the upper of two classes, by Otsu's method.

    >>> otsu(np.array([3, 3, 3, 5, 90, 95, 95]))
    6
    """
    counts = np.bincount(values.ravel(), minlength=256).astype(float)
    below, weighted = counts.cumsum(), (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = (weighted / below - (weighted[-1] - weighted) / above) ** 2
    return int(np.argmax(np.nan_to_num(below * above * apart))) + 1


def tissue_mask(thumbnail: np.ndarray, microns: float) -> np.ndarray:
    """Find the tissue on a thumbnail by its colour.

    Colour is the largest of red, green and blue less the smallest. Otsu's threshold on it stays
    between `FLOOR`, for slides that are glass alone, and `CEILING`, for those all covered.

    Parameters
    ----------
    thumbnail : (h, w, 3) uint8
    microns
        µm/px of the thumbnail.

    Returns
    -------
    (h, w) bool
    """
    colour = thumbnail.max(axis=2).astype(np.int64) - thumbnail.min(axis=2)
    mask = colour >= min(max(otsu(colour), FLOOR), CEILING)
    reach = max(1, round(CLOSING / microns))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = x**2 + y**2 <= reach**2
    mask = ndimage.binary_dilation(mask, disc)
    mask = ndimage.binary_erosion(mask, disc, border_value=1)
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) * microns**2 >= SMALLEST
    large[0] = False
    return large[pieces]


def tile_grid(size: tuple[int, int], side: float) -> np.ndarray:
    """Return the upper left corners of all tiles that lie whole in a slide, row by row.

    Parameters
    ----------
    size
        Width and height of the slide, level-0 px.
    side
        Of a tile, level-0 px; need not be whole.

    Returns
    -------
    (n, 2) int64: x, y
    """
    across, down = (np.floor(np.arange(int(length / side)) * side) for length in size)
    return np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2).astype(np.int64)


def tissue_shares(
    mask: np.ndarray, coords: np.ndarray, *, side: float, size: tuple[int, int]
) -> np.ndarray:
    """Return how much of each tile is tissue, from an integral image.

    Parameters
    ----------
    mask : (h, w) bool
        Of the whole slide.
    coords, side, size
        As of `tile_grid`.

    Returns
    -------
    (n,) float32, 0 to 1
    """
    integral = np.pad(mask, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1).astype(float)
    scale = np.array(mask.shape)[::-1] / size  # px of the mask per level-0 px
    start, end = coords * scale, (coords + side) * scale

    def area(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        # linear between whole px is exact: the mask is constant there
        return ndimage.map_coordinates(integral, [y, x], order=1, mode="nearest")

    (x0, y0), (x1, y1) = start.T, end.T
    covered = area(x1, y1) - area(x0, y1) - area(x1, y0) + area(x0, y0)
    return np.clip(covered / (scale * side).prod(), 0, 1).astype(np.float32)


def read_tile(image: Opened, x: int, y: int, *, reach: float, side: int) -> np.ndarray:
    """Read one tile from the level that is nearest above its resolution, and shrink the rest.

    Parameters
    ----------
    x, y, reach
        Upper left corner and side, level-0 px.
    side
        Side of what is returned, px.

    Returns
    -------
    (side, side, 3) uint8

    Raises
    ------
    DataError
        The slide cannot be read there.
    """
    whole = int(np.ceil(reach))
    pixels = image.read(int(x), int(y), whole, whole, max(reach / side, 1) * NEAR)
    across, down = pixels.shape[1] * reach / whole, pixels.shape[0] * reach / whole
    if (across, down) == (side, side):
        return np.ascontiguousarray(pixels[:side, :side])
    many = min(across, down) >= FEW * side
    how = Image.Resampling.BOX if many else Image.Resampling.BICUBIC
    return _resized(pixels, (side, side), how, box=(0, 0, across, down))


def seen_side(tiling: Card) -> int:
    """Return the side of a tile as it is stored or given to a network, px."""
    return tiling["stored" if "stored" in tiling else "side"]


def jpeg_of(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Return pixels (h, w, 3) uint8 as a JPEG, its bytes (n,) uint8."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.frombuffer(file.getvalue(), np.uint8)
