"""Patients of one fold: the tiles of their slides, their roles and labels."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from cryotome.core.errors import SplitError, StoreError
from cryotome.core.files import sha256
from cryotome.data.cohorts import load_patients, load_slides
from cryotome.encoders.bag_store import BagFolders

Bags = Mapping[str, np.ndarray]  # patient to the tiles' features, (n, dim) float32
ROLE_NAMES = {
    "train": "training",
    "validation": "validation",
    "test": "test",
    "external": "external",
}


@dataclass(frozen=True)
class PatientData:
    """The bags of a fold's patients.

    Attributes
    ----------
    bags
        Patient to features (n, dim).
    table
        Columns id, role, label.
    """

    bags: Bags
    table: pd.DataFrame

    def rows(self, role: str) -> np.ndarray:
        """Return the positions of the patients in a role, (n,) int."""
        return np.flatnonzero(self.table["role"] == role)

    @property
    def positive_weight(self) -> float:
        """Negatives per positive among the training patients."""
        label = self.table["label"].to_numpy()[self.rows("train")]
        return float((label == 0).sum() / (label == 1).sum())


def load_bags(
    slides: pd.DataFrame, read: Callable[[str], np.ndarray], *, which: str
) -> tuple[Bags, list[str]]:
    """Concatenate the tiles of each patient's slides.

    Parameters
    ----------
    slides
        Columns FILENAME, PATIENT.
    read
        From a slide's name to its features (n, dim); n is 0 for an unusable slide.
    which
        `all`: all slides of a patient. `first`: the first by name that has tiles (HistoBistro
        reads one slide per patient, data.py).

    Returns
    -------
    patient to features, without patients that have no tile; slides read that have no tile

    Raises
    ------
    StoreError
        A bag has NaN or infinite features, or another number of features than the others.
    """
    bags: dict[str, np.ndarray] = {}
    empty, dim = [], None
    by_patient = slides.sort_values("FILENAME").groupby("PATIENT")["FILENAME"]
    for patient, names in tqdm(by_patient, desc="read bags", unit="patient", mininterval=5):
        full: list[np.ndarray] = []
        for name in names:
            tiles = read(name)
            dim = tiles.shape[1] if dim is None else dim
            if tiles.shape[1] != dim or not np.isfinite(tiles.sum(dtype=float)):
                raise StoreError(
                    f"The bag of slide {name} has {tiles.shape[1]} features a tile, where others "
                    f"have {dim}, or features that are NaN or infinite. Delete it and rerun."
                )
            full += [tiles] * bool(len(tiles))
            empty += [name] * (not len(tiles))
            if full and which == "first":
                break
        if full:
            bags[str(patient)] = np.concatenate(full)
    return bags, empty


def patients_with_bags(
    roles: pd.DataFrame, targets: pd.Series, bags: Bags
) -> tuple[pd.DataFrame, list[str]]:
    """Return the patients of a fold that have tiles, and the ids of the others.

    Parameters
    ----------
    roles
        Columns id, role.
    targets
        Patient to 0 or 1.

    Returns
    -------
    data frame id, role, label; patients without a tile

    Raises
    ------
    SplitError
        The patients of a role are of one class.
    """
    has = roles["id"].isin(list(bags))
    table = roles[has].assign(label=targets.loc[roles.loc[has, "id"]].to_numpy())
    for role in roles["role"].unique():
        found = table.loc[table["role"] == role, "label"]
        if found.nunique() < 2:
            raise SplitError(
                f"The {len(found)} {ROLE_NAMES[role]} patients whose slides have tiles are of one "
                f"class ({(roles['role'] == role).sum()} were drawn). The log and results/tiles/ "
                "name the slides without; bring more, or leave this fold out."
            )
    return table.reset_index(drop=True), sorted(roles.loc[~has, "id"])


def read_patients(
    patients: list[Path], slides: list[Path], split: Path, source: BagFolders, *, which: str
) -> tuple[PatientData, dict[str, Any]]:
    """Read the patients of a fold, with a log of the slides and patients without a tile.

    Parameters
    ----------
    patients, slides
        Tables of each cohort, in the order of the folders of `source`.
    which
        Of `load_bags`.

    Returns
    -------
    the patients that have tiles; facts of them for the metadata of the predictions
    """
    cohorts = source.folders
    table = pd.concat(map(load_slides, slides, cohorts), ignore_index=True)
    targets = pd.concat(map(load_patients, patients, cohorts)).set_index("PATIENT")["TARGET"]
    bags, empty = load_bags(table, source.read, which=which)
    roles = pd.read_csv(split, dtype=str, keep_default_na=False)
    kept, lost = patients_with_bags(roles, targets, bags)
    lines = [
        f"{len(names)} {what} without a tile: {', '.join(names) or '-'}"
        for what, names in (("slides", empty), ("patients", lost))
    ]
    print("\n".join([*source.summary(), *lines]), file=sys.stderr)
    notes = {"patients_sha256": [sha256(path) for path in patients], "given_bags": source.given}
    notes |= {"slides_without_tiles": empty, "patients_without_tiles": lost}
    return PatientData(bags, kept), notes
