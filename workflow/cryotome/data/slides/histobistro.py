"""Which tiles HistoBistro keeps, the slide code of paper 002: background, edges, calcification.

Written anew from what its branch `feature_extraction` does; its defaults are the numbers here.
"""

import numpy as np
from scipy import ndimage

WHITE = (175, 190, 178)  # px above in red, green and blue are glass
DARK = 40  # px at most so bright in each, and not black, may be calcification
MOST_BACKGROUND = 0.3  # share of glass and black px
LEAST_EDGES = 0.01  # share of px on an edge
LEAST_DARK = 0.05  # share from which on a tile is kept whatever else it shows
WEAK, STRONG = 40, 100  # of Canny's thresholds, on the sum of both slopes


def passes_filter(tile: np.ndarray) -> bool:
    """Say whether a tile (h, w, 3) uint8 is kept."""
    black = (tile == 0).all(axis=2)
    dark = (tile <= DARK).all(axis=2)
    if dark.mean() - black.mean() >= LEAST_DARK:
        return True
    glass = (tile > np.array(WHITE)).all(axis=2)
    if glass.mean() + black.mean() > MOST_BACKGROUND:
        return False
    return bool(canny_edges(tile).mean() >= LEAST_EDGES)


def canny_edges(tile: np.ndarray) -> np.ndarray:
    """Find edges by Canny's method, as OpenCV does for colour: the steepest channel of each px.

    Parameters
    ----------
    tile : (h, w, 3) uint8

    Returns
    -------
    (h, w) bool
    """
    pixels = tile.astype(np.int64)
    slopes = np.stack([_slope(pixels, axis) for axis in (1, 0)])
    steepest = np.abs(slopes).sum(axis=0).argmax(axis=2)
    across, down = np.take_along_axis(slopes, steepest[None, ..., None], axis=3)[..., 0]
    strength = np.abs(across) + np.abs(down)
    ridge = _is_ridge(strength, across, down) & (strength > WEAK)
    lines, count = ndimage.label(ridge, np.ones((3, 3)))
    holds = np.zeros(count + 1, bool)
    holds[lines[ridge & (strength > STRONG)]] = True
    return holds[lines]


def _slope(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Return Sobel's slope along an axis; SciPy's own would mix the colours."""
    steps = ndimage.correlate1d(pixels, [-1, 0, 1], axis, mode="nearest")
    return ndimage.correlate1d(steps, [1, 2, 1], 1 - axis, mode="nearest")


def _is_ridge(strength: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Say which px are steeper than their two neighbours along the slope."""
    wide = np.pad(strength, 1)
    height, width = strength.shape

    def beside(dy: int, dx: int) -> np.ndarray:
        return wide[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    flat = np.abs(down) < np.tan(np.pi / 8) * np.abs(across)
    steep = np.abs(down) > np.tan(3 * np.pi / 8) * np.abs(across)
    rising = across * down >= 0
    ways = [(0, 1), (1, 0), (1, 1), (1, -1)]
    chosen = [flat, steep, rising]
    before = np.select(chosen, [beside(-y, -x) for y, x in ways[:3]], beside(-1, 1))
    after = np.select(chosen, [beside(y, x) for y, x in ways[:3]], beside(1, -1))
    return (strength > before) & (strength >= after)
