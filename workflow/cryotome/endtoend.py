"""Train a whole network with one cycle and keep the best validation epoch."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cryotome.augment import augment
from cryotome.cards import Card
from cryotome.errors import SplitError
from cryotome.patches import read_patches
from cryotome.splits import rows_of

LOOK = 256  # patches scored at once


@dataclass(frozen=True)
class Cells:
    """The cells of one training: where they lie in the store, their labels and slides."""

    rows: np.ndarray  # (n,) int
    label: np.ndarray  # (n,) 0 or 1
    slide: np.ndarray  # (n,) str


@dataclass(frozen=True)
class Material:
    """What one job trains and scores on.

    Attributes
    ----------
    pixels : (N, stored, stored, 3) uint8
        The whole patch store, margins included.
    roles : data frame with columns id, role, label, slide, row
        The cells of the split; `row` is where a cell's patch stands in `pixels`.
    stamps
        The patch store's passport.
    """

    pixels: Tensor
    roles: pd.DataFrame
    stamps: dict[str, Any]

    def cells(self, *roles: str) -> Cells:
        """Return the cells in any of these roles, in the order of the split."""
        mine = self.roles[self.roles["role"].isin(roles)]
        row, label = (mine[name].to_numpy(copy=True) for name in ("row", "label"))
        return Cells(row, label, mine["slide"].to_numpy())


def read_material(patches: Path, cells: Path, split: Path) -> Material:
    """Read a patch store, the table of cells it was cut from, and one split.

    Raises
    ------
    StoreError
        The store was cut from other cells.
    SplitError
        The split names a cell that the store lacks.
    """
    pixels, ids, stamps = read_patches(patches, cells=cells)
    roles = pd.read_csv(split)
    about = pd.read_csv(cells, usecols=["id", "label", "slide"], dtype={"slide": str})
    roles = roles.merge(about, on="id", how="left", validate="one_to_one")
    return Material(torch.from_numpy(pixels), roles.assign(row=rows_of(ids, roles["id"])), stamps)


@dataclass(frozen=True)
class Trained:
    """What a training leaves: two sets of weights and its history.

    Attributes
    ----------
    best, last
        State dicts on the processor, copies of their own: of the look with the lowest
        validation loss, and of the last step.
    history
        (step, validation loss) of every look.
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    history: list[tuple[int, float]]


def image_balanced(cells: Cells, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield positions: slide uniform, then class 50/50, then a cell of both.

    A slide without the drawn class gives its other class (Ammeling et al. 2025, code).
    """
    slides = np.unique(cells.slide)
    inside = [
        [np.flatnonzero((cells.slide == slide) & (cells.label == label)) for label in (0, 1)]
        for slide in slides
    ]
    while True:
        picked = []
        for place, label in zip(
            rng.integers(len(slides), size=batch), rng.integers(2, size=batch), strict=True
        ):
            pair = inside[place]
            picked.append(rng.choice(pair[label] if len(pair[label]) else pair[1 - label]))
        yield np.array(picked)


def class_balanced(cells: Cells, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield positions: class 50/50, then a cell."""
    members = [np.flatnonzero(cells.label == label) for label in (0, 1)]
    while True:
        yield np.array([rng.choice(members[label]) for label in rng.integers(2, size=batch)])


def natural(cells: Cells, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield positions of cells drawn uniformly."""
    while True:
        yield rng.integers(len(cells.rows), size=batch)


SAMPLERS: dict[str, Callable[[Cells, int, np.random.Generator], Iterator[np.ndarray]]] = {
    "image_balanced": image_balanced,
    "class_balanced": class_balanced,
    "natural": natural,
}


def _pixels(patches: Tensor, rows: np.ndarray, device: torch.device) -> Tensor:
    picked = patches[torch.from_numpy(rows).to(patches.device)].to(device)
    return picked.permute(0, 3, 1, 2).float() / 255  # (n, 3, stored, stored)


def score_cells(
    network: nn.Module, patches: Tensor, rows: np.ndarray, *, side: int, device: torch.device
) -> np.ndarray:
    """Return the logits of centred patches, nothing augmented, shape (n,) float32."""
    network.eval()
    edge = (patches.shape[1] - side) // 2
    logits = []
    with (
        torch.inference_mode(),
        torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"),
    ):
        for first in range(0, len(rows), LOOK):
            whole = _pixels(patches, rows[first : first + LOOK], device)
            seen = whole[..., edge : edge + side, edge : edge + side]
            logits.append(network(seen).float().flatten().cpu())
    return torch.cat(logits).numpy()


def _loss(logits: np.ndarray, label: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # the caller judges a loss that is not finite
        return float((np.logaddexp(0, logits) - label * logits).mean())


def train_endtoend(
    network: nn.Module,
    patches: Tensor,
    train: Cells,
    validation: Cells,
    card: Card,
    *,
    side: int,
    seed: int,
    device: torch.device,
) -> Trained:
    """Train all weights with Adam and one cycle of the learning rate.

    Paper 001, section 3: "the one-cycle learning rate policy with a maximum learning rate
    of 1e-4, and the best-performing model was selected retrospectively based on its
    validation loss". Steps, batch and sampler: see the head's card.

    Parameters
    ----------
    network
        Maps (n, 3, side, side) float in [0, 1] to (n, 1) logits; trained in place.
    patches : (n, stored, stored, 3) uint8
        With margin, on any device.
    side
        Side that the network sees, px.

    Raises
    ------
    SplitError
        There are no validation cells to select by.
    """
    if not len(validation.rows):
        raise SplitError("No validation cells: the fraction is too small to select a checkpoint.")
    rng, draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    sampler = SAMPLERS[card["sampler"]](train, card["batch"], rng)
    optimizer = torch.optim.Adam(network.parameters(), lr=card["learning_rate"], fused=True)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=card["learning_rate"], total_steps=card["steps"]
    )
    best, best_loss, history = None, np.inf, []
    steps = tqdm(range(1, card["steps"] + 1), desc="train", unit="step", mininterval=10)
    for step in steps:
        picked = next(sampler)
        network.train()
        views = augment(_pixels(patches, train.rows[picked], device), side, card["augment"], draws)
        target = torch.from_numpy(train.label[picked]).float().to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = network(views.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float().flatten(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        cycle.step()
        if step % card["evaluate_every"] == 0 or step == card["steps"]:
            seen = score_cells(network, patches, validation.rows, side=side, device=device)
            history.append((step, _loss(seen, validation.label)))
            steps.set_postfix(validation_loss=f"{history[-1][1]:.4f}", refresh=False)
            if history[-1][1] < best_loss:
                best, best_loss = _copied(network), history[-1][1]
    if best is None:
        raise SplitError(f"No validation loss was finite: {history[:3]} … Lower the learning rate.")
    return Trained(best, _copied(network), history)


def _copied(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights away: a state dict alone would follow the training."""
    return copy.deepcopy({name: value.cpu() for name, value in network.state_dict().items()})
