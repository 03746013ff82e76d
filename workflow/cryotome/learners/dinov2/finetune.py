"""A finetuning from its first evaluation to its exported teachers."""

import json
import os
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from cryotome.core.cards import Card
from cryotome.core.files import atomic_write, sha256
from cryotome.learners.dinov2.images import TrainingImages
from cryotome.learners.dinov2.state import FinetuningState
from cryotome.learners.dinov2.student_teacher import LOSSES, Learner
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.learners.loop.step import precision_name
from cryotome.runtime import ledger
from cryotome.runtime.devices import describe, peak_memory


@dataclass(frozen=True)
class FinetuningResult:
    """Result of a finetuning besides its exported teachers.

    Attributes
    ----------
    curve : data frame, one row an evaluation
        iteration, losses (means since the evaluation before), knn, probe, spread, rates, speed.
    kept
        Iteration whose teacher is the result.
    seconds
        Wall time without what was lost when the job was killed, s.
    speed
        Images per second in iterations, without evaluations.
    """

    curve: pd.DataFrame
    kept: int
    seconds: float
    speed: float


def finetune(
    learner: Learner, images: TrainingImages, card: Card, folder: Path, checkpoint: Checkpoint
) -> FinetuningResult:
    """Learn from images without labels until `stop_iteration`.

    Parameters
    ----------
    folder
        For the exported teachers, `{iteration}.pt`.
    checkpoint
        Resumed from, and saved to after evaluations. On the CPU, with the same number of
        threads, the weights are then those of an uninterrupted finetuning, bit for bit.

    Raises
    ------
    TrainingError
        The loss is not finite, or the embeddings collapse.
    """
    state, stop = FinetuningState(learner, images, card, folder), card["stop_iteration"]
    if saved := checkpoint.load():
        state.restore(saved)
    state.log_start()
    if not state.evaluations:
        state.evaluate(np.empty((0, len(LOSSES))), 0.0)
    before = state.iteration, state.step_seconds
    with tqdm(
        desc="finetune", unit="step", initial=state.iteration, total=stop, mininterval=10
    ) as bar:
        while state.iteration < stop:
            start = perf_counter()
            losses = state.learn(state.next_pause(), bar.update).cpu().numpy()
            state.evaluate(losses, perf_counter() - start)
            if state.iteration in state.exported:
                state.export()
            checkpoint.save_if_due(state.state)
    images_seen = (state.iteration - before[0]) * card["batch"]
    ledger.report_throughput(patches=images_seen, seconds=state.step_seconds - before[1])
    curve, speed = pd.DataFrame(state.evaluations), stop * card["batch"] / state.step_seconds
    kept = _best_export(curve, state.exported) if card["select"] == "knn" else stop
    return FinetuningResult(curve, kept, state.seconds, speed)


def _best_export(curve: pd.DataFrame, exported: list[int]) -> int:
    """Return the exported iteration with the highest k-NN accuracy."""
    done = curve[curve["iteration"].isin(exported)]
    return int(done["iteration"].iloc[int(done["knn"].argmax())])


def export_encoder(folder: Path, fit: FinetuningResult, weights: Path, checkpoints: Path) -> None:
    """Copy the kept teacher to `weights`, and all exported teachers to `checkpoints`.

    Parameters
    ----------
    folder
        The folder of `finetune`.
    """
    with atomic_write(weights) as partial:
        shutil.copyfile(folder / f"{fit.kept}.pt", partial)
    partial_folder = checkpoints.with_name(f".{checkpoints.name}.part")
    shutil.rmtree(partial_folder, ignore_errors=True)
    partial_folder.mkdir(parents=True)
    for path in folder.glob("[0-9]*.pt"):
        try:
            os.link(path, partial_folder / path.name)  # a giant network has 4.5 GB
        except OSError:  # `results` spans two disks, or its file system has no links
            shutil.copyfile(path, partial_folder / path.name)
    shutil.rmtree(checkpoints, ignore_errors=True)
    partial_folder.replace(checkpoints)


def provenance(learner: Learner, images: TrainingImages, split: list[Path]) -> dict[str, Any]:
    """Return what decides the weights besides model and base: card, images, versions."""
    facts = {"card": learner.card, "split_sha256": [sha256(path) for path in split]}
    facts["versions"] = {name: version(name) for name in ("torch", "torchvision", "timm")}
    return images.about | facts | {"precision": precision_name(learner.precision)}


def finetuning_cost(
    fit: FinetuningResult, card: Card, device: torch.device, threads: int
) -> dict[str, Any]:
    """Return the cost of a finetuning, and its first and last evaluation."""
    on_gpu = device.type == "cuda"
    hours = fit.seconds / 3600 * (1 if on_gpu else threads)
    ends = fit.curve[["iteration", "knn", "probe", "spread"]].iloc[[0, -1]]
    return {
        "iterations": card["stop_iteration"],
        "kept": fit.kept,
        "images": card["stop_iteration"] * card["batch"],
        "seconds": round(fit.seconds, 1),
        "gpu_hours" if on_gpu else "core_hours": round(hours, 4),
        "images_per_second": round(fit.speed, 1),
        "device": describe(device),
        "peak_memory_gb": round(peak_memory(device), 2),
        "looks": json.loads(ends.to_json(orient="records")),  # NaN becomes null
    }
