"""Scores of kept models on other cells: the mean of all folds, as a table and as GeoJSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.files import atomic_write, sha256
from cryotome.data.cells import load_cells
from cryotome.evaluation.scores import THRESHOLD
from cryotome.learners.predictions import read_applied
from cryotome.report.atlas.qupath import detection, file_names


def merge_folds(scores: list[Path], cells: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the mean score of each cell over the models of all folds.

    Parameters
    ----------
    scores
        Files of `apply_models`, one a fold, with their `.json` beside.
    cells
        The table of cells.

    Returns
    -------
    table
        id, image, slide, x, y, score, score_sd; the SD is that of the folds' models, population.
    about
        `classes` in the models' order, and `trained_on`: dataset and scheme.

    Raises
    ------
    StoreError
        A file was edited or is of other cells.
    """
    columns, notes, known = [], [], sha256(cells)
    table = load_cells(cells)[["id", "image", "slide", "x", "y"]]
    for path in scores:
        scored, about = read_applied(path, cells_sha256=known)
        columns.append(scored.set_index("id")["score"].loc[table["id"]].to_numpy())
        notes.append(about)
    each = np.stack(columns)
    table = table.assign(score=each.mean(axis=0), score_sd=each.std(axis=0))
    trained = "{dataset}, {scheme}".format(**notes[0])
    return table, {"classes": notes[0]["classes"], "trained_on": trained, "folds": len(each)}


def write_applied(table: pd.DataFrame, folder: Path, about: dict[str, Any]) -> None:
    """Write one GeoJSON file of each image, with all its cells as detections of QuPath.

    Cells without a position, as of class folders without metadata, are left out.

    Parameters
    ----------
    table
        Of `merge_folds`.
    about
        `dataset`, `row`, `classes`, `trained_on`, `folds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    placed = table[(table[["x", "y"]] != 0).any(axis=1)]
    parts = placed.groupby("image")
    for image, file in file_names(sorted(placed["image"].unique())).items():
        features = [_feature(cell, about) for cell in parts.get_group(image).to_dict("records")]
        members = {"dataset": about["dataset"], "image": image, "scores": about["row"]}
        members |= {"trained_on": about["trained_on"], "folds": about["folds"]}
        collection = {"type": "FeatureCollection", **members, "features": features}
        with atomic_write(folder / file, sweep=False) as beside:
            beside.write_text(json.dumps(collection, allow_nan=False), encoding="utf-8")


def _feature(cell: dict[Any, Any], about: dict[str, Any]) -> dict[str, Any]:
    called = int(cell["score"] >= THRESHOLD)
    measured = {f"score {about['row']}": cell["score"], "SD over folds": cell["score_sd"]}
    said = {"cell": str(cell["id"]), "slide": cell["slide"], "image": cell["image"]}
    return detection(
        f"{about['dataset']}/{cell['id']}",
        (cell["x"], cell["y"]),
        name=f"cell {cell['id']}",
        called=(called, about["classes"][called]),
        measured=measured,
        said=said | {"trained on": about["trained_on"]},
    )
