"""What a pathologist asks of a study: counts, false alarms, whether scores are probabilities.

The files of one row are read, described and forgotten before those of the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath, sha256
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.data.splits.cells import drop_audited
from cryotome.evaluation.clinical.calibration import calibrate, reliability
from cryotome.evaluation.clinical.mitotic_counts import AGREEMENT, agreement, count_regions
from cryotome.evaluation.clinical.operating_points import MEASURED, Half, operating_points
from cryotome.evaluation.clinical.regions import (
    Fold,
    join_regions,
    name_domain_set,
    pooled_schemes,
    read_fold,
)
from cryotome.evaluation.scores import choose_threshold
from cryotome.learners.predictions import read_predictions

BLOCK, ROW = ["dataset", "scheme", "fraction"], ["model", "head"]
KEYS = [*BLOCK, *ROW]
BINNED = ["bin", "low", "high", "n", "mean_score", "share_positive", "share_low", "share_high"]
CALIBRATED = ["n", "positives", "brier", "brier_low", "brier_high", "ece", "ece_low", "ece_high"]
CALIBRATED += ["slope", "intercept", "note"]
COUNTED = ["domain", "where", "image", "area_mm2", "annotated", "counted", "cells", "threshold"]
COLUMNS = {
    "reliability": [*KEYS, "where", *BINNED],
    "calibration": [*KEYS, "where", *CALIBRATED],
    "counts": [*BLOCK, "fold", *ROW, *COUNTED],
    "agreement": [*KEYS, "domain", "where", *AGREEMENT],
    "operating": [*KEYS, "train_domain", "test_domain", *MEASURED],
}
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Dataset:
    """The cells of a dataset that a study uses, and its folds.

    Attributes
    ----------
    cells
        From `with_regions`.
    sha256
        Of the table of cells that predictions must have been made from.
    folds
        (scheme, fold) to what its split says.
    """

    cells: pd.DataFrame
    sha256: str
    folds: dict[tuple[str, int], Fold]

    @property
    def domains(self) -> list[str]:
        return list(self.cells["domain"].cat.categories)


@dataclass(frozen=True)
class Scored:
    """What one row scored in one fold.

    Attributes
    ----------
    test
        The test cells: columns of `with_regions`, score, where (`in`: the fold trains on their
        domain, `out`), whole (whether their region is tested whole).
    validation
        The validation cells, likewise.
    """

    fold: Fold
    test: pd.DataFrame
    validation: pd.DataFrame


def read_dataset(cells: Path, audit: Path, splits: list[Path], areas: dict[str, float]) -> Dataset:
    """Read the cells of a dataset that no audit dropped, and its splits.

    Parameters
    ----------
    splits
        One file a scheme and fold, of the fraction that is described.
    areas
        Domain to mm² of each of its regions.
    """
    used = join_regions(drop_audited(load_cells(cells), read_csv(audit)), areas)
    folds = {}
    for path in splits:
        run = RunPath.of(path)
        folds[run.scheme, run.fold] = read_fold(run.scheme, run.fold, used, read_csv(path))
    return Dataset(used, sha256(cells), folds)


def read_scored(path: Path, dataset: Dataset) -> Scored:
    """Read what a row scored in a fold.

    Raises
    ------
    StoreError
        It scored a cell that the study does not use.
    """
    table = read_predictions(path, cells_sha256=dataset.sha256)
    place = pd.Index(dataset.cells["id"]).get_indexer(table["id"])
    if (place < 0).any():
        raise StoreError(f"{path} scores cells that the audit left out. Delete it and rerun.")
    run = RunPath.of(path)
    fold = dataset.folds[run.scheme, run.fold]
    cells = dataset.cells.iloc[place].assign(score=table["score"].to_numpy())
    home = cells["domain"].isin(fold.trained)
    cells = cells.assign(where=np.where(home, "in", "out"), whole=fold.whole[place])
    role = table["role"].to_numpy()
    return Scored(fold, cells[role == "test"], cells[role == "validation"])


def _calibrated(scored: list[Scored], draws: int) -> Iterator[tuple[Card, pd.DataFrame]]:
    """Give the calibration of each scheme and pool, in and out of domain, and its bins."""
    for name in dict.fromkeys(name for one in scored for name in pooled_schemes(one.fold.scheme)):
        tested = [one.test for one in scored if name in pooled_schemes(one.fold.scheme)]
        for where in ("in", "out"):
            parts = [test[test["where"] == where] for test in tested]
            parts = [part for part in parts if len(part)]
            if parts:
                names = {"scheme": name, "where": where}
                bins = reliability(pd.concat(parts)).assign(**names)
                yield names | calibrate(parts, draws), bins


def _counted(scored: list[Scored]) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["scheme", "fold", *COUNTED])]
    for one in scored:
        watched = one.validation
        threshold = choose_threshold(watched["label"].to_numpy(), watched["score"].to_numpy())
        regions = one.test[one.test["whole"]]
        if len(regions):
            found = count_regions(regions, threshold)
            tables.append(found.assign(scheme=one.fold.scheme, fold=one.fold.number))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _agreed(counts: pd.DataFrame) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["scheme", "domain", "where", *AGREEMENT])]
    pooled = counts["scheme"].map(pooled_schemes)
    for name in dict.fromkeys(name for names in pooled for name in names):
        mine = counts[[name in names for names in pooled]]
        tables.append(agreement(mine).assign(scheme=name))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _operated(scored: list[Scored], domains: list[str]) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["scheme", "train_domain", "test_domain", *MEASURED])]
    for scheme in dict.fromkeys(one.fold.scheme for one in scored):
        folds = [one for one in scored if one.fold.scheme == scheme]
        for domain in domains:
            cells = [(one.test[one.test["domain"] == domain], one.validation) for one in folds]
            parts = [Half(*pair) for pair in cells if len(pair[0])]
            if parts:
                home = name_domain_set(folds[0].fold.trained, domains)
                place = {"scheme": scheme, "train_domain": home, "test_domain": domain}
                tables.append(operating_points(parts).assign(**place))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def summarise_row(scored: list[Scored], domains: list[str], draws: int) -> Tables:
    """Describe one row on one dataset: name of a table to its lines, without the row's names."""
    lines, bins = zip(*_calibrated(scored, draws), strict=True)
    counts = _counted(scored)
    return {
        "reliability": pd.concat(bins, ignore_index=True),
        "calibration": pd.DataFrame(lines),
        "counts": counts,
        "agreement": _agreed(counts),
        "operating": _operated(scored, domains),
    }


def summarise_rows(datasets: dict[str, Dataset], predictions: list[Path], about: Card) -> Tables:
    """Describe every row of a study.

    Parameters
    ----------
    datasets
        By name.
    predictions
        Their paths carry the keys; one fraction a scheme.
    about
        `order`: (model, head) of the rows; `statistics`: `draws`, of slides.

    Returns
    -------
    name of a table to its lines, in the order of `COLUMNS`; a table of which nothing can be
    said has none
    """
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in COLUMNS}
    runs = {path: RunPath.of(path) for path in predictions}
    for dataset, known in datasets.items():
        for model, head in about["order"]:
            row = (dataset, model, head)
            mine = {
                path: run for path, run in runs.items() if (run.dataset, run.model, run.head) == row
            }
            if not mine:
                continue
            scored = [read_scored(path, known) for path in mine]
            fractions = {
                name: run.fraction for run in mine.values() for name in pooled_schemes(run.scheme)
            }
            tables = summarise_row(scored, known.domains, about["statistics"]["draws"])
            for name, table in tables.items():
                fraction = table["scheme"].map(fractions)
                names = {"dataset": dataset, "model": model, "head": head, "fraction": fraction}
                found[name].append(table.assign(**names))
    return {name: _whole(tables, COLUMNS[name]) for name, tables in found.items()}


def _whole(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True)[columns] if full else pd.DataFrame(columns=columns)
