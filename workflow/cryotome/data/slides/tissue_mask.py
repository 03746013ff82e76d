"""Where the tissue of a slide lies, which tiles hold enough of it, and their pixels.

The mask is made on a thumbnail: tissue has colour, glass has none. No slide is ever read whole.
"""

import numpy as np
from scipy import ndimage

FLOOR, CEILING = 12, 40  # grey values: glass has less colour than one, tissue may have the other
CLOSING = 16.0  # µm: gaps up to twice as wide are closed
SMALLEST = 10_000.0  # µm²: smaller pieces are dirt


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
