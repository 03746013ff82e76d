"""Which tokens of the global crops the student does not see: blocks, as in BEiT.

Bao et al. 2022, algorithm 1, with the numbers of DINOv2's released code: half of the global
crops are masked, their shares spread over buckets so that every batch holds all of them.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cryotome.core.cards import Card
from cryotome.learners.loop.batches import to_device

MIN_TOKENS, MAX_FRACTION = 4, 0.5  # tokens of a block; share of the grid that a block may cover
MIN_ASPECT = 0.3  # least height by width; the largest is its inverse
MAX_TRIES = 10  # to place a block


def _inside(start: np.ndarray, length: np.ndarray, grid: int) -> np.ndarray:
    at = np.arange(grid)
    return (at >= start[:, None]) & (at < (start + length)[:, None])


def draw_blocks(goal: np.ndarray, grid: int, rng: np.random.Generator) -> np.ndarray:
    """Mask grids block by block, until the goal is reached or ten blocks in a row do not fit.

    Parameters
    ----------
    goal : (n,) int
        Tokens to mask in each.

    Returns
    -------
    (n, grid, grid) bool
        At most `goal` are masked.
    """
    masked = np.zeros((len(goal), grid, grid), bool)
    failed = np.zeros(len(goal), int)
    while (
        at_work := (room := goal - masked.sum((1, 2))).astype(bool) & (failed < MAX_TRIES)
    ).any():
        room = np.minimum(room, MAX_FRACTION * grid**2)
        area, shape, down, right = rng.random((4, len(goal)))
        area = MIN_TOKENS + (room - MIN_TOKENS) * area
        aspect = np.exp(math.log(MIN_ASPECT) * (1 - 2 * shape))
        height = np.sqrt(np.maximum(area, 0) * aspect).round()
        width = np.sqrt(np.maximum(area, 0) / aspect).round()
        top, left = (
            (down * (grid - height + 1)).astype(int),
            (right * (grid - width + 1)).astype(int),
        )
        block = _inside(top, height, grid)[:, :, None] & _inside(left, width, grid)[:, None]
        new = (block & ~masked).sum((1, 2))
        taken = at_work & (height < grid) & (width < grid) & (new > 0) & (new <= room)
        masked |= block & taken[:, None, None]
        failed = np.where(taken, 0, failed + 1)
    return masked


def draw_masks(count: int, grid: int, settings: Card, rng: np.random.Generator) -> Tensor:
    """Draw the masks of a batch of global crops.

    Parameters
    ----------
    count
        Global crops, two an image.
    grid
        Tokens along a side.
    settings
        `masks` of the finetune card: `share` of crops that are masked, and the least and
        largest `ratio` of masked tokens.

    Returns
    -------
    (count, grid * grid) bool
    """
    hidden = int(count * settings["share"])
    low, high = settings["ratio"]
    bounds = np.linspace(low, high, hidden + 1)
    goal = (grid**2 * rng.uniform(bounds[:-1], bounds[1:])).astype(int)
    masks = np.zeros((count, grid, grid), bool)
    masks[:hidden] = draw_blocks(goal, grid, rng)
    return torch.from_numpy(rng.permutation(masks)).flatten(1)


@dataclass(frozen=True)
class Masks:
    """Masked tokens as a step uses them.

    Attributes
    ----------
    hidden : (n, tokens) bool
    place : (m,) int
        Of each masked token among the n * tokens.
    weight : (m,) float
        1 / (n masked tokens of its crop): they sum to the share of masked crops.
    """

    hidden: Tensor
    place: Tensor
    weight: Tensor

    @classmethod
    def of(cls, hidden: Tensor) -> "Masks":
        """Find the masked tokens, on the processor: a GPU would have to be waited for."""
        place = hidden.flatten().nonzero()[:, 0]
        share = 1 / hidden.sum(1).clamp(min=1) / len(hidden)
        return cls(hidden, place, share[place // hidden.shape[1]])

    def on(self, device: torch.device) -> "Masks":
        """Send them to a device without waiting."""
        return Masks(
            *(to_device(value, device) for value in (self.hidden, self.place, self.weight))
        )
