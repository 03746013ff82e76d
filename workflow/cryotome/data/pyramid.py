"""Pyramid levels of a slide: their place in level 0, and windows cut from them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

Pair = tuple[int, int]
COMPARED_SIDE = 256  # level-0 px, side of the squares compared
SPOTS = (
    0.4,
    0.55,
    0.7,
    0.85,
    0.97,
)  # fractions of a level's width and height, corners of those squares


def level_factors(size: Pair, level: Pair) -> list[tuple[float, float]]:
    """Return the possible sizes of a level's px in level-0 px, in x and y.

    Most writers shrink by a whole number and crop or pad the remainder; others resize the whole
    slide. Sizes alone do not distinguish them; where both fit, the first is more likely.

    Parameters
    ----------
    size, level
        Width and height of level 0 and of the level, px.

    >>> level_factors((1000, 800), (250, 200)), level_factors((1000, 700), (300, 200))
    ([(4.0, 4.0)], [(3.3333333333333335, 3.5)])
    >>> level_factors((1003, 700), (250, 175))
    [(4.0, 4.0), (4.012, 4.0)]
    """
    ratios = (size[0] / level[0], size[1] / level[1])
    times = round(sum(ratios) / 2)
    ends = [(whole // times, -(-whole // times)) for whole in size]
    if not all(low <= part <= high for (low, high), part in zip(ends, level, strict=True)):
        return [ratios]
    return list(dict.fromkeys([(float(times), float(times)), ratios]))


def _spots(level: Pair, side: int) -> list[Pair]:
    """Return corners of squares in the middle and far part of a level, px of that level."""
    across, down = ([int(share * (n - side)) for share in SPOTS] for n in level)
    return [(x, y) for y in down for x in across if min(x, y) > 0]


@dataclass(frozen=True)
class AxisSpan:
    """One axis of a window: which px of a level to read, and which part of them it covers.

    Attributes
    ----------
    start
        First px to read, level-0 px as OpenSlide counts them.
    count
        Px of the level to read.
    part
        Begin and end of the window in them; the end may lie beyond a cropped level.
    out
        Px of the window after cropping.
    """

    start: int
    count: int
    part: tuple[float, float]
    out: int


def place_span(at: int, length: int, *, factor: float, downsample: float, level: int) -> AxisSpan:
    """Place one axis of a window on a level.

    Parameters
    ----------
    at, length
        Of the window, level-0 px.
    factor
        From `level_factors`, along this axis.
    downsample
        OpenSlide's value for it, the mean of both axes.
    level
        Length of the level, px.
    """
    first, last = at / factor, (at + length) / factor
    start = math.floor(min(math.floor(first), level - 1) * downsample)
    begin = start / downsample  # px of the level at which reading begins
    count = max(1, min(math.ceil(last - begin), math.floor(level - begin)))
    out = max(1, round(length / factor))
    return AxisSpan(start, count, (first - begin, last - begin), out)


def crop_window(pixels: np.ndarray, across: AxisSpan, down: AxisSpan) -> np.ndarray:
    """Crop a window (h, w, 3) uint8 from the pixels read for it; edges are repeated beyond."""
    (left, right), (top, bottom) = across.part, down.part
    beyond = [max(0, math.ceil(end) - n) for end, n in zip((bottom, right), pixels.shape[:2])]
    if any(beyond):
        pixels = np.pad(pixels, ((0, beyond[0]), (0, beyond[1]), (0, 0)), mode="edge")
    size = (across.out, down.out)
    if (left, top, right, bottom) == (0, 0, *size) and size == pixels.shape[1::-1]:
        return pixels
    box = (left, top, right, bottom)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC, box=box))


class PyramidLevels:
    """The pyramid levels of a slide, from which windows of level 0 are read.

    Parameters
    ----------
    sizes, downsamples
        Of each level, as OpenSlide gives them.
    region
        Returns (h, w, 3) uint8 for a corner in level-0 px, a level, and a size in px of it.
    """

    def __init__(
        self, sizes: Sequence[Pair], downsamples: Sequence[float], region: Callable[..., np.ndarray]
    ) -> None:
        self._sizes, self._downsamples, self._region = sizes, downsamples, region
        self._known: dict[int, tuple[float, float]] = {}  # factors of the levels that were read

    def read(self, level: int, corner: Pair, size: Pair) -> np.ndarray:
        """Return (h, w, 3) uint8 that cover a window exactly.

        Parameters
        ----------
        corner, size
            Of the window, level-0 px.
        """
        across, down = (
            place_span(at, length, factor=factor, downsample=self._downsamples[level], level=end)
            for at, length, factor, end in zip(
                corner, size, self.factors(level), self._sizes[level], strict=True
            )
        )
        start, count = (across.start, down.start), (across.count, down.count)
        return crop_window(self._region(start, level, count), across, down)

    def factors(self, level: int) -> tuple[float, float]:
        """Return the size of a level's px in level-0 px, by comparing pixels if ambiguous."""
        if level not in self._known:
            size = self._sizes[level]
            ways = level_factors(self._sizes[0], size)
            side = max(8, COMPARED_SIDE // round(ways[0][0]))  # px of the level
            places = _spots(size, side) if len(ways) > 1 else []
            self._known[level] = min(
                ways, key=lambda way: sum(self._misfit(level, at, side, way) for at in places)
            )
        return self._known[level]

    def _misfit(self, level: int, at: Pair, side: int, factors: tuple[float, float]) -> float:
        """Return the squared error of a square of a level against level 0, for given factors."""
        times = self._downsamples[level]
        corner = (int(at[0] * times), int(at[1] * times))
        begin = [place / times * factor for place, factor in zip(corner, factors, strict=True)]
        first = (int(begin[0]), int(begin[1]))
        left, top = begin[0] - first[0], begin[1] - first[1]
        box = (left, top, left + side * factors[0], top + side * factors[1])
        part = self._region(corner, level, (side, side))
        whole = self._region(first, 0, (math.ceil(box[2]), math.ceil(box[3])))
        shrunk = Image.fromarray(whole).resize((side, side), Image.Resampling.BOX, box=box)
        return float(((part.astype(np.float64) - np.asarray(shrunk)) ** 2).sum())
