"""The random numbers of each iteration: images, crops and masks follow from seed and iteration.

No random state is carried from one iteration to the next, so that a finetuning that was killed
resumes from its weights and its iteration number alone.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

ROWS, CROPS, MASKS, SAMPLE = range(4)  # purposes of random numbers


def generator_for(seed: int, purpose: int, at: int = 0) -> np.random.Generator:
    """Return the generator of one purpose at one iteration or pass over the images."""
    return np.random.default_rng([seed, purpose, at])


def torch_generator_for(seed: int, purpose: int, at: int = 0) -> torch.Generator:
    """Return the same as a generator of torch, on the CPU."""
    return torch.Generator().manual_seed(int(generator_for(seed, purpose, at).integers(2**62)))


class ImageSampler:
    """Endless sampler of images: each one once a pass, shuffled anew for each pass."""

    def __init__(self, rows: np.ndarray, seed: int) -> None:
        self.rows, self._seed = rows, seed
        self._pass = lru_cache(2)(self._shuffled)

    def _shuffled(self, which: int) -> np.ndarray:
        return generator_for(self._seed, ROWS, which).permutation(self.rows)

    def batch(self, iteration: int, size: int) -> Tensor:
        """Return the rows of an iteration, (size,) int; a batch may span passes."""
        which, place = np.divmod(
            np.arange(iteration * size, (iteration + 1) * size), len(self.rows)
        )
        return torch.from_numpy(np.array([self._pass(p)[at] for p, at in zip(which, place)]))
