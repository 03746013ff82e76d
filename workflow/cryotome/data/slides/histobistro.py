"""HistoBistro's tile filter (Roth et al. 2024): background, edges, calcification.

Written anew after its branch `feature_extraction`, with its defaults.
"""

import numpy as np
from scipy import ndimage

GLASS_ABOVE = (175, 190, 178)  # red, green, blue of a px; brighter px are glass
DARK_BELOW = 40  # brightness of a px; darker px that are not black may be calcification
MAX_BACKGROUND = 0.3  # fraction of glass and black px
MIN_EDGES = 0.01  # fraction of px on an edge
MIN_DARK = 0.05  # fraction of dark px from which a tile is always kept
WEAK, STRONG = 40, 100  # Canny's thresholds, on the sum of both absolute gradients


def passes_filter(tile: np.ndarray) -> bool:
    """Return whether a tile (h, w, 3) uint8 is kept."""
    black = (tile == 0).all(axis=2)
    dark = (tile <= DARK_BELOW).all(axis=2)
    if dark.mean() - black.mean() >= MIN_DARK:
        return True
    glass = (tile > np.array(GLASS_ABOVE)).all(axis=2)
    if glass.mean() + black.mean() > MAX_BACKGROUND:
        return False
    return bool(canny_edges(tile).mean() >= MIN_EDGES)


def canny_edges(tile: np.ndarray) -> np.ndarray:
    """Find edges by Canny's method, on the channel with the steepest gradient of each px.

    Not `cv2.Canny`, which HistoBistro calls: on diagonals that requires a ridge to exceed both
    neighbours, here it may equal the second. The results differ in 0.8 % of the px of synthetic
    tiles of 256 px (edges: 2.32 against 2.29 % of px), so replacing it would change tilings.

    Parameters
    ----------
    tile : (h, w, 3) uint8

    Returns
    -------
    (h, w) bool
    """
    pixels = tile.astype(np.int64)
    gradients = np.stack([_gradient(pixels, axis) for axis in (1, 0)])
    steepest = np.abs(gradients).sum(axis=0).argmax(axis=2)
    across, down = np.take_along_axis(gradients, steepest[None, ..., None], axis=3)[..., 0]
    strength = np.abs(across) + np.abs(down)
    ridge = _is_local_maximum(strength, across, down) & (strength > WEAK)
    lines, count = ndimage.label(ridge, np.ones((3, 3)))
    is_edge = np.zeros(count + 1, bool)
    is_edge[lines[ridge & (strength > STRONG)]] = True
    return is_edge[lines]


def _gradient(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Return Sobel's gradient along an axis; SciPy's own would mix the channels."""
    steps = ndimage.correlate1d(pixels, [-1, 0, 1], axis, mode="nearest")
    return ndimage.correlate1d(steps, [1, 2, 1], 1 - axis, mode="nearest")


def _is_local_maximum(strength: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Return which px are steeper than their two neighbours along the gradient."""
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
