"""Pooling of network outputs to one embedding per patch."""

from math import isqrt

import torch
from torch import Tensor

from cryotome.core.errors import CardError


def pool_tokens(output: Tensor, *, how: str, prefix: int) -> Tensor:
    """Pool the output of a network to one embedding per patch.

    Parameters
    ----------
    output : (n, dim), (n, prefix + parts, dim) or (n, dim, height, width) float
        Already pooled; or tokens: class, then registers, then one per image part; or a map.
    how
        `pooling` of the model's card. `class+mean`: Ganz et al. 2024, section 3, for Virchow and
        Virchow2. `class+rest`: registers included in the mean, as in their later code.
    prefix
        Number of class and register tokens, which are not part of means.

    Returns
    -------
    (n, dim) or (n, 2 * dim) float

    Raises
    ------
    CardError
        `how` does not fit the shape of the output.
    """
    match how, output.ndim:
        case ("built_in" | "class", 2):
            return output
        case ("map_mean", 4):
            return output.mean(dim=(2, 3))
        case ("class", 3):
            return output[:, 0]
        case ("mean" | "mean_before_norm", 3):
            return output[:, prefix:].mean(dim=1)
        case ("class+mean", 3):
            return torch.cat([output[:, 0], output[:, prefix:].mean(dim=1)], dim=1)
        case ("class+rest", 3):
            return torch.cat([output[:, 0], output[:, 1:].mean(dim=1)], dim=1)
        case ("centre", 3):
            return _central(output[:, prefix:]).mean(dim=1)
    pools = "; it pools already: write `global_pool: ''` under `arguments` of a timm network"
    raise CardError(
        f"Pooling {how!r} does not fit an output of shape {tuple(output.shape)}"
        f"{pools if output.ndim == 2 else ''}. Or choose another `pooling` in the model's card."
    )


def _central(tokens: Tensor) -> Tensor:
    """Return the one token (odd grid) or the four (even grid) around the centre of a patch."""
    side = isqrt(tokens.shape[1])
    middle = slice((side - 1) // 2, side // 2 + 1)
    return tokens.unflatten(1, (side, side))[:, middle, middle].flatten(1, 2)
