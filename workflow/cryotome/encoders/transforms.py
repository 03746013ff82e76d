"""Transforms: patches resized, cropped and scaled on the device of a batch."""

import torch

from cryotome.study.geometry import Geometry


def transform_patches(batch: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """Resize and crop patches, and scale their values to 0 to 1.

    Parameters
    ----------
    batch : (n, 3, side, side) uint8

    Returns
    -------
    (n, 3, seen, seen) float32
    """
    if geometry.resize is None:
        return batch.float() / 255
    from torchvision.transforms.v2 import functional  # seconds, for those who resize

    mode = functional.InterpolationMode(geometry.interpolation)
    batch = functional.resize(batch, geometry.resize, interpolation=mode, antialias=True)
    batch = functional.center_crop(batch, geometry.crop) if geometry.crop else batch
    return batch.float() / 255 / geometry.divide
