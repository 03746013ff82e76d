"""Geometry: how a patch is resized and cropped on its way from the store to the network."""

from dataclasses import dataclass
from typing import Any

FIT = "fit"  # the policy that resizes the whole patch to the input side of the network


@dataclass(frozen=True)
class Geometry:
    """How a square patch is resized and cropped before its colours are normalised.

    Attributes
    ----------
    side
        Side of the patch without its margin, px.
    policy
        `paper`, `card` or `fit`, as the view begins; `patches`: the patch is not changed.
    resize
        Short side, or height and width, px; None: not resized.
    interpolation
        `bilinear` or `bicubic`, both with antialiasing.
    crop
        Side of the centre crop, px; None: not cropped.
    divide
        A second divisor of the values, after those of 0 to 255 were scaled to 0 to 1.
    """

    side: int
    policy: str = "patches"
    resize: int | list[int] | None = None
    interpolation: str = "bilinear"
    crop: int | None = None
    divide: float = 1

    @property
    def seen(self) -> int:
        """Side of the image that the network is given, px."""
        resized = self.resize[0] if isinstance(self.resize, list) else self.resize
        return self.crop or resized or self.side


def geometry_of(card: dict[str, Any], view: str, side: int) -> Geometry:
    """Return the geometry of a model card under a view for patches of a side, px.

    >>> geometry_of({"transform": {"card": {"resize": 256, "crop": 224}}}, "card-fp32", 64).seen
    224
    >>> geometry_of({"transform": {"card": {"resize": 256}}}, "paper-fp32", 64).seen
    64
    >>> geometry_of({"input": 448}, "fit-fp32", 64).resize
    [448, 448]
    """
    policy = view.split("-")[0]
    if policy == FIT:
        return Geometry(side, policy, [input_side(card)] * 2, "bicubic")
    return Geometry(side, policy, **card.get("transform", {}).get(policy, {}))


def input_side(card: dict[str, Any]) -> int:
    """Return the side of the image that a model is made for and its GFLOP are counted at, px.

    >>> input_side({"input": 448}), input_side({})
    (448, 224)
    """
    return card.get("input", 224)


def stored_side(side: int) -> int:
    """Return the side that the patch store keeps for a side that the network is given, px.

    17/14 of it, so that a shift by a tenth of the side stays inside.

    >>> stored_side(224), stored_side(64)
    (272, 78)
    """
    return 2 * -(-side * 17 // 28)
