"""Training state of a finetuning: networks, optimiser, iteration, evaluations."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, TrainingError
from cryotome.core.files import atomic_write
from cryotome.core.prefetch import prefetch
from cryotome.learners.dinov2.crops import draw_crops
from cryotome.learners.dinov2.images import TrainingImages
from cryotome.learners.dinov2.masks import Masks, draw_masks
from cryotome.learners.dinov2.monitor import Monitor, raise_if_collapsed
from cryotome.learners.dinov2.sampling import (
    CROPS,
    MASKS,
    ImageSampler,
    generator_for,
    torch_generator_for,
)
from cryotome.learners.dinov2.schedule import schedule_at
from cryotome.learners.dinov2.student_teacher import LOSSES, Learner
from cryotome.learners.loop.batches import to_device
from cryotome.learners.loop.step import precision_name
from cryotome.runtime.devices import describe, peak_memory


class FinetuningState:
    """A finetuning in progress, which can be saved and restored.

    Attributes
    ----------
    iteration : int
        Iterations done.
    evaluations : list of dict
        One per call of `evaluate`: the rows of the learning curve.
    seconds, step_seconds : float
        Wall time with and without evaluations, s.
    """

    def __init__(self, learner: Learner, images: TrainingImages, card: Card, folder: Path) -> None:
        self.learner, self.images, self.card, self.folder = learner, images, card, folder
        self.device, self.sampler = images.loader.device, ImageSampler(images.rows, card["seed"])
        self.monitor = Monitor(images, card, card["crops"]["global"]["side"])
        if card["stop_iteration"] > card["schedule_iterations"]:
            raise CardError(
                f"`stop_iteration: {card['stop_iteration']}` lies beyond `schedule_iterations: "
                f"{card['schedule_iterations']}` in a finetuning card; the schedules end there. "
                "Raise `schedule_iterations`."
            )
        if card["select"] == "knn" and self.monitor.label is None:
            raise CardError(
                "`select: knn` in a finetuning card needs labels; write `stop_iteration`."
            )
        self.iteration, self.evaluations = 0, list[dict[str, float]]()
        self.seconds, self.step_seconds = 0.0, 0.0
        self._executor = ThreadPoolExecutor(1)

    def state(self) -> dict[str, Any]:
        """Return the state to save; random numbers follow from the iteration."""
        return {
            "step": self.iteration,
            "seconds": (self.seconds, self.step_seconds),
            "looks": self.evaluations,
            "learner": self.learner.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.iteration, self.evaluations = state["step"], state["looks"]
        self.seconds, self.step_seconds = state["seconds"]
        self.learner.load_state_dict(state["learner"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        print(f"Resuming after iteration {self.iteration:,}.", file=sys.stderr)

    def log_start(self) -> None:
        """Print on which images, on which device and with which precision training runs."""
        print(
            f"Finetuning on {len(self.images.rows):,} images of {self.images.side} px; "
            f"{describe(self.device)}, {precision_name(self.learner.precision)}; "
            f"{self.images.loader.where}.",
            file=sys.stderr,
        )

    def draw(self, iteration: int) -> tuple[Tensor, Masks]:
        """Draw crops and masks of an iteration and start their transfer to the device."""
        card, size = self.card, self.card["batch"]
        rng = torch_generator_for(card["seed"], CROPS, iteration)
        crops = draw_crops(size, self.images.side, card["crops"], rng)
        mask_rng = generator_for(card["seed"], MASKS, iteration)
        hidden = draw_masks(2 * size, self.learner.grid, card["masks"], mask_rng)
        return to_device(crops, self.device), Masks.of(hidden).to(self.device)

    def learn(self, count: int, on_step: Callable[[], object]) -> Tensor:
        """Run so many iterations and return their losses, (count, 4) on the device."""
        steps = range(self.iteration, self.iteration + count)
        rows = torch.stack([self.sampler.batch(at, self.card["batch"]) for at in steps])
        drawn = prefetch(self.draw, steps, self._executor, depth=2)
        losses = []
        for at, batch, (crops, masks) in zip(steps, self.images.loader.batches(rows), drawn):
            torch.manual_seed(self.card["seed"] + at)  # of drop path
            losses.append(self.learner.learn(batch, crops, masks, schedule_at(at, self.card)))
            on_step()
        self.iteration += count
        return torch.stack(losses)

    def evaluate(self, losses: np.ndarray, seconds: float) -> None:
        """Check the losses of the last iterations, evaluate the teacher, and log both.

        Parameters
        ----------
        losses : (steps, 4) float
        seconds
            Wall time of these iterations, s.

        Raises
        ------
        TrainingError
            A loss is not finite, or the embeddings have collapsed.
        """
        start = perf_counter()
        if not np.isfinite(losses).all():
            at = self.iteration - len(losses) + int(np.argmin(np.isfinite(losses).all(1)))
            raise TrainingError(
                f"The loss is not finite at iteration {at + 1:,} of "
                f"{self.card['stop_iteration']:,}: "
                f"{dict(zip(LOSSES, losses[at - self.iteration].tolist()))}. Lower `learning_rate` "
                "in the finetuning card, or write `precision: fp32` there."
            )
        mean = losses.mean(0).tolist() if len(losses) else [np.nan] * len(LOSSES)
        rates = schedule_at(max(self.iteration - 1, 0), self.card)
        speed = len(losses) * self.card["batch"] / seconds if len(losses) else np.nan
        row = {"iteration": float(self.iteration), **dict(zip(LOSSES, mean))}
        row |= self.monitor.evaluate(self.learner.teacher.backbone, self.learner.precision)
        row |= vars(rates) | {"images_per_second": speed, "memory_gb": peak_memory(self.device)}
        self.evaluations.append(row)
        self.step_seconds += seconds
        self.seconds += seconds + perf_counter() - start
        self._log(row)
        raise_if_collapsed(self.evaluations, self.monitor.chance_level, self.card)

    def _log(self, row: dict[str, float]) -> None:
        stop = self.card["stop_iteration"]
        speed = row["images_per_second"]
        left = timedelta(
            seconds=round(self.seconds / max(self.iteration, 1) * (stop - self.iteration))
        )
        losses = ", ".join(f"{name} {row[name]:.3f}" for name in LOSSES)
        tail = f"; {losses}; {speed:,.1f} images/s, {row['memory_gb']:.1f} GB, {left} to go"
        tqdm.write(
            f"Iteration {self.iteration:,} of {stop:,}: k-NN {row['knn']:.3f}, linear probe "
            f"{row['probe']:.3f}, spread {row['spread']:.3f}{tail if speed == speed else ''}.",
            file=sys.stderr,
        )

    def export(self) -> None:
        """Write the teacher beside the checkpoint, as a state dict of timm."""
        with (
            atomic_write(self.folder / f"{self.iteration}.pt") as partial,
            open(partial, "wb") as file,
        ):
            torch.save(self.learner.export(), file)

    def next_pause(self) -> int:
        """Return the number of iterations until the next evaluation or export."""
        every = self.card["evaluate_every"], self.card["checkpoint_every"]
        nearest = min(step - self.iteration % step for step in every)
        return min(nearest, self.card["stop_iteration"] - self.iteration)

    @property
    def exported(self) -> list[int]:
        """Iterations whose teachers are exported: every `checkpoint_every`, and the last."""
        every, stop = self.card["checkpoint_every"], self.card["stop_iteration"]
        return sorted({*range(every, stop + 1, every), stop})
