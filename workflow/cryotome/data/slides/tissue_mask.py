"""Tissue mask of a slide, from the colour of its thumbnail: tissue has colour, glass has none."""

import numpy as np
from scipy import ndimage

MIN_THRESHOLD, MAX_THRESHOLD = 12, 40  # grey values of colour: glass is below, tissue may be above
CLOSING_RADIUS = 16.0  # µm; gaps up to twice as wide are closed
MIN_AREA = 10_000.0  # µm²; smaller pieces are dirt


def otsu(values: np.ndarray) -> int:
    """Return the first grey value of the upper of two classes, by Otsu's method.

    >>> otsu(np.array([3, 3, 3, 5, 90, 95, 95]))
    6
    """
    counts = np.bincount(values.ravel(), minlength=256).astype(float)
    below, weighted = counts.cumsum(), (counts * np.arange(256)).cumsum()
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (weighted / below - (weighted[-1] - weighted) / above) ** 2
    return int(np.argmax(np.nan_to_num(below * above * between))) + 1


def tissue_mask(thumbnail: np.ndarray, microns: float) -> np.ndarray:
    """Find the tissue on a thumbnail by its colour.

    Colour is the maximum of red, green and blue minus the minimum. Otsu's threshold on it is
    clipped to `MIN_THRESHOLD`, for slides without tissue, and `MAX_THRESHOLD`, for slides that
    are covered by tissue.

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
    mask = colour >= min(max(otsu(colour), MIN_THRESHOLD), MAX_THRESHOLD)
    reach = max(1, round(CLOSING_RADIUS / microns))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = x**2 + y**2 <= reach**2
    mask = ndimage.binary_dilation(mask, disc)
    mask = ndimage.binary_erosion(mask, disc, border_value=1)
    pieces, _ = ndimage.label(mask, np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) * microns**2 >= MIN_AREA
    large[0] = False
    return large[pieces]
