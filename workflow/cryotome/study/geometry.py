"""The geometry that an encoder's authors, or a paper's code, put before normalising."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

Geometry = dict[str, Any]  # an entry of `transform` in a model's card
FIT = "fit"  # the policy that resizes the whole patch to what the network is made for


def geometry_of(card: dict[str, Any], view: str) -> Geometry | None:
    """Return the geometry of a model card under the policy of a view; None where it has none.

    >>> geometry_of({"transform": {"card": {"resize": 256}}}, "card-fp32")
    {'resize': 256}
    >>> geometry_of({"transform": {"card": {"resize": 256}}}, "paper-fp32")
    >>> geometry_of({"input": 448}, "fit-fp32")
    {'resize': [448, 448], 'interpolation': 'bicubic', 'crop': None}
    """
    policy = view.split("-")[0]
    if policy == FIT:
        return {"resize": [input_side(card)] * 2, "interpolation": "bicubic", "crop": None}
    return card.get("transform", {}).get(policy)


def input_side(card: dict[str, Any]) -> int:
    """Return the side of the image that a model is made for and its GFLOP counted at, px.

    >>> input_side({"input": 448}), input_side({})
    (448, 224)
    """
    return card.get("input", 224)


def side_after(geometry: Geometry | None, side: int) -> int:
    """Return the side of what the network sees of a square patch, px.

    >>> side_after({"resize": 256, "crop": 224}, 64), side_after({"resize": [224, 224]}, 64)
    (224, 224)
    >>> side_after(None, 64)
    64
    """
    if geometry is None:
        return side
    resized = geometry["resize"]
    return geometry.get("crop") or (resized[0] if isinstance(resized, list) else resized)


def stored_side(side: int) -> int:
    """Return the side that the store keeps for a side that the network sees, px.

    17/14 of it, so that a shift of a tenth of the side stays inside.

    >>> stored_side(224), stored_side(64)
    (272, 78)
    """
    return 2 * -(-side * 17 // 28)
