"""Pyramidal slides of smooth colour waves, for tests."""

import numpy as np
import tifffile


def pyramid(path, pixels, mpp=0.5, levels=(4,)):
    """Write a tiled TIFF whose further levels are means, cut where they do not divide."""
    height, width = pixels.shape[:2]
    how = {"tile": (128, 128), "compression": "zlib", "photometric": "rgb"}
    tags = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(pixels, **how, **(tags if mpp else {}))
        for times in levels:
            rows, columns = height // times, width // times
            part = pixels[: rows * times, : columns * times].reshape(rows, times, columns, times, 3)
            tiff.write(part.mean(axis=(1, 3)).astype(np.uint8), subfiletype=1, **how)
    return path


def waves(width, height):
    y, x = np.mgrid[:height, :width]
    return np.stack([127 + 120 * np.sin(x / 40), 127 + 120 * np.cos(y / 30), x * 0 + 9], -1).astype(
        "u1"
    )
