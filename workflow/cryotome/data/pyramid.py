"""Where the pixels of a slide's pyramid levels lie in level 0, and how to cut windows from them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

Pair = tuple[int, int]
COMPARED = 256  # level-0 px of a side that is compared
SPOTS = (0.4, 0.55, 0.7, 0.85, 0.97)  # of a level, where its place is compared with level 0


def level_factors(size: Pair, level: Pair) -> list[tuple[float, float]]:
    """Return how many level-0 px a px of a level may measure across and down.

    Most writers shrink by a whole number and cut or fill what is left over; others resize the
    whole slide. Sizes alone do not tell them apart; where both fit, the first is the likelier.

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
    """Return corners of windows in the middle and the far part of a level, px of it."""
    across, down = ([int(share * (n - side)) for share in SPOTS] for n in level)
    return [(x, y) for y in down for x in across if min(x, y) > 0]


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


class Levels:
    """The levels of a slide, from which windows of level 0 are read.

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
            span(at, length, factor=factor, downsample=self._downsamples[level], level=end)
            for at, length, factor, end in zip(
                corner, size, self.factors(level), self._sizes[level], strict=True
            )
        )
        start, count = (across.start, down.start), (across.count, down.count)
        return fit(self._region(start, level, count), across, down)

    def factors(self, level: int) -> tuple[float, float]:
        """Return how many level-0 px a px of a level measures, by its pixels where in doubt."""
        if level not in self._known:
            size = self._sizes[level]
            ways = level_factors(self._sizes[0], size)
            side = max(8, COMPARED // round(ways[0][0]))  # px of the level
            places = _spots(size, side) if len(ways) > 1 else []
            self._known[level] = min(
                ways, key=lambda way: sum(self._misfit(level, at, side, way) for at in places)
            )
        return self._known[level]

    def _misfit(self, level: int, at: Pair, side: int, factors: tuple[float, float]) -> float:
        """Return how badly a window of a level fits level 0, if its px measure so much."""
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
