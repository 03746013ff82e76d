"""Training transforms on batches: one code path for processor and GPU, one draw per patch.

Paper 001, section 3: "random color jitter, Gaussian blurring, flipping, and random
rotations"; the numbers are in the head's card.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from cryotome.cards import Card

GREY = (0.299, 0.587, 0.114)  # ITU-R 601 luma, as in torchvision's ColorJitter
YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
BLUR_REACH = 2  # px: a 5 x 5 kernel


def _uniform(count: int, low: float, high: float, rng: torch.Generator) -> Tensor:
    return torch.rand(count, generator=rng) * (high - low) + low


def _chance(count: int, share: float, rng: torch.Generator) -> Tensor:
    return torch.rand(count, generator=rng) < share


def place_windows(batch: Tensor, side: int, settings: Card, rng: torch.Generator) -> Tensor:
    """Cut a turned, flipped and shifted window out of each stored patch.

    Parameters
    ----------
    batch : (n, 3, stored, stored) float
        Patches with their margin.
    side
        Side of the window, px.

    Returns
    -------
    (n, 3, side, side) float, bilinear, reflected where a turned corner leaves the patch
    """
    n, stored, device = len(batch), batch.shape[-1], batch.device
    turn = _uniform(n, -torch.pi, torch.pi, rng) * _chance(n, settings["rotation_share"], rng)
    flip = 1 - 2.0 * torch.stack([_chance(n, settings["flip_share"], rng) for _ in range(2)])
    reach = settings["shift"] * side
    shift = torch.stack([_uniform(n, -reach, reach, rng).round() for _ in range(2)], dim=1)
    cosine, sine = turn.cos(), turn.sin()
    row_x = torch.stack([flip[0] * cosine, -flip[1] * sine], dim=1)
    row_y = torch.stack([flip[0] * sine, flip[1] * cosine], dim=1)
    matrix = torch.stack([row_x, row_y], dim=1).to(device)  # (n, 2, 2)
    line = torch.arange(side, device=device) - (side - 1) / 2
    v, u = torch.meshgrid(line, line, indexing="ij")
    grid = torch.stack([u, v], dim=-1).view(1, -1, 2) @ matrix.transpose(1, 2)  # (n, side², 2)
    grid = (grid + shift.view(n, 1, 2).to(device)) * (2 / stored)
    grid = grid.view(n, side, side, 2)
    return F.grid_sample(batch, grid, "bilinear", "reflection", align_corners=False)


def jitter_colour(batch: Tensor, settings: Card, rng: torch.Generator) -> Tensor:
    """Vary brightness, contrast, saturation and hue of a share of the patches.

    Parameters
    ----------
    batch : (n, 3, side, side) float in [0, 1]
    settings
        `jitter`: reach of the four, hue as a share of the colour circle.
    """
    n, device = len(batch), batch.device
    brightness, contrast, saturation, hue = settings["jitter"]
    on = _chance(n, settings["jitter_share"], rng)

    def factor(reach: float) -> Tensor:
        return (
            torch.where(on, _uniform(n, 1 - reach, 1 + reach, rng), 1.0).view(n, 1, 1, 1).to(device)
        )

    grey = torch.tensor(GREY, device=device).view(1, 3, 1, 1)
    batch = (batch * factor(brightness)).clamp(0, 1)
    middle = (batch * grey).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    batch = torch.lerp(middle, batch, factor(contrast)).clamp(0, 1)
    batch = torch.lerp((batch * grey).sum(1, keepdim=True), batch, factor(saturation)).clamp(0, 1)
    turned = _hue_turns(torch.where(on, _uniform(n, -hue, hue, rng), 0.0)).to(device)
    return torch.einsum("nij,njhw->nihw", turned, batch).clamp(0, 1)


def _hue_turns(share: Tensor) -> Tensor:
    """Return (n, 3, 3) matrices that turn RGB by a share of the colour circle, luma kept."""
    angle, to_yiq = 2 * torch.pi * share, torch.tensor(YIQ)
    turn = torch.zeros(len(share), 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq


def blur(batch: Tensor, settings: Card, rng: torch.Generator) -> Tensor:
    """Blur a share of the patches with a 5 x 5 Gaussian, sigma in px drawn per patch."""
    n = len(batch)
    on = _chance(n, settings["blur_share"], rng)
    low, high = settings["blur_sigma"]
    sigma = _uniform(n, low, high, rng)
    if not on.any():
        return batch
    offset = torch.arange(-BLUR_REACH, BLUR_REACH + 1)
    line = torch.exp(-(offset**2) / (2 * sigma[on].view(-1, 1) ** 2))
    line = (line / line.sum(1, keepdim=True)).to(batch)
    kernel = (line[:, :, None] * line[:, None, :]).repeat_interleave(3, dim=0).unsqueeze(1)
    chosen = batch[on.to(batch.device)]
    padded = F.pad(chosen, [BLUR_REACH] * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    blurred = F.conv2d(padded, kernel, groups=len(kernel)).view_as(chosen)
    return batch.index_copy(0, on.nonzero()[:, 0].to(batch.device), blurred)


def augment(batch: Tensor, side: int, settings: Card, rng: torch.Generator) -> Tensor:
    """Turn stored patches into training views.

    Parameters
    ----------
    batch : (n, 3, stored, stored) float in [0, 1]
    side
        Side that the network sees, px.
    settings
        `augment` of the head's card.
    rng
        On the processor, whatever the batch's device: the draws are the same everywhere.

    Returns
    -------
    (n, 3, side, side) float in [0, 1]
    """
    windows = place_windows(batch, side, settings, rng)
    return blur(jitter_colour(windows, settings, rng), settings, rng)
