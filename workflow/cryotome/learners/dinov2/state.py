"""Everything of a finetuning that moves from iteration to iteration."""

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
from cryotome.runtime.devices import peak_memory


class FinetuningState:
    """Everything that moves from iteration to iteration, to save and to restore."""

    def __init__(self, learner: Learner, images: TrainingImages, card: Card, folder: Path) -> None:
        self.learner, self.images, self.card, self.folder = learner, images, card, folder
        self.device, self.order = images.supply.device, ImageSampler(images.rows, card["seed"])
        self.watch = Monitor(images, card, card["crops"]["global"]["side"])
        if card["stop_at"] > card["total_iters"]:
            raise CardError(
                f"`stop_at: {card['stop_at']}` lies beyond `total_iters: {card['total_iters']}` in "
                "a finetune card; the schedules end there. Raise `total_iters`."
            )
        if card["select"] == "knn" and self.watch.label is None:
            raise CardError("`select: knn` in a finetune card needs labels; write `stop_at`.")
        self.iteration, self.looks = 0, list[dict[str, float]]()
        self.seconds, self.stepping = 0.0, 0.0  # stepping: without looks
        self._ahead = ThreadPoolExecutor(1)

    def state(self) -> dict[str, Any]:
        """Return all of it, to be saved at once; random numbers follow from the iteration."""
        return {
            "step": self.iteration,
            "seconds": (self.seconds, self.stepping),
            "looks": self.looks,
            "learner": self.learner.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where a saved finetuning stood."""
        self.iteration, self.looks = state["step"], state["looks"]
        self.seconds, self.stepping = state["seconds"]
        self.learner.load_state_dict(state["learner"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        print(f"Going on after iteration {self.iteration:,}.", file=sys.stderr)

    def _drawn(self, iteration: int) -> tuple[Tensor, Masks]:
        """Draw crops and masks of an iteration, on their way to the device."""
        card, size = self.card, self.card["batch"]
        rng = torch_generator_for(card["seed"], CROPS, iteration)
        crops = draw_crops(size, self.images.side, card["crops"], rng)
        how = generator_for(card["seed"], MASKS, iteration)
        masks = Masks.of(draw_masks(2 * size, self.learner.grid, card["masks"], how))
        return to_device(crops, self.device), masks.on(self.device)

    def learn(self, count: int, tell: Callable[[], object]) -> Tensor:
        """Take so many steps and return their losses, (count, 4) on the device."""
        steps = range(self.iteration, self.iteration + count)
        rows = torch.stack([self.order.batch(at, self.card["batch"]) for at in steps])
        drawn = prefetch(self._drawn, steps, self._ahead, depth=2)
        losses = []
        for at, batch, (crops, masks) in zip(steps, self.images.supply.batches(rows), drawn):
            torch.manual_seed(self.card["seed"] + at)  # of drop path
            rates = schedule_at(at, self.card)
            losses.append(self.learner.learn(batch, crops, masks, rates))
            tell()
        self.iteration += count
        return torch.stack(losses)

    def look(self, losses: np.ndarray, seconds: float) -> None:
        """Judge the losses of the last steps and the teacher, and say what was seen."""
        start = perf_counter()
        if not np.isfinite(losses).all():
            at = self.iteration - len(losses) + int(np.argmin(np.isfinite(losses).all(1)))
            raise TrainingError(
                f"The loss is not finite at iteration {at + 1:,} of {self.card['stop_at']:,}: "
                f"{dict(zip(LOSSES, losses[at - self.iteration].tolist()))}. Lower `learning_rate` "
                "in the finetune card, or say `precision: fp32` there."
            )
        mean = losses.mean(0).tolist() if len(losses) else [np.nan] * len(LOSSES)
        rates = schedule_at(max(self.iteration - 1, 0), self.card)
        speed = len(losses) * self.card["batch"] / seconds if len(losses) else np.nan
        seen = {"iteration": float(self.iteration), **dict(zip(LOSSES, mean))}
        seen |= self.watch.look(self.learner.teacher.backbone, self.learner.precision)
        seen |= vars(rates) | {"images_per_second": speed, "memory_gb": peak_memory(self.device)}
        self.looks.append(seen)
        self.stepping += seconds
        self.seconds += seconds + perf_counter() - start
        self._say(seen)
        raise_if_collapsed(self.looks, self.watch.chance, self.card)

    def _say(self, seen: dict[str, float]) -> None:
        stop = self.card["stop_at"]
        speed = seen["images_per_second"]
        left = timedelta(
            seconds=round(self.seconds / max(self.iteration, 1) * (stop - self.iteration))
        )
        losses = ", ".join(f"{name} {seen[name]:.3f}" for name in LOSSES)
        tail = f"; {losses}; {speed:,.1f} images/s, {seen['memory_gb']:.1f} GB, {left} to go"
        tqdm.write(
            f"Iteration {self.iteration:,} of {stop:,}: k-NN {seen['knn']:.3f}, linear probe "
            f"{seen['probe']:.3f}, spread {seen['spread']:.3f}{tail if speed == speed else ''}.",
            file=sys.stderr,
        )

    def export(self) -> None:
        """Write the teacher beside the checkpoint, as a state dict of timm."""
        with (
            atomic_write(self.folder / f"{self.iteration}.pt") as beside,
            open(beside, "wb") as to,
        ):
            torch.save(self.learner.export(), to)

    def pause_after(self) -> int:
        """Return how many iterations there are to the next look."""
        every = self.card["evaluate_every"], self.card["checkpoint_every"]
        nearest = min(step - self.iteration % step for step in every)
        return min(nearest, self.card["stop_at"] - self.iteration)

    @property
    def exported(self) -> list[int]:
        """Iterations whose teachers are kept: every `checkpoint_every`, and the last."""
        every, stop = self.card["checkpoint_every"], self.card["stop_at"]
        return sorted({*range(every, stop + 1, every), stop})
