"""Transforms: patches cropped and resized on the device of a batch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
from cryotome.study.geometry import Geometry


def transform_patches(batch: "torch.Tensor", geometry: Geometry | None) -> "torch.Tensor":
    """Resize and crop, and scale to 0 to 1.

    Parameters
    ----------
    batch : (n, 3, side, side) uint8
    geometry
        `resize` (short side, or height and width), px, `interpolation`, centre `crop`, px,
        and `divide`, a second division of the values.

    Returns
    -------
    (n, 3, seen, seen) float32
    """
    if geometry is None:
        return batch.float() / 255
    from torchvision.transforms.v2 import functional

    mode = functional.InterpolationMode(geometry["interpolation"])
    batch = functional.resize(batch, geometry["resize"], interpolation=mode, antialias=True)
    batch = functional.center_crop(batch, geometry["crop"]) if geometry["crop"] else batch
    return batch.float() / 255 / geometry.get("divide", 1)
