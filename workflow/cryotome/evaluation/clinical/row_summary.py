"""Clinical summary of each row: calibration, mitotic counts, operating points.

Only the files of one row are in memory at a time.
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
from cryotome.evaluation.clinical.calibration import reliability_bins, summarise_calibration
from cryotome.evaluation.clinical.mitotic_counts import (
    AGREEMENT,
    count_regions,
    limits_of_agreement,
)
from cryotome.evaluation.clinical.operating_points import MEASURED, FoldCells, operating_points
from cryotome.evaluation.clinical.regions import (
    FoldRegions,
    join_regions,
    name_domain_set,
    pooled_schemes,
    read_fold,
)
from cryotome.evaluation.scores import choose_threshold
from cryotome.learners.predictions import read_predictions
from cryotome.study.facts import RowFacts

SETTING, ROW = ["dataset", "scheme", "fraction"], ["model", "head"]
KEYS = [*SETTING, *ROW]
BINNED = ["bin", "low", "high", "n", "mean_score", "share_positive", "share_low", "share_high"]
CALIBRATED = ["n", "positives", "brier", "brier_low", "brier_high", "ece", "ece_low", "ece_high"]
CALIBRATED += ["slope", "intercept", "note"]
COUNTED = ["domain", "where", "image", "area_mm2", "annotated", "counted", "cells", "threshold"]
COLUMNS = {
    "reliability": [*KEYS, "where", *BINNED],
    "calibration": [*KEYS, "where", *CALIBRATED],
    "counts": [*SETTING, "fold", *ROW, *COUNTED],
    "agreement": [*KEYS, "domain", "where", *AGREEMENT],
    "operating": [*KEYS, "train_domain", "test_domain", *MEASURED],
}
Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class DatasetCells:
    """The cells of a dataset that a study uses, and its folds.

    Attributes
    ----------
    cells
        From `join_regions`.
    sha256
        Of the table of cells; predictions must have been made from it.
    folds
        (scheme, fold) to its fold.
    """

    cells: pd.DataFrame
    sha256: str
    folds: dict[tuple[str, int], FoldRegions]

    @property
    def domains(self) -> list[str]:
        return list(self.cells["domain"].cat.categories)


@dataclass(frozen=True)
class ScoredFold:
    """The scores of one row in one fold.

    Attributes
    ----------
    test
        The test cells: columns of `join_regions`, score, where (`in`: the fold trains on their
        domain, `out`), whole (whether their region is tested whole).
    validation
        The validation cells, with the same columns.
    """

    fold: FoldRegions
    test: pd.DataFrame
    validation: pd.DataFrame


def read_dataset(
    cells: Path, audit: Path, splits: list[Path], areas: dict[str, float]
) -> DatasetCells:
    """Read the cells of a dataset that no audit dropped, and its splits.

    Parameters
    ----------
    splits
        One file per scheme and fold, of the fraction that is summarised.
    areas
        Domain to mm² of each of its regions.
    """
    used = join_regions(drop_audited(load_cells(cells), read_csv(audit)), areas)
    folds = {}
    for path in splits:
        run = RunPath.of(path)
        folds[run.scheme, run.fold] = read_fold(run.scheme, run.fold, used, read_csv(path))
    return DatasetCells(used, sha256(cells), folds)


def read_scored_fold(path: Path, dataset: DatasetCells) -> ScoredFold:
    """Read the scores of a row in a fold.

    Raises
    ------
    StoreError
        It has a score of a cell that the study does not use.
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
    return ScoredFold(fold, cells[role == "test"], cells[role == "validation"])


def _calibration(scored: list[ScoredFold], draws: int) -> Iterator[tuple[Card, pd.DataFrame]]:
    """Yield calibration and bins of each scheme and pooled scheme, in and out of domain."""
    for name in dict.fromkeys(name for one in scored for name in pooled_schemes(one.fold.scheme)):
        tested = [one.test for one in scored if name in pooled_schemes(one.fold.scheme)]
        for where in ("in", "out"):
            parts = [test[test["where"] == where] for test in tested]
            parts = [part for part in parts if len(part)]
            if parts:
                names = {"scheme": name, "where": where}
                bins = reliability_bins(pd.concat(parts)).assign(**names)
                yield names | summarise_calibration(parts, draws), bins


def _region_counts(scored: list[ScoredFold]) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["scheme", "fold", *COUNTED])]
    for one in scored:
        label, score = (one.validation[name].to_numpy() for name in ("label", "score"))
        threshold = choose_threshold(label, score)
        regions = one.test[one.test["whole"]]
        if len(regions):
            found = count_regions(regions, threshold)
            tables.append(found.assign(scheme=one.fold.scheme, fold=one.fold.number))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _agreement(counts: pd.DataFrame) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["scheme", "domain", "where", *AGREEMENT])]
    pooled = counts["scheme"].map(pooled_schemes)
    for name in dict.fromkeys(name for names in pooled for name in names):
        mine = counts[[name in names for names in pooled]]
        tables.append(limits_of_agreement(mine).assign(scheme=name))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def _operating_points(scored: list[ScoredFold], domains: list[str]) -> pd.DataFrame:
    tables = [pd.DataFrame(columns=["scheme", "train_domain", "test_domain", *MEASURED])]
    for scheme in dict.fromkeys(one.fold.scheme for one in scored):
        folds = [one for one in scored if one.fold.scheme == scheme]
        for domain in domains:
            cells = [(one.test[one.test["domain"] == domain], one.validation) for one in folds]
            parts = [FoldCells(*pair) for pair in cells if len(pair[0])]
            if parts:
                home = name_domain_set(folds[0].fold.trained, domains)
                place = {"scheme": scheme, "train_domain": home, "test_domain": domain}
                tables.append(operating_points(parts).assign(**place))
    return pd.concat(tables[1:] or tables, ignore_index=True)


def summarise_row(scored: list[ScoredFold], domains: list[str], draws: int) -> Tables:
    """Summarise one row on one dataset: table to its lines, without the names of the row."""
    lines, bins = zip(*_calibration(scored, draws), strict=True)
    counts = _region_counts(scored)
    return {
        "reliability": pd.concat(bins, ignore_index=True),
        "calibration": pd.DataFrame(lines),
        "counts": counts,
        "agreement": _agreement(counts),
        "operating": _operating_points(scored, domains),
    }


def summarise_rows(
    datasets: dict[str, DatasetCells], predictions: list[Path], facts: RowFacts
) -> Tables:
    """Summarise every row of a study.

    Parameters
    ----------
    datasets
        By name.
    predictions
        Their paths carry the keys; one fraction per scheme.

    Returns
    -------
    table to its lines, in the order of `COLUMNS`; a table without results has no line
    """
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in COLUMNS}
    by_row: dict[tuple[str, str, str], list[Path]] = {}
    for path in predictions:
        run = RunPath.of(path)
        by_row.setdefault((run.dataset, run.model, run.head), []).append(path)
    for dataset, cells in datasets.items():
        for row in facts.rows:
            paths = by_row.get((dataset, row.model, row.head), [])
            if not paths:
                continue
            scored = [read_scored_fold(path, cells) for path in paths]
            tables = summarise_row(scored, cells.domains, facts.statistics.draws)
            fractions = _fractions(paths)
            for name, table in tables.items():
                fraction = table["scheme"].map(fractions)
                names = {"dataset": dataset, "model": row.model, "head": row.head}
                found[name].append(table.assign(**names, fraction=fraction))
    return {name: _concatenate(tables, COLUMNS[name]) for name, tables in found.items()}


def _fractions(paths: list[Path]) -> dict[str, str]:
    """Return scheme, and pooled scheme, to the fraction of its predictions."""
    runs = [RunPath.of(path) for path in paths]
    return {name: run.fraction for run in runs for name in pooled_schemes(run.scheme)}


def _concatenate(tables: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True)[columns] if full else pd.DataFrame(columns=columns)
