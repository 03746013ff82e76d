"""A finetuning from its first look to the places of its exported teachers."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.files import atomic_write
from cryotome.learners.dinov2.images import TrainingImages
from cryotome.learners.dinov2.state import FinetuningState
from cryotome.learners.dinov2.student_teacher import LOSSES, Learner
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.runtime import ledger
from cryotome.runtime.devices import describe, peak_memory


@dataclass(frozen=True)
class FinetuningResult:
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


def finetune(
    learner: Learner, images: TrainingImages, card: Card, folder: Path, checkpoint: Checkpoint
) -> FinetuningResult:
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
    course, stop = FinetuningState(learner, images, card, folder), card["stop_at"]
    if saved := checkpoint.load():
        course.restore(saved)
    print(
        f"Finetuning on {len(images.rows):,} images of {images.side} px; "
        f"{describe(course.device)}, {str(learner.precision).removeprefix('torch.')}; "
        f"{images.supply.where}.",
        file=sys.stderr,
    )
    if not course.looks:
        course.look(np.empty((0, len(LOSSES))), 0.0)
    before = course.iteration, course.stepping
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
    taken = (course.iteration - before[0]) * card["batch"]
    ledger.report_throughput(patches=taken, seconds=course.stepping - before[1])
    curve = pd.DataFrame(course.looks)
    kept = stop
    if card["select"] == "knn":
        done = curve[curve["iteration"].isin(course.exported)]
        kept = int(done["iteration"].iloc[int(done["knn"].argmax())])
    return FinetuningResult(curve, kept, course.seconds, stop * card["batch"] / course.stepping)


def export_encoder(folder: Path, fit: FinetuningResult, weights: Path, checkpoints: Path) -> None:
    """Give the exported teachers their places: the one that is kept, and all of them.

    Parameters
    ----------
    folder
        Where `finetune` left them.
    """
    with atomic_write(weights) as beside:
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


def finetuning_cost(
    fit: FinetuningResult, card: Card, device: torch.device, threads: int
) -> dict[str, Any]:
    """Return what a finetuning took, and what the first and the last look saw."""
    on_gpu = device.type == "cuda"
    hours = fit.seconds / 3600 * (1 if on_gpu else threads)
    seen = fit.curve[["iteration", "knn", "probe", "spread"]].iloc[[0, -1]]
    return {
        "iterations": card["stop_at"],
        "kept": fit.kept,
        "images": card["stop_at"] * card["batch"],
        "seconds": round(fit.seconds, 1),
        "gpu_hours" if on_gpu else "core_hours": round(hours, 4),
        "images_per_second": round(fit.speed, 1),
        "device": describe(device),
        "peak_memory_gb": round(peak_memory(device), 2),
        "looks": json.loads(seen.to_json(orient="records")),  # NaN becomes null
    }
