"""Kept models on the cells of another dataset, which must look as their own cells did."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import sha256
from cryotome.data.cells import load_cells
from cryotome.data.patches import read_patches
from cryotome.data.pixel_size import MPP_TOLERANCE
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.learners.kept import KeptModel, load_kept
from cryotome.learners.kept_file import patch_geometry, read_kept
from cryotome.learners.predictions import write_applied_scores

NETWORK = "network"
COMPARED = {"side": "patch side, px", "border": "border policy", "channels": "order of channels"}


@dataclass(frozen=True)
class Target:
    """The cells that models are applied to.

    Attributes
    ----------
    values
        Patches (n, stored, stored, 3) uint8, or embeddings (n, dim) float32.
    ids, labels : (n,)
        Labels in the order of `classes`.
    classes
        Names of its classes, none where its cells have no labels.
    patch
        Of `patch_geometry`.
    hashes
        Of its store of patches and its table of cells; of embeddings, of the encoder's weights.
    """

    name: Path
    values: np.ndarray
    ids: np.ndarray
    labels: np.ndarray
    classes: list[str]
    patch: Card
    hashes: dict[str, str]


def read_target(store: Path, cells: Path, facts: Card, about: Card) -> Target:
    """Read what a kind of model reads of a dataset.

    Parameters
    ----------
    store
        Of patches for trained networks, else of embeddings.
    facts
        `classes`, `patch` and `mpp` of the dataset's card.
    about
        The record of one of the models.

    Raises
    ------
    StoreError
        The store is of other cells, or of another model or view than the models read.
    """
    if about["kind"] == NETWORK:
        values, ids, stamps = read_patches(store, cells=cells)
    else:
        wanted = {"model": about["model"], "view": about["view"], "cells_sha256": sha256(cells)}
        values, ids, stamps = read_embeddings(store, **wanted)
    labels = load_cells(cells).set_index("id")["label"].loc[ids].to_numpy()
    patch = json.loads(stamps["patch"]) if "patch" in stamps else facts["patch"]
    hashes = {key: stamps[key] for key in ("patches_sha256", "cells_sha256")}
    if about["kind"] != NETWORK:
        hashes["weights_sha256"] = stamps["weights_sha256"]
    seen = patch_geometry(patch, facts["mpp"], stamps)
    return Target(store, values, ids, labels, facts["classes"], seen, hashes)


def require_same_sight(about: Card, target: Target, path: Path) -> None:
    """Refuse cells that look otherwise than those that a model was trained on.

    µm/px may differ by a tenth, as those of files and cards may; what is not known is reported.

    Raises
    ------
    StoreError
        Resolution, side, border policy, channels, classes or the encoder's weights differ; the
        text has both values.
    """
    differing = [
        f"{what}: {about['patch'][key]} in training, {target.patch[key]} here"
        for key, what in COMPARED.items()
        if about["patch"][key] != target.patch[key]
    ]
    differing += _differing_mpp(about["patch"]["mpp"], target.patch["mpp"], path, target.name)
    if target.classes and sorted(target.classes) != sorted(about["classes"]):
        differing.append(f"classes: {about['classes']} in training, {target.classes} here")
    ours, theirs = target.hashes.get("weights_sha256"), about["weights_sha256"]
    if ours not in (None, theirs):
        differing.append(f"sha256 of the encoder's weights: {theirs} in training, {ours} here")
    if differing:
        raise StoreError(
            f"{path} cannot score {target.name}, whose cells look otherwise than those that it was "
            f"trained on. {'; '.join(differing)}. Write a dataset card that cuts the same patches, "
            "or train on cells like these."
        )


def _differing_mpp(
    trained: list[float] | None, here: list[float] | None, path: Path, store: Path
) -> list[str]:
    """Return how the ranges of µm/px differ, nothing where they agree or one is not known."""
    if trained is None or here is None:
        which = path if trained is None else store
        print(f"µm/px of {which} are not known, and so not compared.", file=sys.stderr)
        return []
    low, high = trained[0] * (1 - MPP_TOLERANCE), trained[1] * (1 + MPP_TOLERANCE)
    if low <= here[0] and here[1] <= high:
        return []
    said = ["{:g} to {:g}".format(*span) for span in (trained, here)]
    return [f"µm/px: {said[0]} in training, {said[1]} here"]


def score_target(model: KeptModel, path: Path, target: Target, scores: Path) -> None:
    """Score the cells with one fold's model; write `id,label,score` and its provenance as JSON.

    Labels are in the model's order of classes, matched by name; empty where there are none. The
    score is the probability of the model's second class.
    """
    about = model.about
    require_same_sight(about, target, path)
    label: Any = ""
    if target.classes:
        place = [about["classes"].index(name) for name in target.classes]
        label = np.array(place)[target.labels]
    table = pd.DataFrame({"id": target.ids, "label": label, "score": model.score(target.values)})
    notes: dict[str, Any] = {"model": str(path), "model_sha256": sha256(path)}
    notes |= {key: about[key] for key in ("dataset", "scheme", "fraction", "fold", "classes")}
    notes["store"] = str(target.name)
    notes |= target.hashes | {"patch": target.patch, "labelled": bool(target.classes)}
    write_applied_scores(scores, table, notes)


def apply_models(
    models: list[Path], target: tuple[Path, Path, Card], scores: list[Path], **how: Any
) -> None:
    """Score a dataset with the models of all folds.

    Parameters
    ----------
    target
        Its store, its table of cells and the facts of its card; see `read_target`.
    scores
        A CSV for each model.
    how
        As `load_kept` takes it.

    Raises
    ------
    StoreError, WeightsError
        As `load_kept`, `read_target` and `require_same_sight`.
    """
    store, cells, facts = target
    known = read_target(store, cells, facts, read_kept(models[0])[1])
    for path, file in zip(models, scores, strict=True):
        score_target(load_kept(path, **how), path, known, file)
        print(f"{path}: {len(known.ids):,} cells of {store} scored", file=sys.stderr)
