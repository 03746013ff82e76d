"""Views: the several images of each patch that some networks see, and what becomes of them."""

import torch
from torch import Tensor
from torch.nn import functional

COLOURS = 3


def split_views(x: Tensor, how: str) -> Tensor:
    """Return the images that a network sees of normalised patches.

    Parameters
    ----------
    x : (n, 3, side, side) float
    how
        `views` of the model's card. `channels`: each colour alone, as GenBio-PathFM sees it.
        `image+quarters`: the image, then its four quarters, each enlarged to its size (bicubic),
        as the code of MUSK does (Xiang et al. 2025, Nature). Empty: the patches themselves.

    Returns
    -------
    (n, 3, side, side), (3 n, 1, side, side) or (5 n, 3, side, side) float
    """
    if how == "channels":
        return x.flatten(0, 1).unsqueeze(1)
    if how == "image+quarters":
        large = functional.interpolate(x, scale_factor=2, mode="bicubic")
        halves = [part for rows in large.chunk(2, dim=2) for part in rows.chunk(2, dim=3)]
        return torch.stack([x, *halves], dim=1).flatten(0, 1)
    return x


def join_views(output: Tensor, how: str) -> Tensor:
    """Return one output for each patch from those of its views.

    Parameters
    ----------
    output : (views, dim), (views, tokens, dim) or (views, dim, height, width) float
    how
        `channels`: the three beside each other. `image+quarters`: that of the image beside the
        mean of its quarters'.

    Returns
    -------
    (n, 3 dim), (n, 2 dim) or (n, dim) float, tokens and maps alike
    """
    axis = 2 if output.ndim == 3 else 1
    if how == "channels":
        return torch.cat(output.unflatten(0, (-1, COLOURS)).unbind(1), dim=axis)
    if how == "image+quarters":
        views = output.unflatten(0, (-1, 5))
        return torch.cat([views[:, 0], views[:, 1:].mean(dim=1)], dim=axis)
    return output
