"""Train a whole network with one cycle and keep the best validation epoch."""

import copy
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from torch import Tensor, nn
from tqdm import tqdm

from cryotome.augment import augment
from cryotome.cards import Card
from cryotome.cells import load_cells
from cryotome.checkpoints import Checkpoint
from cryotome.errors import SplitError
from cryotome.patches import read_patches
from cryotome.predictions import SCORED
from cryotome.samplers import SAMPLERS, Cells
from cryotome.splits import rows_of

LOOK = 256  # patches scored at once


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

    @property
    def side(self) -> int:
        """Side that the network sees, px."""
        return self.stamps["seen"]

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
    about = load_cells(cells)[["id", "label", "slide"]]
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
    seconds
        Wall time of the training, without what kills have cost.
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    history: list[tuple[int, float]]
    seconds: float


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


class _Course:
    """Everything of a training that moves from step to step, to save and to restore."""

    def __init__(self, network: nn.Module, train: Cells, card: Card, seed: int) -> None:
        self.network, self.card = network, card
        self.rng, self.draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.sampler = SAMPLERS[card["sampler"]](train, card["batch"], self.rng)
        rate, steps = card["learning_rate"], card["steps"]
        self.optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True)
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=rate, total_steps=steps
        )
        self.best: dict[str, Tensor] | None = None
        self.history: list[tuple[int, float]] = []
        self.step, self.start = 0, perf_counter()

    def state(self) -> dict[str, Any]:
        """Return all of it, to be saved at once."""
        return {
            "step": self.step,
            "seconds": perf_counter() - self.start,
            "history": self.history,
            "best": self.best,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "cycle": self.cycle.state_dict(),
            "sampler": self.rng.bit_generator.state,
            "draws": self.draws.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where a saved training stood."""
        self.step, self.history, self.best = state["step"], state["history"], state["best"]
        self.start = perf_counter() - state["seconds"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.cycle.load_state_dict(state["cycle"])
        self.rng.bit_generator.state = state["sampler"]
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda"])
        print(f"Going on after step {self.step:,}.", file=sys.stderr)

    def learn(self, views: Tensor, target: Tensor) -> None:
        """Take one step of the optimiser, and of the learning rate."""
        with torch.autocast(views.device.type, torch.bfloat16, enabled=views.is_cuda):
            logits = self.network(views.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float().flatten(), target)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.cycle.step()

    def note(self, loss: float) -> None:
        """Keep a look at the validation loss, and the weights where it is the lowest so far."""
        before = [past for _, past in self.history if np.isfinite(past)]
        self.history.append((self.step, loss))
        if loss < min(before, default=np.inf):
            self.best = _copied(self.network)


def train_endtoend(
    network: nn.Module,
    material: Material,
    card: Card,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train all weights with Adam and one cycle of the learning rate.

    Paper 001, section 3: "the one-cycle learning rate policy with a maximum learning rate
    of 1e-4, and the best-performing model was selected retrospectively based on its
    validation loss". Steps, batch and sampler: see the head's card.

    Parameters
    ----------
    network
        Maps (n, 3, side, side) float in [0, 1] to (n, 1) logits; trained in place.
    material
        Its cells in the roles `train` and `validation` are used.
    checkpoint
        Where to go on from, and to save to. On the processor, with the same threads, the
        weights are then those of an unbroken training, bit for bit.

    Raises
    ------
    SplitError
        There are no validation cells to select by, or no validation loss was finite.
    """
    train, watch = material.cells("train"), material.cells("validation")
    if not len(watch.rows):
        raise SplitError("No validation cells: the fraction is too small to select a checkpoint.")
    course = _Course(network, train, card, seed)
    saved = checkpoint.load() if checkpoint else None
    if saved:
        course.restore(saved)
    bar = tqdm(total=card["steps"], initial=course.step, desc="train", unit="step", mininterval=10)
    while course.step < card["steps"]:
        picked = next(course.sampler)
        network.train()
        pixels = _pixels(material.pixels, train.rows[picked], device)
        target = torch.from_numpy(train.label[picked]).float().to(device)
        course.learn(augment(pixels, material.side, card["augment"], course.draws), target)
        course.step += 1
        if course.step % card["evaluate_every"] == 0 or course.step == card["steps"]:
            logits = score_cells(
                network, material.pixels, watch.rows, side=material.side, device=device
            )
            course.note(_loss(logits, watch.label))
            bar.set_postfix(validation_loss=f"{course.history[-1][1]:.4f}", refresh=False)
        if checkpoint:
            checkpoint.save_if_due(course.state)
        bar.update()
    bar.close()
    if course.best is None:
        raise SplitError(
            f"No validation loss was finite: {course.history[:3]} … Lower the learning rate."
        )
    seconds = perf_counter() - course.start
    return Trained(course.best, _copied(network), course.history, seconds)


def score_material(
    network: nn.Module, state: dict[str, Tensor], material: Material, *, device: torch.device
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Score the cells of a split that are not trained on, with these weights.

    Returns
    -------
    roles : data frame with columns id, role
    label : (n,) 0 or 1
    score : (n,) float64, the sigmoid of the logit
    """
    network.load_state_dict(state)
    cells = material.cells(*SCORED)
    logits = score_cells(network, material.pixels, cells.rows, side=material.side, device=device)
    roles = material.roles.loc[material.roles["role"].isin(SCORED), ["id", "role"]]
    return roles, cells.label, expit(logits.astype(float))  # in float32, sure cells would tie at 1


def _copied(network: nn.Module) -> dict[str, Tensor]:
    """Copy the weights away: a state dict alone would follow the training."""
    return copy.deepcopy({name: value.cpu() for name, value in network.state_dict().items()})
