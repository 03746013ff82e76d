"""Masks of the tokens of global crops that are hidden from the student: blocks, as in BEiT.

Bao et al. 2022, algorithm 1, with the constants of DINOv2's released code: half of the global
crops are masked, each with a fraction from another bucket, so that every batch has all buckets.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cryotome.core.cards import Card
from cryotome.learners.loop.batches import to_device

MIN_TOKENS, MAX_FRACTION = 4, 0.5  # tokens of a block; fraction of the grid it may cover
MIN_ASPECT = 0.3  # smallest ratio of height to width; the largest is its inverse
MAX_TRIES = 10  # failures to place a block, in a row


def _inside(start: np.ndarray, length: np.ndarray, grid: int) -> np.ndarray:
    at = np.arange(grid)
    return (at >= start[:, None]) & (at < (start + length)[:, None])


def draw_blocks(goal: np.ndarray, grid: int, rng: np.random.Generator) -> np.ndarray:
    """Mask grids block by block, until the goal is reached or ten blocks in a row do not fit.

    Parameters
    ----------
    goal : (n,) int
        Tokens to mask in each grid.

    Returns
    -------
    (n, grid, grid) bool
        At most `goal` tokens are masked.
    """
    masked = np.zeros((len(goal), grid, grid), bool)
    failed = np.zeros(len(goal), int)
    while True:
        room = goal - masked.sum((1, 2))
        active = room.astype(bool) & (failed < MAX_TRIES)
        if not active.any():
            return masked
        room = np.minimum(room, MAX_FRACTION * grid**2)
        area, shape, down, right = rng.random((4, len(goal)))
        area = MIN_TOKENS + (room - MIN_TOKENS) * area
        aspect = np.exp(math.log(MIN_ASPECT) * (1 - 2 * shape))
        height = np.sqrt(np.maximum(area, 0) * aspect).round()
        width = np.sqrt(np.maximum(area, 0) / aspect).round()
        top = (down * (grid - height + 1)).astype(int)
        left = (right * (grid - width + 1)).astype(int)
        block = _inside(top, height, grid)[:, :, None] & _inside(left, width, grid)[:, None]
        new = (block & ~masked).sum((1, 2))
        taken = active & (height < grid) & (width < grid) & (new > 0) & (new <= room)
        masked |= block & taken[:, None, None]
        failed = np.where(taken, 0, failed + 1)


def draw_masks(count: int, grid: int, settings: Card, rng: np.random.Generator) -> Tensor:
    """Draw the masks of a batch of global crops.

    Parameters
    ----------
    count
        Global crops, two per image.
    grid
        Tokens along a side.
    settings
        `masks` of the finetuning card: the fraction of masked crops, `share`, and the smallest
        and largest fraction of masked tokens, `ratio`.

    Returns
    -------
    (count, grid * grid) bool
    """
    hidden = int(count * settings["probability"])
    low, high = settings["ratio"]
    bounds = np.linspace(low, high, hidden + 1)
    goal = (grid**2 * rng.uniform(bounds[:-1], bounds[1:])).astype(int)
    masks = np.zeros((count, grid, grid), bool)
    masks[:hidden] = draw_blocks(goal, grid, rng)
    return torch.from_numpy(rng.permutation(masks)).flatten(1)


@dataclass(frozen=True)
class Masks:
    """Masked tokens of a batch of global crops.

    Attributes
    ----------
    hidden : (n, tokens) bool
    place : (m,) int
        Index of each masked token among the n * tokens.
    weight : (m,) float
        1 / n / masked tokens of its crop; they sum to the fraction of masked crops.
    """

    hidden: Tensor
    place: Tensor
    weight: Tensor

    @classmethod
    def of(cls, hidden: Tensor) -> "Masks":
        """Find the masked tokens, on the CPU: a GPU would have to be waited for."""
        place = hidden.flatten().nonzero()[:, 0]
        inverse = 1 / hidden.sum(1).clamp(min=1) / len(hidden)
        return cls(hidden, place, inverse[place // hidden.shape[1]])

    def to(self, device: torch.device) -> "Masks":
        """Start the transfer to a device without waiting for it."""
        return Masks(
            *(to_device(value, device) for value in (self.hidden, self.place, self.weight))
        )
