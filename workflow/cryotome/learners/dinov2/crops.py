"""Crops for DINOv2: two global and some local ones of each image, made on the device.

They follow the released code of DINOv2 (Oquab et al. 2023), with the vertical flips of Roth et
al. 2024, section 2.2. Parameters are drawn on the CPU, per image and crop. Each crop is cut,
resized and flipped by two matrix products with Pillow's antialiased bicubic kernel, a batch at
once and, at any scale, as exactly as by torchvision's `resized_crop`.
"""

import math

import torch
from torch import Tensor

from cryotome.core.cards import Card
from cryotome.learners.loop.augment import FLIP, SIGMA, draw_uniform, draws_of, grey, jitter_colour

MAX_TRIES = 10  # to find a box that fits, as in torchvision
BLUR_RADIUS = 4  # px, of a 9 x 9 kernel
BLUR_PROBABILITIES = {  # of the first global, the second global and local crops
    "as_published": (1.0, 0.1, 0.5),
    "as_released": (0.0, 0.9, 0.5),  # the code reads p as the probability of no blur
}
NO_ROTATION = {"rotation_probability": 0, "shift": 0}
# columns of a crop's parameters, after the 14 of `augment.draws_of`
BOX, GREY, SOLARIZE = slice(14, 18), 18, 19


def draw_boxes(
    count: int, stored: int, scale: list[float], ratio: list[float], rng: torch.Generator
) -> Tensor:
    """Draw boxes as torchvision's `RandomResizedCrop` does.

    Parameters
    ----------
    stored
        Side of the images, px.
    scale
        Smallest and largest area, as a fraction of the image.
    ratio
        Smallest and largest ratio of width to height.

    Returns
    -------
    (count, 4) float
        Top, left, height, width, whole px.
    """
    fraction, shape = torch.rand(2, count, MAX_TRIES, generator=rng)
    area = stored**2 * (scale[0] + (scale[1] - scale[0]) * fraction)
    low, high = map(math.log, ratio)
    aspect = torch.exp(low + (high - low) * shape)
    sizes = torch.stack([area / aspect, area * aspect], dim=-1).sqrt().round()  # (count, TRIES, 2)
    fits = ((sizes > 0) & (sizes <= stored)).all(-1)
    first = fits.float().argmax(1)
    size = sizes[torch.arange(count), first]
    size = torch.where(fits.any(1, keepdim=True), size, stored)
    corner = (torch.rand(count, 2, generator=rng) * (stored - size + 1)).floor()
    return torch.cat([corner, size], dim=1)


def draw_crops(count: int, stored: int, settings: Card, rng: torch.Generator) -> Tensor:
    """Draw the parameters of all crops of `count` images.

    Parameters
    ----------
    stored
        Side of the images, px.
    settings
        `crops` of the finetuning card.

    Returns
    -------
    (2 + local_count, count, 20) float
        The columns of `augment.draws_of`; top, left, height and width of the box, px; 1 where
        the crop is grey, 1 where it is solarized.
    """
    probabilities = BLUR_PROBABILITIES[settings["blur"]]
    drawn: list[Tensor] = []
    for blurred, kind, crops in zip(
        probabilities, ("global", "global", "local"), (1, 1, settings["local_count"]), strict=True
    ):
        how, n = settings[kind], crops * count
        solarized = settings["solarize_probability"] * (len(drawn) == 1)  # the second global only
        uniform = draw_uniform(n, rng)
        view = draws_of(
            uniform, how["side"], settings | NO_ROTATION | {"blur_probability": blurred}
        )
        box = draw_boxes(n, stored, how["scale"], settings["ratio"], rng)
        probability = torch.tensor([settings["grey_probability"], solarized])
        on = (torch.rand(n, 2, generator=rng) < probability).float()
        drawn.append(torch.cat([view, box, on], dim=1).view(crops, count, -1))
    return torch.cat(drawn)


def _cubic(distance: Tensor) -> Tensor:
    """Return the bicubic kernel with a = -1/2, as Pillow and antialiased torch use it."""
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, far) * (distance < 2)


def resize_matrix(start: Tensor, length: Tensor, flip: Tensor, *, stored: int, side: int) -> Tensor:
    """Return the matrices that cut, resize and flip lines of px.

    Parameters
    ----------
    start, length, flip : (n,) float
        Start and length of the box, px; -1 where the line is flipped, else 1.

    Returns
    -------
    (n, side, stored) float
        Rows sum to one and are zero outside the box.
    """
    start, length, flip = (value.view(-1, 1, 1) for value in (start, length, flip))
    ratio = length / side
    at = torch.arange(stored, device=start.device) + 0.5 - start  # (n, 1, stored), from the box, px
    place = (torch.arange(side, device=start.device) + 0.5 - side / 2).view(1, -1, 1)
    middle = (place * flip + side / 2) * ratio  # (n, side, 1)
    weight = _cubic((at - middle).abs() / ratio.clamp(min=1)) * ((at > 0) & (at < length))
    return weight / weight.sum(-1, keepdim=True)


def cut_crops(rows: Tensor, draws: Tensor, side: int) -> Tensor:
    """Cut one crop out of each image.

    Parameters
    ----------
    rows : (n, stored, 3, stored) float in [0, 1]
        Row, colour, column.
    draws : (n, 20) float

    Returns
    -------
    (n, 3, side, side) float in [0, 1]
    """
    n, stored = rows.shape[:2]
    top, left, height, width = draws[:, BOX].unbind(1)
    flip_x, flip_y = draws[:, FLIP].unbind(1)
    size = {"stored": stored, "side": side}
    down = resize_matrix(top, height, flip_y, **size) @ rows.flatten(2)  # (n, side, 3 * stored)
    across = resize_matrix(left, width, flip_x, **size).transpose(1, 2)
    crops = down.view(n, side * 3, stored) @ across
    return crops.view(n, side, 3, side).transpose(1, 2).clamp(0, 1)  # bicubic overshoots


def resize_images(images: Tensor, side: int) -> Tensor:
    """Resize images (n, stored, stored, 3) uint8, without crop: (n, 3, side, side) float."""
    n, stored = images.shape[:2]
    draws = torch.ones(n, 20, device=images.device)
    draws[:, BOX] = torch.tensor([0.0, 0, stored, stored], device=images.device)
    return cut_crops(_rows(images), draws, side)


def _rows(images: Tensor) -> Tensor:
    return images.permute(0, 1, 3, 2).contiguous().float() / 255


def blur(crops: Tensor, sigma: Tensor) -> Tensor:
    """Blur with a 9 x 9 Gaussian, reflected at the edges, by two matrix products.

    Parameters
    ----------
    crops : (n, 3, side, side) float
    sigma : (n,) float
        SD, px; 0 for none.
    """
    if crops.device.type == "cpu":  # only these: a GPU would have to be waited for
        blurred = sigma.nonzero()[:, 0]
        return crops.index_copy(0, blurred, _blurred(crops[blurred], sigma[blurred]))
    return _blurred(crops, sigma)


def _blurred(crops: Tensor, sigma: Tensor) -> Tensor:
    side, reach = crops.shape[-1], torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=crops.device)
    line = torch.exp(-(reach**2) / (2 * sigma.clamp(min=1e-3)[:, None] ** 2))  # (n, 9)
    at = (torch.arange(side, device=crops.device)[:, None] + reach).abs()
    at = (side - 1 - (side - 1 - at).abs()).expand(len(crops), -1, -1)  # reflected
    weight = (line / line.sum(1, keepdim=True))[:, None].expand_as(at)
    matrix = torch.zeros(len(crops), 1, side, side, device=crops.device)
    matrix.squeeze(1).scatter_add_(2, at, weight)
    return matrix @ crops @ matrix.transpose(2, 3)


def _coloured(crops: Tensor, draws: Tensor) -> Tensor:
    """Jitter, grey, blur and solarize, in the order of the released code."""
    crops = jitter_colour(crops, draws)
    is_grey, inverted = (draws[:, at].view(-1, 1, 1, 1) > 0 for at in (GREY, SOLARIZE))
    crops = blur(torch.where(is_grey, grey(crops), crops), draws[:, SIGMA])
    return torch.where(inverted & (crops >= 128 / 255), 1 - crops, crops)


def make_crops(images: Tensor, draws: Tensor, settings: Card) -> tuple[Tensor, Tensor]:
    """Make the crops of a batch, which the network normalises.

    Parameters
    ----------
    images : (n, stored, stored, 3) uint8
    draws : (2 + local_count, n, 20) float
        From `draw_crops`, on the device of the images.
    settings
        `crops` of the finetuning card.

    Returns
    -------
    global : (2 * n, 3, side, side) float in [0, 1]
        The first crop of every image, then the second.
    local : (local_count * n, 3, side, side) float in [0, 1]
    """
    rows, views = _rows(images), []
    for kind, own in (("global", draws[:2]), ("local", draws[2:])):
        crops = [cut_crops(rows, drawn, settings[kind]["side"]) for drawn in own]
        views.append(_coloured(torch.cat(crops), own.flatten(0, 1)))
    return views[0], views[1]
