"""Train a network on patches with one cycle, and keep the look with the lowest validation loss."""

import sys
from dataclasses import dataclass
from datetime import timedelta
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError, TrainingError
from cryotome.core.metrics import auroc
from cryotome.learners.endtoend.samplers import SAMPLERS
from cryotome.learners.endtoend.training_data import (
    TrainingData,
    ValidationSet,
    load_weights,
    score_cells,
    copy_weights,
)
from cryotome.learners.loop.augment import draw_uniform, draws_of
from cryotome.learners.loop.batches import BatchLoader, to_device
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.learners.loop.step import Step
from cryotome.runtime import ledger
from cryotome.runtime.devices import describe, peak_memory

CURVE_COLUMNS = ["step", "learning_rate", "training_loss", "validation_loss", "validation_auroc"]


@dataclass(frozen=True)
class TrainingResult:
    """What a training leaves: two sets of weights, its curve and its cost.

    Attributes
    ----------
    best, last
        Trained weights and running statistics, copies of their own: of the look with the
        lowest validation loss, and of the last step.
    curve : data frame, one row a look
        step, learning_rate, training_loss (mean since the look before), validation_loss,
        validation_auroc (NaN where validation holds one class).
    seconds
        Wall time of the training, without what kills have cost.
    speed
        Patches a second in training steps, looks left out.
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    curve: pd.DataFrame
    seconds: float
    speed: float


def _loss(logits: np.ndarray, label: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # the caller judges a loss that is not finite
        return float((np.logaddexp(0, logits) - label * logits).mean())


def _optimizer(network: nn.Module, card: Card) -> torch.optim.Optimizer:
    """Adam, with decoupled decay of matrices and kernels where the card says so.

    Norms and biases have one dimension, class tokens and positions three.
    """
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    decayed = [weight for weight in trained if weight.ndim in (2, 4)]
    others = [weight for weight in trained if weight.ndim not in (2, 4)]
    groups = [
        {"params": decayed, "weight_decay": card["weight_decay"]},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=card["learning_rate"], fused=True)


class TrainingState:
    """A training: everything that moves from step to step, to save and to restore."""

    def __init__(
        self,
        network: nn.Module,
        material: TrainingData,
        card: Card,
        *,
        seed: int,
        supply: BatchLoader,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.network, self.card, self.supply = network, card, supply
        self.train, self.watch = material.cells("train"), ValidationSet(material, card, seed)
        self.checkpoint, self.pass_ = checkpoint, Step(network, material.side, card, supply.device)
        torch.manual_seed(seed)  # dropout of adapters
        self.rng, self.draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.sample = SAMPLERS[card["sampler"]](self.train)
        self.optimizer = _optimizer(network, card)
        self.cycle = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=card["learning_rate"], total_steps=card["steps"]
        )
        self.best: dict[str, Tensor] | None = None
        self.looks: list[dict[str, float]] = []
        self.step, self.seconds, self.stepping = 0, 0.0, 0.0  # stepping: seconds without looks

    def state(self) -> dict[str, Any]:
        """Return all of it, to be saved at once."""
        return {
            "step": self.step,
            "seconds": (self.seconds, self.stepping),
            "looks": self.looks,
            "best": self.best,
            "network": copy_weights(self.network),
            "optimizer": self.optimizer.state_dict(),
            "cycle": self.cycle.state_dict(),
            "sampler": self.rng.bit_generator.state,
            "draws": self.draws.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if self.supply.device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where a saved training stood."""
        self.step, self.looks, self.best = state["step"], state["looks"], state["best"]
        self.seconds, self.stepping = state["seconds"]
        load_weights(self.network, state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.cycle.load_state_dict(state["cycle"])
        self.rng.bit_generator.state = state["sampler"]
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"])
        print(f"Going on after step {self.step:,}.", file=sys.stderr)

    def announce(self) -> None:
        """Say what is trained, on what."""
        trained = sum(weight.numel() for weight in self.pass_.trained)
        whole = sum(weight.numel() for weight in self.network.parameters())
        print(
            f"Training {trained:,} of {whole:,} weights on {len(self.train.rows):,} cells, "
            f"{len(self.watch.rows):,} to validate; {describe(self.supply.device)}, "
            f"{str(self.pass_.precision).removeprefix('torch.')}; {self.supply.where}.",
            file=sys.stderr,
        )

    def learn(self, count: int, bar: tqdm) -> tuple[Tensor, list[float]]:
        """Take so many steps, and do not wait for the device in any of them.

        Returns
        -------
        losses : (count,) float, on the device
        rates
            The learning rate of each step.
        """
        size, device = self.card["batch"], self.supply.device
        drawn = [
            (self.sample(self.rng, size), draw_uniform(size, self.draws)) for _ in range(count)
        ]
        picked, uniform = np.stack([rows for rows, _ in drawn]), torch.stack([u for _, u in drawn])
        draws = to_device(draws_of(uniform, self.pass_.side, self.card["augment"]), device)
        target = to_device(torch.from_numpy(self.train.label[picked]).float(), device)
        losses, rates = torch.zeros(count, device=device), []
        self.network.train()
        patches = self.supply.batches(torch.from_numpy(self.train.rows[picked]))
        for at, batch in enumerate(patches):
            losses[at].copy_(self.pass_(batch, draws[at], target[at]))
            rates.append(float(self.cycle.get_last_lr()[0]))
            self.optimizer.step()
            self.cycle.step()
            bar.update()
        self.step += count
        return losses, rates

    def look(self, losses: np.ndarray, rates: list[float], seconds: float) -> dict[str, float]:
        """Judge the losses of the last steps, score the validation cells, and say what was seen."""
        start, first = perf_counter(), self.step - len(losses) + 1
        for at in np.flatnonzero(~np.isfinite(losses))[:1]:
            raise TrainingError(self._diverged(losses[at], first + at, rates[at]))
        watch, precision = self.watch, self.pass_.precision
        logits = score_cells(
            self.network, self.supply, watch.rows, view=watch.view, precision=precision
        )
        loss = _loss(logits, watch.label)
        if not np.isfinite(loss):
            raise TrainingError(self._diverged(loss, self.step, rates[-1]))
        self.stepping, self.seconds = self.stepping + seconds, self.seconds + seconds
        self.seconds += perf_counter() - start
        values = self.step, rates[-1], losses.mean(), loss, auroc(watch.label, logits)
        seen = dict(zip(CURVE_COLUMNS, map(float, values), strict=True))
        self._say(seen, speed=len(losses) * self.card["batch"] / seconds)
        return seen

    def _say(self, seen: dict[str, float], *, speed: float) -> None:
        steps = self.card["steps"]
        left = timedelta(seconds=round(self.seconds / self.step * (steps - self.step)))
        tqdm.write(
            f"Step {self.step:,} of {steps:,}: training loss {seen['training_loss']:.4f}, "
            f"validation loss {seen['validation_loss']:.4f}, "
            f"AUROC {seen['validation_auroc']:.3f}; {speed:,.1f} patches/s, "
            f"{peak_memory(self.supply.device):.1f} GB, {left} to go.",
            file=sys.stderr,
        )

    def _diverged(self, loss: float, step: int, rate: float) -> str:
        """Say where a training was lost, and what is left of it."""
        good = "There is no good checkpoint yet"
        if self.checkpoint and self.checkpoint.step:
            at = f"{self.checkpoint.path}, after step {self.checkpoint.step:,}"
            good = f"The last good checkpoint is {at}"
        if self.looks:
            best = min(self.looks, key=lambda look: look["validation_loss"])
            good += f"; the best look was after step {best['step']:,.0f}"
        return (
            f"The loss is {loss} at step {step:,} of {self.card['steps']:,}, at a learning rate of "
            f"{rate:.3g}. {good}. Lower `learning_rate` in the head's card, or say "
            "`precision: fp32` there."
        )

    def note(self, seen: dict[str, float]) -> None:
        """Keep a look, and the weights where its validation loss is the lowest so far."""
        lowest = min((past["validation_loss"] for past in self.looks), default=np.inf)
        self.looks.append(seen)
        if seen["validation_loss"] < lowest:
            self.best = copy_weights(self.network)


def train_endtoend(
    network: nn.Module,
    material: TrainingData,
    card: Card,
    *,
    seed: int,
    supply: BatchLoader,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train all weights that are not frozen with Adam and one cycle of the learning rate.

    Paper 001, section 3: "the one-cycle learning rate policy with a maximum learning rate
    of 1e-4, and the best-performing model was selected retrospectively based on its
    validation loss". Steps, batch and sampler: see the head's card.

    Parameters
    ----------
    network
        Maps (n, 3, side, side) float in [0, 1] to (n, 1) logits; trained in place.
    material
        Its cells in the roles `train` and `validation` are used.
    supply
        The patches of the material, on the device of the network.
    checkpoint
        Where to go on from, and to save to after looks. On the processor, with the same
        threads, the weights are then those of an unbroken training, bit for bit.

    Raises
    ------
    SplitError
        The training cells are of one class, or there are no validation cells to select by.
    TrainingError
        The loss is not finite.
    """
    labels, steps = material.cells("train").label, card["steps"]
    if len(np.unique(labels)) < 2:
        raise SplitError(
            f"The {len(labels)} training cells are of one class. Raise the fraction, or change the "
            "seed of the scheme."
        )
    course = TrainingState(network, material, card, seed=seed, supply=supply, checkpoint=checkpoint)
    if saved := checkpoint.load() if checkpoint else None:
        course.restore(saved)
    course.announce()
    before = course.step, course.stepping
    begun = {"initial": course.step, "total": steps, "mininterval": 10}
    with tqdm(desc="train", unit="step", **begun) as bar:
        while course.step < steps:
            start = perf_counter()
            count = card["evaluate_every"] - course.step % card["evaluate_every"]
            losses, rates = course.learn(min(count, steps - course.step), bar)
            values = losses.cpu().numpy()  # here, and nowhere before, the device is waited for
            course.note(course.look(values, rates, perf_counter() - start))
            if checkpoint:
                checkpoint.save_if_due(course.state)
    taken = (course.step - before[0]) * card["batch"]
    ledger.report_throughput(patches=taken, seconds=course.stepping - before[1])
    assert course.best is not None  # the first look's, where no later one was better
    curve, speed = pd.DataFrame(course.looks), steps * card["batch"] / course.stepping
    return TrainingResult(course.best, copy_weights(network), curve, course.seconds, speed)
