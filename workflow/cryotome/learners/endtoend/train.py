"""Training on patches with one cycle of the learning rate; the best checkpoint is kept."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError
from cryotome.learners.endtoend.state import TrainingState
from cryotome.learners.endtoend.training_data import TrainingData, copy_weights
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.runtime import ledger
from cryotome.runtime.devices import peak_memory


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training: two sets of weights, its curve and its cost.

    Attributes
    ----------
    best, last
        Copies of trained weights and running statistics: of the evaluation with the lowest
        validation loss, and of the last step; one object where these are the same.
    curve : data frame, one row per evaluation
        step, learning_rate, training_loss (mean since the previous evaluation),
        validation_loss, validation_auroc (NaN if all validation cells are of one class).
    seconds
        Wall time, without work lost in killed jobs.
    patches_per_second
        Of training steps, without evaluations.
    """

    best: dict[str, Tensor]
    last: dict[str, Tensor]
    curve: pd.DataFrame
    seconds: float
    patches_per_second: float

    @property
    def kept(self) -> int:
        """The row of the curve with the lowest validation loss."""
        return int(self.curve["validation_loss"].argmin())

    def cost(self, device: torch.device) -> dict[str, Any]:
        """Return what the training took, for the metadata of its predictions."""
        return {
            "device": str(device),
            "cost_seconds": round(self.seconds, 1),
            "patches_per_second": round(self.patches_per_second, 1),
            "peak_memory_gb": round(peak_memory(device), 2),
        }


def train_endtoend(
    network: nn.Module,
    data: TrainingData,
    card: Card,
    *,
    seed: int,
    loader: BatchLoader,
    checkpoint: Checkpoint | None = None,
) -> TrainingResult:
    """Train all weights that are not frozen with Adam and one cycle of the learning rate.

    Ganz et al. 2024, section 3: "the one-cycle learning rate policy with a maximum learning rate
    of 1e-4, and the best-performing model was selected retrospectively based on its
    validation loss". Steps, batch and sampler: see the head's card.

    Parameters
    ----------
    network
        From (n, 3, side, side) float in [0, 1] to (n, 1) logits; trained in place.
    data
        Its cells in the roles `train` and `validation` are used.
    loader
        The patches of the data, on the device of the network.
    checkpoint
        Is resumed from, and saved after evaluations. On a CPU, with the same number of threads,
        the weights are then those of an uninterrupted training, bit for bit.

    Raises
    ------
    SplitError
        The training cells are of one class, or there are no validation cells.
    TrainingError
        The loss is not finite.
    """
    labels = data.cells("train").label
    if len(np.unique(labels)) < 2:
        raise SplitError(
            f"The {len(labels)} training cells are of one class. Raise the fraction, or change the "
            "seed of the scheme."
        )
    state = TrainingState(network, data, card, seed=seed, loader=loader, checkpoint=checkpoint)
    if saved := checkpoint.load() if checkpoint else None:
        state.restore(saved)
    state.log_start()
    _run_steps(state)
    assert state.best is not None  # the first evaluation's, if no later one was better
    curve = pd.DataFrame(state.evaluations)
    speed = card["steps"] * card["batch"] / state.step_seconds
    kept_last = curve["validation_loss"].argmin() == len(curve) - 1
    last = state.best if kept_last else copy_weights(network)
    return TrainingResult(state.best, last, curve, state.seconds, speed)


def _run_steps(state: TrainingState) -> None:
    """Train to the last step, with evaluations and checkpoints between."""
    steps, every = state.card["steps"], state.card["evaluate_every"]
    first_step, first_seconds = state.step, state.step_seconds
    with tqdm(desc="train", unit="step", initial=state.step, total=steps, mininterval=10) as bar:
        while state.step < steps:
            start = perf_counter()
            count = min(every - state.step % every, steps - state.step)
            losses, rates = state.learn(count, bar)
            values = losses.cpu().numpy()  # the only wait for the device
            state.record(state.evaluate(values, rates, perf_counter() - start))
            if state.checkpoint:
                state.checkpoint.save_if_due(state.state_dict)
    patches = (state.step - first_step) * state.card["batch"]
    ledger.report_throughput(patches=patches, seconds=state.step_seconds - first_seconds)
