"""Windows around a cell: their pixels, their resolution, and what lies beyond the image."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cryotome.data.images import OpenImage
from cryotome.study.geometry import stored_side


@dataclass(frozen=True)
class Window:
    """A square in level-0 px: left, top and side, which need not be whole numbers."""

    left: float
    top: float
    side: float

    def exceeds_image(self, size: tuple[int, int]) -> bool:
        """Whether part of it lies outside an image of (width, height) px."""
        right, bottom = self.left + self.side, self.top + self.side
        return self.left < 0 or self.top < 0 or right > size[0] or bottom > size[1]


def network_window(x: float, y: float, side: int, scale: float) -> Window:
    """Return the window that the network sees around a centre, in level-0 px.

    Parameters
    ----------
    scale
        Level-0 px per patch px. At 1 the corner is a whole number: floor(x - side / 2), as in
        the public code of Ganz et al. 2024.
    """
    reach = side * scale
    left, top = x - reach / 2, y - reach / 2
    if scale == 1:
        left, top = float(np.floor(left)), float(np.floor(top))
    return Window(left, top, reach)


def _moved_inside(window: Window, size: tuple[int, int]) -> Window:
    left = min(max(window.left, 0), max(size[0] - window.side, 0))
    top = min(max(window.top, 0), max(size[1] - window.side, 0))
    return Window(left, top, window.side)


def moved_window(
    x: float, y: float, *, side: int, scale: float, border: str, size: tuple[int, int]
) -> Window:
    """Return the window that the network sees, moved inside the image if `border` is `clamp`.

    Parameters
    ----------
    x, y
        Centre of the cell, level-0 px.
    side, scale
        As `network_window`.
    border
        `clamp` moves the window inside the image; all others leave it where it is.
    size
        Width and height of the image, level-0 px.
    """
    seen = network_window(x, y, side, scale)
    return _moved_inside(seen, size) if border == "clamp" else seen


def margin_of(side: int, scale: float) -> float:
    """Return how far the stored patch reaches beyond the network's window, level-0 px.

    >>> margin_of(224, 1), margin_of(224, 0.5)
    (24, 12.0)
    """
    return (stored_side(side) - side) // 2 * scale


def _padded(
    image: OpenImage, box: tuple[int, int, int, int], border: str, shrink: float
) -> np.ndarray:
    """Read a box (x0, y0, x1, y1) that may reach beyond the image, and fill what lies outside."""
    width, height = image.size
    x0, y0, x1, y1 = box
    inside = (min(max(x0, 0), width - 1), min(max(y0, 0), height - 1))
    until = (max(min(x1, width), inside[0] + 1), max(min(y1, height), inside[1] + 1))
    pixels = image.read(*inside, until[0] - inside[0], until[1] - inside[1], shrink)
    if (*inside, *until) == box:
        return pixels
    columns = _positions(x0, x1, inside[0], until[0], pixels.shape[1])
    rows = _positions(y0, y1, inside[1], until[1], pixels.shape[0])
    filled = pixels[_mirrored(rows, pixels.shape[0])][:, _mirrored(columns, pixels.shape[1])]
    if border == "black":
        filled[(rows < 0) | (rows >= pixels.shape[0])] = 0
        filled[:, (columns < 0) | (columns >= pixels.shape[1])] = 0
    return filled


def _positions(start: int, stop: int, first: int, last: int, count: int) -> np.ndarray:
    """Return the px of [start, stop) as indices of the `count` px read from [first, last)."""
    level = (last - first) / count  # level-0 px per px read
    return np.floor(
        np.arange(max(round((stop - start) / level), 1)) + 0.5 + (start - first) / level
    )


def _mirrored(index: np.ndarray, length: int) -> np.ndarray:
    """Reflect indices at both ends, the edge itself not repeated."""
    if length == 1:
        return np.zeros(len(index), dtype=int)
    period = 2 * (length - 1)
    folded = np.mod(index.astype(int), period)
    return np.where(folded < length, folded, period - folded)


def cut_patch(
    image: OpenImage, x: float, y: float, *, side: int, scale: float, border: str
) -> np.ndarray:
    """Cut one patch, with a margin around the network's window.

    Parameters
    ----------
    x, y
        Centre of the cell, level-0 px.
    side
        Side that the network sees, px.
    scale
        Level-0 px per patch px, 1 for the native resolution.
    border
        `black` fills what lies beyond the image, `reflect` mirrors the image, `clamp` first
        moves the window inside and mirrors the rest of its margin, as `drop` does.

    Returns
    -------
    (stored, stored, 3) uint8, stored = `stored_side(side)`
    """
    seen = moved_window(x, y, side=side, scale=scale, border=border, size=image.size)
    stored, margin = stored_side(side), margin_of(side, scale)
    left, top, reach = seen.left - margin, seen.top - margin, stored * scale
    if scale == 1:
        corner = (round(left), round(top))
        return _padded(image, (*corner, corner[0] + stored, corner[1] + stored), border, 1)
    box = (
        int(np.floor(left)),
        int(np.floor(top)),
        int(np.ceil(left + reach)),
        int(np.ceil(top + reach)),
    )
    pixels = _padded(image, box, border, max(scale, 1))
    across, down = pixels.shape[1] / (box[2] - box[0]), pixels.shape[0] / (box[3] - box[1])
    part = (
        (left - box[0]) * across,
        (top - box[1]) * down,
        min((left - box[0] + reach) * across, pixels.shape[1]),
        min((top - box[1] + reach) * down, pixels.shape[0]),
    )
    resized = Image.fromarray(pixels).resize((stored, stored), Image.Resampling.BICUBIC, box=part)
    return np.asarray(resized)
