"""Augmentation of batches: one code path for CPU and GPU, random parameters per patch.

Ganz et al. 2024, section 3: "random color jitter, Gaussian blurring, flipping, and random
rotations"; the numbers are in the head's card. Parameters are always drawn on the CPU, and
applying them never waits for the device.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cryotome.core.cards import Card

GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma, as in torchvision's ColorJitter
BLUR_RADIUS = 2  # px: a 5 x 5 kernel
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
UNIFORM = 17  # random numbers per view
# columns of the parameters of a view
TURN, FLIP, SHIFT, JITTER, ORDER, SIGMA = 0, slice(1, 3), slice(3, 5), slice(5, 9), slice(9, 13), 13


def draw_uniform(count: int, rng: torch.Generator) -> Tensor:
    """Draw the random numbers of some views, (count, UNIFORM) float32 in [0, 1)."""
    return torch.rand(count, UNIFORM, generator=rng)


def draws_of(uniform: Tensor, side: int, settings: Card) -> Tensor:
    """Turn random numbers into the parameters of views, independent of each other.

    Parameters
    ----------
    uniform : (..., UNIFORM) float
    side
        Side of the image that the network is given, px.
    settings
        `augment` of the head's card.

    Returns
    -------
    (..., 14) float
        Rotation in radians; flip of x and y, -1 or 1; shift along x and y in whole px; factors
        of brightness, contrast and saturation, hue shift as a fraction of the colour circle; the
        order of the first three, and how many of them come before hue; SD of the blur in px, 0
        for none.
    """
    value, uniform = uniform[..., :13], uniform[..., 13:]
    probability = [settings[f"{name}_probability"] for name in ("rotation", "jitter", "blur")]
    on = uniform[..., :3] < torch.tensor(probability)
    turn = (value[..., 0] * 2 - 1) * torch.pi * on[..., 0]
    flip = 1 - 2.0 * (value[..., 1:3] < settings["flip_probability"])
    longest = int(settings["shift"] * side)
    shift = (value[..., 3:5] * (2 * longest + 1)).floor() - longest
    strength, neutral = torch.tensor(settings["jitter"]), torch.tensor([1.0, 1, 1, 0])
    jitter = neutral + (value[..., 5:9] * 2 - 1) * strength * on[..., 1:2]
    order = value[..., 9:13].argsort(-1)
    before = (order == HUE).float().argmax(-1, keepdim=True)
    order = torch.cat([order[order != HUE].view(*order.shape[:-1], 3), before], dim=-1).float()
    low, high = settings["blur_sigma"]
    sigma = (low + uniform[..., 3] * (high - low)) * on[..., 2]
    return torch.cat([turn[..., None], flip, shift, jitter, order, sigma[..., None]], dim=-1)


def _apply_where(
    change: Callable[[Tensor, Tensor], Tensor], batch: Tensor, draws: Tensor, on: Tensor
) -> Tensor:
    """Change the views whose parameters are `on`.

    A CPU skips the others. On a GPU, where selecting them would wait for the device, all are
    computed, the others with neutral parameters.
    """
    if batch.device.type != "cpu":
        return change(batch, draws)
    rows = on.flatten().nonzero()[:, 0]
    return batch.index_copy_(0, rows, change(batch[rows], draws[rows])) if len(rows) else batch


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


def sample_windows(batch: Tensor, draws: Tensor, side: int, settings: Card) -> Tensor:
    """Sample a rotated, flipped and shifted window of each stored patch.

    Parameters
    ----------
    batch : (n, 3, stored, stored) float
        Patches with their margin.
    draws : (n, 14) float

    Returns
    -------
    (n, 3, side, side) float
        Reflected where a rotated corner is outside the patch.
    """
    n, stored = len(batch), batch.shape[-1]
    middle = ((stored - side) % 2) / 2  # `centre_crops` rounds to whole pixels
    grid = (_window_grid(draws, side) + draws[:, None, SHIFT] - middle) * (2 / stored)
    how = settings["interpolation"], "reflection"
    return F.grid_sample(batch, grid.view(n, side, side, 2), *how, align_corners=False)


def _window_grid(draws: Tensor, side: int) -> Tensor:
    """Return the source of each pixel of views, (n, side², 2) px from the centre of the window."""
    cosine, sine = draws[:, TURN].cos(), draws[:, TURN].sin()
    flip_x, flip_y = draws[:, FLIP].unbind(1)
    row_x = torch.stack([flip_x * cosine, -flip_y * sine], dim=1)
    row_y = torch.stack([flip_x * sine, flip_y * cosine], dim=1)
    matrix = torch.stack([row_x, row_y], dim=1)  # (n, 2, 2)
    line = torch.arange(side, device=draws.device) - (side - 1) / 2
    v, u = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([u, v], dim=-1).view(1, -1, 2) @ matrix.transpose(1, 2)


def blacken_corners(views: Tensor, draws: Tensor) -> Tensor:
    """Blacken the pixels that a rotation brought in from outside the window."""
    inside = (_window_grid(draws, views.shape[-1]).abs() <= views.shape[-1] / 2).all(-1)
    return views * inside.view(len(views), 1, *views.shape[2:])


def grey(batch: Tensor) -> Tensor:
    """Return the luma of patches (n, 3, side, side), (n, 1, side, side)."""
    red, green, blue = batch.unbind(1)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue).unsqueeze(1)


def shift_hue(batch: Tensor, fraction: Tensor) -> Tensor:
    """Shift the hue in HSV space by a fraction of the colour circle per patch, (n, 1, 1)."""
    red, green, blue = batch.unbind(1)
    value, low = batch.amax(1), batch.amin(1)
    chroma = value - low
    by = torch.where(chroma > 0, chroma, 1)
    hue = torch.where(value == red, (green - blue) / by, (blue - red) / by + 2)
    bluest = (blue > red) & (blue > green)
    hue = torch.where(bluest, (red - green) / by + 4, hue) + 6 * fraction
    k = torch.stack([hue + 5, hue + 3, hue + 1], dim=1) % 6
    return value.unsqueeze(1) - chroma.unsqueeze(1) * torch.minimum(k, 4 - k).clamp(0, 1)


def _blend_factor(batch: Tensor, draws: Tensor) -> Tensor:
    """Blend with black, with the mean grey or with each pixel's grey; `draws` kind and factor."""
    kind, factor = _column(draws[:, 0]), _column(draws[:, 1])
    luma = grey(batch)
    mean = luma.mean((2, 3), keepdim=True)
    base = luma * (kind == SATURATION) + mean * (kind == CONTRAST)
    return torch.lerp(base, batch, factor).clamp_(0, 1)


def _shift_hue_by_draws(batch: Tensor, draws: Tensor) -> Tensor:
    return shift_hue(batch, draws.view(-1, 1, 1))


def jitter_colour(batch: Tensor, draws: Tensor) -> Tensor:
    """Change brightness, contrast, saturation and hue, in an order drawn per patch.

    Parameters
    ----------
    batch : (n, 3, side, side) float in [0, 1]
        May be changed in place.
    """
    *kinds, before = draws[:, ORDER].long().split(1, dim=1)
    hue = draws[:, JITTER][:, HUE:]

    def blend(batch: Tensor, early: bool) -> Tensor:
        for position, kind in enumerate(kinds):
            factor = draws[:, JITTER].gather(1, kind)
            factor = torch.where((before > position) == early, factor, 1.0)
            batch = _apply_where(
                _blend_factor, batch, torch.cat([kind, factor], dim=1), factor != 1
            )
        return batch

    batch = _apply_where(_shift_hue_by_draws, blend(batch, True), hue, hue != 0)
    return blend(batch, False)


def _blur_all(batch: Tensor, draws: Tensor) -> Tensor:
    offset = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=batch.device)
    sigma = draws[:, :1].clamp(min=1e-3)  # px; avoids 0 / 0
    line = torch.exp(-(offset**2) / (2 * sigma**2))
    line = line / line.sum(1, keepdim=True)  # (n, 5)
    for axis in (2, 3):
        edge = [BLUR_RADIUS, BLUR_RADIUS, 0, 0] if axis == 3 else [0, 0, BLUR_RADIUS, BLUR_RADIUS]
        padded, side = F.pad(batch, edge, mode="reflect"), batch.shape[axis]
        taps = [padded.narrow(axis, i, side) for i in range(2 * BLUR_RADIUS + 1)]
        batch = torch.stack([_column(line[:, i]) * tap for i, tap in enumerate(taps)]).sum(0)
    return batch


def blur(batch: Tensor, draws: Tensor) -> Tensor:
    """Blur with a 5 x 5 Gaussian, its SD in px drawn per patch; may change the batch in place."""
    sigma = draws[:, SIGMA : SIGMA + 1]
    return _apply_where(_blur_all, batch, sigma, sigma > 0)


def make_views(patches: Tensor, draws: Tensor, side: int, settings: Card) -> Tensor:
    """Turn stored patches into augmented views.

    Parameters
    ----------
    patches : (n, stored, stored, 3) uint8
        With their margin.
    draws : (n, 14) float
        Of `draws_of`, on the device of the patches.
    side
        Side of the views, px.
    settings
        `augment` of the head's card.

    Returns
    -------
    (n, 3, side, side) float in [0, 1]
    """
    batch = patches.permute(0, 3, 1, 2).float() / 255
    views = blur(jitter_colour(sample_windows(batch, draws, side, settings), draws), draws)
    return blacken_corners(views, draws) if settings["corners"] == "black" else views
