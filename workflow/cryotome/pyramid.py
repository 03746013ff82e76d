"""Where the pixels of a slide's pyramid levels lie in level 0, and how to cut windows from them."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

Pair = tuple[int, int]


def level_factors(size: Pair, level: Pair) -> tuple[float, float]:
    """Return how many level-0 px a px of a level measures across and down.

    Writers shrink by a whole number and cut or fill what is left over; where the sizes do not fit
    one, the level is the whole slide, resized.

    Parameters
    ----------
    size, level
        Width and height of level 0 and of the level, px.

    >>> level_factors((1003, 701), (250, 175)), level_factors((1000, 700), (300, 200))
    ((4.0, 4.0), (3.3333333333333335, 3.5))
    """
    ratios = [whole / part for whole, part in zip(size, level, strict=True)]
    times = round(sum(ratios) / 2)
    ends = [(whole // times, -(-whole // times)) for whole in size]
    if all(low <= part <= high for (low, high), part in zip(ends, level, strict=True)):
        return float(times), float(times)
    return ratios[0], ratios[1]


@dataclass(frozen=True)
class Span:
    """One axis of a window: which px of a level to read, and which part of them it covers.

    Attributes
    ----------
    start
        Where to begin, level-0 px as OpenSlide counts them.
    count
        Px of the level to read.
    part
        Begin and end of the window in them; the end may lie beyond, where the level is cut.
    out
        Px that the window is given.
    """

    start: int
    count: int
    part: tuple[float, float]
    out: int


def span(at: int, length: int, *, factor: float, downsample: float, level: int) -> Span:
    """Place one axis of a window on a level.

    Parameters
    ----------
    at, length
        Of the window, level-0 px.
    factor
        Of `level_factors`, along this axis.
    downsample
        What OpenSlide takes for it, the mean of both axes.
    level
        Length of the level, px.
    """
    first, last = at / factor, (at + length) / factor
    start = math.floor(min(math.floor(first), level - 1) * downsample)
    begin = start / downsample  # in px of the level: where what is read begins
    count = max(1, min(math.ceil(last - begin), math.floor(level - begin)))
    out = max(1, round(length / factor))
    return Span(start, count, (first - begin, last - begin), out)


def fit(pixels: np.ndarray, across: Span, down: Span) -> np.ndarray:
    """Cut a window (h, w, 3) uint8 out of what was read for it; its edge is repeated beyond."""
    (left, right), (top, bottom) = across.part, down.part
    beyond = [max(0, math.ceil(end) - n) for end, n in zip((bottom, right), pixels.shape[:2])]
    if any(beyond):
        pixels = np.pad(pixels, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
    size = (across.out, down.out)
    if (left, top, right, bottom) == (0, 0, *size) and size == pixels.shape[1::-1]:
        return pixels
    box = (left, top, right, bottom)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=box))
