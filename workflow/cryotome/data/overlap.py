"""Overlap of windows: pairs that share pixels, exact and fast enough for all cells of a slide."""

from pathlib import Path

import numpy as np
import pandas as pd

NUMBERS = dict.fromkeys(("left", "top", "side", "margin"), "")  # empty where not known


def load_windows(path: Path) -> pd.DataFrame:
    """Read a table that `place_windows` made; names of places stay text."""
    return pd.read_csv(path, dtype={"place": str}, keep_default_na=False, na_values=NUMBERS)


def pixel_boxes(windows: pd.DataFrame, *, stored: bool) -> np.ndarray:
    """Return the boxes of whole pixels that windows touch.

    Parameters
    ----------
    windows
        Columns left, top, side, margin, level-0 px.
    stored
        Include the margin on every side, which shift augmentation sees; else the window alone.

    Returns
    -------
    (n, 4) float64: left, top, right, bottom in whole px, right and bottom not included
    """
    grown = windows["margin"].to_numpy(float) if stored else 0.0
    corner = windows[["left", "top"]].to_numpy(float)
    side = windows["side"].to_numpy(float)
    far = corner + (side + grown)[:, None]
    near = corner - np.broadcast_to(grown, len(side))[:, None]
    return np.concatenate([np.floor(near), np.ceil(far)], axis=1)


def shared_area(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the area that boxes share, pair by pair, px².

    >>> shared_area(np.array([[0, 0, 4, 4]]), np.array([[3, 2, 9, 9]])).tolist()
    [2]
    >>> shared_area(np.array([[0, 0, 4, 4]]), np.array([[4, 0, 8, 4]])).tolist()
    [0]
    """
    size = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    return np.maximum(size, 0).prod(axis=1)


def sharing_pairs(
    one: np.ndarray, other: np.ndarray, *, places: tuple[pd.Series, pd.Series]
) -> np.ndarray:
    """Find the pairs of boxes of one place that share at least a pixel.

    Parameters
    ----------
    one, other : (n, 4), (m, 4)
        As `pixel_boxes` gives them; boxes that are not finite share nothing.
    places
        Image or slide whose coordinates each of `one` and of `other` has.

    Returns
    -------
    (pairs, 2) int, rows of `one` and of `other`, sorted
    """
    from scipy.spatial import cKDTree  # slow import; readers of splits do not need it

    rows = [np.flatnonzero(np.isfinite(boxes).all(axis=1)) for boxes in (one, other)]
    if not all(map(len, rows)):
        return np.empty((0, 2), dtype=int)
    boxes = [one[rows[0]], other[rows[1]]]
    halves = [(part[:, 2:] - part[:, :2]).max() / 2 for part in boxes]
    reach = float(sum(halves))
    names = [series.to_numpy()[row] for series, row in zip(places, rows, strict=True)]
    codes = np.split(pd.factorize(np.concatenate(names))[0], [len(names[0])])
    # the place is a third axis, on which different places are far apart
    trees = [
        cKDTree(np.column_stack([(part[:, :2] + part[:, 2:]) / 2, code * (reach + 1) * 2]))
        for part, code in zip(boxes, codes, strict=True)
    ]
    near = trees[0].sparse_distance_matrix(trees[1], reach, p=np.inf, output_type="ndarray")
    found = shared_area(boxes[0][near["i"]], boxes[1][near["j"]]) > 0
    pairs = np.column_stack([rows[0][near["i"][found]], rows[1][near["j"][found]]])
    return pairs[np.lexsort(pairs.T[::-1])]
