"""Disk that one job fills."""

from collections.abc import Callable

from cryotome.study.colorectal import PREDEFINED, iterations
from cryotome.study.costs.gflop import Job, cells_of, scored_cells, tiles_of
from cryotome.study.geometry import stored_side
from cryotome.study.study import Study

BLOCK = 4096  # bytes that the smallest file takes
DEMO = 80e6  # bytes of the invented tissue
APPLIED = 700  # bytes of a cell or a tile in a file for QuPath
SHOWN = 90  # bytes of a score in a slide and a table of the atlas
ADAPTED = 0.02  # share of a network's weights that adapters add
LAST_BLOCKS = 0.2  # share of a network's weights in its last block, about
# weights of an aggregator of so many features
AGGREGATOR: dict[str, Callable[[int], int]] = {
    "transformer": lambda dim: 512 * dim + 3_200_000,
    "abmil": lambda dim: 512 * dim + 132_000,
    "mean_pool": lambda dim: 6 * dim,
}
PREDICTION, ROLE, CELL, WINDOW, PICTURE = 36, 12, 70, 50, 60_000  # bytes of a line; of a curve
PIXELS = 3  # bytes of one
JPEG = 0.45  # bytes of a pixel of a stored tile, at quality 90


def bytes_of(study: Study, job: Job) -> float:
    """Return about how much a job leaves on disk."""
    w, folds = job.wildcards, 1 if "fold" in job.wildcards else len(study.folds)

    def scored(name: str) -> int:
        return sum(cells_of(study, name).values())

    count = scored(w["dataset"]) if "dataset" in w else 0
    kept: dict[str, Callable[[], float]] = {
        "make_demo": lambda: DEMO,
        "read_cells": lambda: count * CELL,
        "place_windows": lambda: count * WINDOW,
        "cut_patches": lambda: (
            count * PIXELS * stored_side(study.dataset(w["dataset"])["patch"]["side"]) ** 2
        ),
        "embed": lambda: count * (4 * study.model(w["model"])["dim"] + 8),
        "split_cells": lambda: folds * (count * ROLE + BLOCK),
        "audit_splits": lambda: folds * BLOCK,
        "probe": lambda: folds * (_predicted(study, w, study.fractions) + kept_bytes(study, w)),
        "probe_whole": lambda: (
            folds * (_predicted(study, w, [w.get("fraction", "1.0")]) + kept_bytes(study, w))
        ),
        "classify_patches": lambda: count * PREDICTION + kept_bytes(study, w),
        "train_endtoend": lambda: (
            2 * _predicted(study, w, [w["fraction"]]) + PICTURE + kept_bytes(study, w)
        ),
        "train_mil": lambda: BLOCK + kept_bytes(study, w),
        "apply_models": lambda: folds * (scored(w["target"]) * PREDICTION + 2 * BLOCK),
        "merge_applied": lambda: scored(w["target"]) * (CELL + APPLIED),
        "apply_to_slides": lambda: (
            study.slides_expected(w["target"]) * (tiles_of(study, w["target"]) * APPLIED + PICTURE)
        ),
        "error_atlas": lambda: len(study.rows) * (count * SHOWN + 10 * PICTURE),
    }
    kept |= {
        "tile_slide": lambda: (
            PICTURE + tiles_of(study, w["dataset"]) * (20 + JPEG * jpeg_side(study, w) ** 2)
        ),
        "embed_slide": lambda: (
            tiles_of(study, w["dataset"]) * (4 * study.model(w["model"])["dim"] + 16)
        ),
        "finetune_dinov2": lambda: _finetuned(study, w["finetune"]),
    }
    kept["embed_shard"] = lambda: kept["embed"]() / int(w["parts"])
    return BLOCK + (kept[job.rule]() if job.rule in kept else PICTURE)


def jpeg_side(study: Study, w: dict[str, str]) -> int:
    """Return the side of the tiles that a tiling keeps as JPEG, px, 0 where it keeps none."""
    return study.dataset(w["dataset"])["tiles"][w["tiling"]].get("jpeg_side", 0)


def _finetuned(study: Study, name: str) -> float:
    card = study.finetuning(name)
    return 4 * study.model(card["base"])["parameters"] * len(iterations(card)) + PICTURE


def _predicted(study: Study, w: dict[str, str], shares: list[str]) -> float:
    return sum(scored_cells(study, w, share) * PREDICTION + 2 * BLOCK for share in shares)


def kept_bytes(study: Study, w: dict[str, str]) -> float:
    """Return about how much the model of one fold takes, where the study keeps it."""
    largest = max(study.training_fractions(w.get("scheme", PREDEFINED)), key=float)
    if not study.config["keep"] or w.get("fraction", largest) != largest:
        return 0
    head, model = study.head(w["head"]), study.model(w["model"])
    if head["learner"] in ("knn", "prevalence"):  # ids and labels
        return BLOCK + 16 * sum(cells_of(study, w["dataset"]).values())
    if head["learner"] == "mil":
        return BLOCK + 4 * AGGREGATOR[head["aggregator"]](model["dim"])
    if head["learner"] != "endtoend":
        return BLOCK + 8 * model["dim"] * len(study.dataset(w["dataset"])["classes"])
    part = ADAPTED if "lora" in head else LAST_BLOCKS if "last_blocks" in head else 1
    return BLOCK + 4 * part * model["parameters"]
