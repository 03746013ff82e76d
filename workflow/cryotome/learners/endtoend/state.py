"""Training state of one run: weights, optimiser, schedule, random generators, evaluations."""

import sys
from datetime import timedelta
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import TrainingError
from cryotome.core.metrics import auroc
from cryotome.learners.endtoend.samplers import SAMPLERS
from cryotome.learners.endtoend.training_data import (
    TrainingData,
    ValidationSet,
    copy_weights,
    load_weights,
    score_cells,
)
from cryotome.learners.loop.augment import draw_uniform, draws_of
from cryotome.learners.loop.batches import BatchLoader, to_device
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.learners.loop.step import Step, precision_name
from cryotome.runtime.devices import describe, peak_memory

CURVE_COLUMNS = ["step", "learning_rate", "training_loss", "validation_loss", "validation_auroc"]


def _loss(logits: np.ndarray, target: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):  # the caller checks that it is finite
        return float((np.logaddexp(0, logits) - target * logits).mean())


def _optimizer(network: nn.Module, card: Card) -> torch.optim.Optimizer:
    """Return AdamW with decay of matrices and kernels only.

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
    """Everything that changes from step to step of a training, to save and to restore."""

    def __init__(
        self,
        network: nn.Module,
        data: TrainingData,
        card: Card,
        *,
        seed: int,
        loader: BatchLoader,
        checkpoint: Checkpoint | None,
    ) -> None:
        self.network, self.card, self.loader = network, card, loader
        self.train, self.validation = data.cells("train"), ValidationSet(data, card, seed)
        self.checkpoint, self.backward = checkpoint, Step(network, data.side, card, loader.device)
        torch.manual_seed(seed)  # dropout of adapters
        self.rng, self.draws = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
        self.sample = SAMPLERS[card["sampler"]](self.train)
        self.optimizer = _optimizer(network, card)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, max_lr=card["learning_rate"], total_steps=card["steps"]
        )
        self.best: dict[str, Tensor] | None = None
        self.evaluations: list[dict[str, float]] = []
        self.step, self.seconds, self.step_seconds = (
            0,
            0.0,
            0.0,
        )  # step_seconds: without evaluations

    def state_dict(self) -> dict[str, Any]:
        """Return the content of a checkpoint."""
        return {
            "step": self.step,
            "seconds": (self.seconds, self.step_seconds),
            "looks": self.evaluations,
            "best": self.best,
            "network": copy_weights(self.network),
            "optimizer": self.optimizer.state_dict(),
            "cycle": self.schedule.state_dict(),
            "sampler": self.rng.bit_generator.state,
            "draws": self.draws.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state() if self.loader.device.type == "cuda" else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.step, self.evaluations, self.best = state["step"], state["looks"], state["best"]
        self.seconds, self.step_seconds = state["seconds"]
        load_weights(self.network, state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["cycle"])
        self.rng.bit_generator.state = state["sampler"]
        self.draws.set_state(state["draws"])
        torch.set_rng_state(state["torch"])
        if state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"])
        print(f"Resuming after step {self.step:,}.", file=sys.stderr)

    def log_start(self) -> None:
        """Print the size of the network and of the data, device and precision."""
        trained = sum(weight.numel() for weight in self.backward.trained)
        whole = sum(weight.numel() for weight in self.network.parameters())
        print(
            f"Training {trained:,} of {whole:,} weights on {len(self.train.rows):,} cells, "
            f"{len(self.validation.rows):,} to validate; {describe(self.loader.device)}, "
            f"{precision_name(self.backward.precision)}; {self.loader.where}.",
            file=sys.stderr,
        )

    def learn(self, count: int, bar: tqdm) -> tuple[Tensor, list[float]]:
        """Take so many steps without waiting for the device.

        Returns
        -------
        losses : (count,) float, on the device
        rates
            The learning rate of each step.
        """
        size, device = self.card["batch"], self.loader.device
        drawn = [
            (self.sample(self.rng, size), draw_uniform(size, self.draws)) for _ in range(count)
        ]
        picked, uniform = np.stack([rows for rows, _ in drawn]), torch.stack([u for _, u in drawn])
        draws = to_device(draws_of(uniform, self.backward.side, self.card["augment"]), device)
        target = to_device(torch.from_numpy(self.train.target[picked]).float(), device)
        losses, rates = torch.zeros(count, device=device), []
        self.network.train()
        patches = self.loader.batches(torch.from_numpy(self.train.rows[picked]))
        for at, batch in enumerate(patches):
            losses[at].copy_(self.backward(batch, draws[at], target[at]))
            rates.append(float(self.schedule.get_last_lr()[0]))
            self.optimizer.step()
            self.schedule.step()
            bar.update()
        self.step += count
        return losses, rates

    def evaluate(self, losses: np.ndarray, rates: list[float], seconds: float) -> dict[str, float]:
        """Check the losses of the last steps, score the validation cells, and log the result.

        Raises
        ------
        TrainingError
            A loss is not finite.
        """
        start, first = perf_counter(), self.step - len(losses) + 1
        for at in np.flatnonzero(~np.isfinite(losses))[:1]:
            raise TrainingError(self._diverged(losses[at], first + at, rates[at]))
        cells, how = self.validation, {"precision": self.backward.precision}
        logits = score_cells(self.network, self.loader, cells.rows, views=cells.views, **how)
        loss = _loss(logits, cells.target)
        if not np.isfinite(loss):
            raise TrainingError(self._diverged(loss, self.step, rates[-1]))
        self.step_seconds, self.seconds = self.step_seconds + seconds, self.seconds + seconds
        self.seconds += perf_counter() - start
        values = self.step, rates[-1], losses.mean(), loss, auroc(cells.label, logits)
        result = dict(zip(CURVE_COLUMNS, map(float, values), strict=True))
        self._log_progress(result, len(losses) * self.card["batch"] / seconds)
        return result

    def _log_progress(self, result: dict[str, float], patches_per_second: float) -> None:
        steps = self.card["steps"]
        left = timedelta(seconds=round(self.seconds / self.step * (steps - self.step)))
        tqdm.write(
            f"Step {self.step:,} of {steps:,}: training loss {result['training_loss']:.4f}, "
            f"validation loss {result['validation_loss']:.4f}, "
            f"AUROC {result['validation_auroc']:.3f}; {patches_per_second:,.1f} patches/s, "
            f"{peak_memory(self.loader.device):.1f} GB, {left} to go.",
            file=sys.stderr,
        )

    def _diverged(self, loss: float, step: int, rate: float) -> str:
        """Return where a training diverged, and its last good checkpoint."""
        good = "There is no good checkpoint yet"
        if self.checkpoint and self.checkpoint.step:
            at = f"{self.checkpoint.path}, after step {self.checkpoint.step:,}"
            good = f"The last good checkpoint is {at}"
        if self.evaluations:
            best = min(self.evaluations, key=lambda result: result["validation_loss"])
            good += f"; the best evaluation was after step {best['step']:,.0f}"
        return (
            f"The loss is {loss} at step {step:,} of {self.card['steps']:,}, at a learning rate of "
            f"{rate:.3g}. {good}. Lower `learning_rate` in the head's card, or set "
            "`precision: fp32` there."
        )

    def record(self, result: dict[str, float]) -> None:
        """Keep an evaluation, and the weights if its validation loss is the lowest so far."""
        lowest = min((past["validation_loss"] for past in self.evaluations), default=np.inf)
        self.evaluations.append(result)
        if result["validation_loss"] < lowest:
            self.best = copy_weights(self.network)
