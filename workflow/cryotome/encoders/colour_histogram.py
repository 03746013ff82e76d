"""Colour histogram: an encoder without a network, the baseline of colour alone."""

import numpy as np


def colour_histogram(patches: np.ndarray, bins: int) -> np.ndarray:
    """Count colours: red, green, blue, hue, saturation, value in equal bins.

    Parameters
    ----------
    patches : (n, side, side, 3) uint8

    Returns
    -------
    (n, 6 * bins) float32, each histogram summing to one
    """
    from matplotlib.colors import (
        rgb_to_hsv,
    )  # slow to import; readers of embeddings import this module too

    colours = patches.reshape(len(patches), -1, 3) / np.float32(255)
    channels = np.concatenate([colours, rgb_to_hsv(colours)], axis=2)
    index = np.minimum((channels * bins).astype(np.int64), bins - 1)
    index += bins * np.arange(6) + 6 * bins * np.arange(len(patches))[:, None, None]
    counts = np.bincount(index.ravel(), minlength=len(patches) * 6 * bins)
    return (counts.reshape(len(patches), -1) / colours.shape[1]).astype(np.float32)
