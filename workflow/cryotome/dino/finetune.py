"""The finetuning itself: iterations, looks, exported teachers, going on after a kill."""

import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from cryotome.cards import Card
from cryotome.checkpoints import Checkpoint
from cryotome.devices import describe, peak_memory
from cryotome.dino.crops import draw_crops
from cryotome.dino.learner import LOSSES, Learner
from cryotome.dino.looks import Watch, check_look
from cryotome.dino.masks import Masks, draw_masks
from cryotome.dino.order import CROPS, MASKS, Order, ahead, numbers, torch_numbers
from cryotome.dino.schedule import rates_at
from cryotome.dino.sources import Images
from cryotome.errors import CardError, TrainingError
from cryotome.paths import written_whole
from cryotome.supply import sent


@dataclass(frozen=True)
class Finetuned:
    """What a finetuning leaves beside its exported teachers.

    Attributes
    ----------
    curve : data frame, one row a look
        iteration, losses (means since the look before), knn, probe, spread, rates, speed.
    kept
        The iteration whose teacher is the result.
    seconds
        Wall time, without what kills have cost.
    speed
        Images a second in iterations, looks left out.
    """

    curve: pd.DataFrame
    kept: int
    seconds: float
    speed: float


class Course:
    """Everything that moves from iteration to iteration, to save and to restore."""

    def __init__(self, learner: Learner, images: Images, card: Card, folder: Path) -> None:
        self.learner, self.images, self.card, self.folder = learner, images, card, folder
        self.device, self.order = images.supply.device, Order(images.rows, card["seed"])
        self.watch = Watch(images, card, card["crops"]["global"]["side"])
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
        rng = torch_numbers(card["seed"], CROPS, iteration)
        crops = draw_crops(size, self.images.side, card["crops"], rng)
        how = numbers(card["seed"], MASKS, iteration)
        masks = Masks.of(draw_masks(2 * size, self.learner.grid, card["masks"], how))
        return sent(crops, self.device), masks.on(self.device)

    def learn(self, count: int, tell: Callable[[], object]) -> Tensor:
        """Take so many steps and return their losses, (count, 4) on the device."""
        steps = range(self.iteration, self.iteration + count)
        rows = torch.stack([self.order.batch(at, self.card["batch"]) for at in steps])
        drawn = ahead(self._drawn, steps, self._ahead)
        losses = []
        for at, batch, (crops, masks) in zip(steps, self.images.supply.batches(rows), drawn):
            torch.manual_seed(self.card["seed"] + at)  # of drop path
            rates = rates_at(at, self.card)
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
        rates = rates_at(max(self.iteration - 1, 0), self.card)
        speed = len(losses) * self.card["batch"] / seconds if len(losses) else np.nan
        seen = {"iteration": float(self.iteration), **dict(zip(LOSSES, mean))}
        seen |= self.watch.look(self.learner.teacher["backbone"], self.learner.precision)
        seen |= vars(rates) | {"images_per_second": speed, "memory_gb": peak_memory(self.device)}
        self.looks.append(seen)
        self.stepping += seconds
        self.seconds += seconds + perf_counter() - start
        self._say(seen)
        check_look(self.looks, self.watch.chance, self.card)

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
            written_whole(self.folder / f"{self.iteration}.pt") as beside,
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


def finetune(
    learner: Learner, images: Images, card: Card, folder: Path, checkpoint: Checkpoint
) -> Finetuned:
    """Learn from images without labels until `stop_at`, on schedules over `total_iters`.

    Parameters
    ----------
    folder
        Gets the exported teachers, `{iteration}.pt`.
    checkpoint
        Where to go on from, and to save to after looks. On the processor, with the same
        threads, the weights are then those of an unbroken finetuning, bit for bit.

    Raises
    ------
    TrainingError
        The loss is not finite, or the embeddings collapse.
    """
    course, stop = Course(learner, images, card, folder), card["stop_at"]
    if saved := checkpoint.load():
        course.restore(saved)
    print(
        f"Finetuning on {len(images.rows):,} images of {images.side} px, {describe(course.device)}, "
        f"{str(learner.precision).removeprefix('torch.')}; {images.supply.where}.",
        file=sys.stderr,
    )
    if not course.looks:
        course.look(np.empty((0, len(LOSSES))), 0.0)
    with tqdm(
        desc="finetune", unit="step", initial=course.iteration, total=stop, mininterval=10
    ) as bar:
        while course.iteration < stop:
            start = perf_counter()
            losses = course.learn(course.pause_after(), bar.update).cpu().numpy()
            course.look(losses, perf_counter() - start)
            if course.iteration in course.exported:
                course.export()
            checkpoint.save_if_due(course.state)
    curve = pd.DataFrame(course.looks)
    done = curve[curve["iteration"].isin(course.exported)]
    kept = int(done.loc[done["knn"].idxmax(), "iteration"]) if card["select"] == "knn" else stop
    return Finetuned(curve, kept, course.seconds, stop * card["batch"] / course.stepping)


def publish(folder: Path, fit: Finetuned, weights: Path, checkpoints: Path) -> None:
    """Give the exported teachers their places: the one that is kept, and all of them.

    Parameters
    ----------
    folder
        Where `finetune` left them.
    """
    with written_whole(weights) as beside:
        shutil.copyfile(folder / f"{fit.kept}.pt", beside)
    beside_all = checkpoints.with_name(f".{checkpoints.name}.part")
    shutil.rmtree(beside_all, ignore_errors=True)
    beside_all.mkdir(parents=True)
    for path in folder.glob("[0-9]*.pt"):
        try:
            os.link(path, beside_all / path.name)  # of a giant network, 4.5 GB each
        except OSError:  # `results` spans two disks, or has no links
            shutil.copyfile(path, beside_all / path.name)
    shutil.rmtree(checkpoints, ignore_errors=True)
    beside_all.replace(checkpoints)
