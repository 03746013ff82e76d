"""Scores of several rows on the same test cells, compared pair by pair.

A setting is one (dataset, scheme, fraction, tested): what the rows were trained on, and which
test cells they share.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath
from cryotome.core.metrics import auroc
from cryotome.evaluation.statistics.clustered_auroc import Influence, effective_number, influence
from cryotome.evaluation.statistics.slide_pairs import (
    auroc_within,
    bootstrap_auroc,
    count_wins,
    resample_slides_in_chunks,
)
from cryotome.learners.predictions import read_predictions
from cryotome.study.schemes import SCANNER, Scheme

Setting = tuple[str, str, str, str]  # dataset, scheme, fraction, tested
CELL_COLUMNS = ["id", "slide", "label"]
GROUPS = ["slide", "domain", "scanner"]  # of a cell; `scanner` where the study splits by it


@dataclass
class PairedScores:
    """The scores of one setting, such as "MIDOG 2022, random cells, a tenth of the pool".

    Attributes
    ----------
    parts : data frames with columns id, slide, label and one of scores per row
        One per fold, or per fold and domain; what is reported is the mean over them.
    folds
        The fold of each part.
    training_cells : row to number of training cells, mean over folds
    schemes
        The schemes that the setting pools, such as all `from_{domain}`; one where it pools none.
    """

    parts: list[pd.DataFrame] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    training_cells: dict[str, float] = field(default_factory=dict)
    schemes: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[str]:
        return [str(name) for name in self.parts[0] if name not in CELL_COLUMNS]

    @property
    def slides(self) -> np.ndarray:
        """All slides with a test cell, sorted."""
        return np.unique(np.concatenate([part["slide"].to_numpy(dtype=str) for part in self.parts]))

    def _with_fold(self, column: str) -> pd.DataFrame:
        parts = zip(self.folds, self.parts, strict=True)
        return pd.concat([part[[column]].assign(fold=fold) for fold, part in parts])

    @property
    def folds_test_same_cells(self) -> bool:
        """Whether there are several folds, and all test the same cells."""
        tested = [frozenset(ids) for _, ids in self._with_fold("id").groupby("fold")["id"]]
        return len(tested) > 1 and len(set(tested)) == 1

    @property
    def folds_split_slides(self) -> bool:
        """Whether no slide is tested in two folds."""
        folds = self._with_fold("slide").groupby("slide")["fold"].nunique()
        return bool((folds == 1).all()) and len(self.folds) > 1

    @property
    def effective_slides(self) -> float:
        """The effective number of slides, of the label that has fewer.

        A cell counts once, however often it is tested.
        """
        cells = pd.concat([part[CELL_COLUMNS] for part in self.parts]).drop_duplicates("id")
        sizes = cells.groupby(["label", "slide"]).size()
        return min(effective_number(of_label.to_numpy()) for _, of_label in sizes.groupby("label"))

    def constant_note(self, row: str) -> str:
        """Return in how many parts all scores of a row are equal; empty where in none."""
        equal = sum(part[row].nunique() == 1 for part in self.parts)
        return f"all scores are equal in {equal} of {len(self.parts)} parts" if equal else ""

    def influence(self, row: str, *, by: str = "slide", clusters: np.ndarray) -> Influence:
        """Return the influence of each slide, or each cell (`by="id"`), on the AUROC of a row."""
        place = [
            np.searchsorted(clusters, part[by].to_numpy(clusters.dtype)) for part in self.parts
        ]
        label = [part["label"].to_numpy() for part in self.parts]
        score = [part[row].to_numpy() for part in self.parts]
        return influence(place, label, score, len(clusters))

    def _of_parts(self, function: Callable[..., Any], row: str) -> list:
        names = ("slide", "label", row)
        return [function(*(part[name].to_numpy() for name in names)) for part in self.parts]

    def bootstrap(self, row: str, *, slides: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
        """Return the AUROC of a row for each draw of slides, (draws,)."""
        counts = resample_slides_in_chunks(len(slides), draws=draws, seed=seed)
        return bootstrap_auroc(self._of_parts(count_wins, row), slides, counts)

    def test_to_training_ratio(self, row: str, fraction: str) -> float:
        """Return n_test / n_train, n_train being that of the whole pool at this fraction."""
        tested = sum(map(len, self.parts)) / len(set(self.folds))
        return tested / len(self.schemes) * float(fraction) / self.training_cells[row]

    def auroc_by_fold(self, row: str) -> np.ndarray:
        """Return the AUROC of a row in each fold, its domains averaged, (folds,)."""
        values = [auroc(part["label"].to_numpy(), part[row].to_numpy()) for part in self.parts]
        return pd.Series(values).groupby(self.folds).mean().to_numpy()

    def within_slide(self, row: str) -> float:
        """Return the AUROC over pairs of one slide, mean over parts that have any."""
        values = self._of_parts(auroc_within, row)
        known = [value for value in values if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")


def _split_into_parts(
    scheme: str, table: pd.DataFrame, many_domains: bool
) -> list[tuple[str, str, pd.DataFrame]]:
    """Return (scheme, tested, cells) of each part that a file of predictions belongs to."""
    by_domain, named = list(table.groupby("domain")), Scheme.parse(scheme)
    if named.is_pooled:
        within = [(scheme, "domains", part) for _, part in by_domain] if many_domains else []
        return [(scheme, "all", table), *within, *_by_scanner(scheme, table)]
    parts = [("domains", table)]
    if named.is_from_one:
        parts = [(named.relation(str(domain)), part) for domain, part in by_domain]
    return [(name, *part) for name in (scheme, str(named.every)) for part in parts]


def _by_scanner(scheme: str, table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Return the part of each known scanner, where the study asks for scanners."""
    if "scanner" not in table:
        return []
    return [(scheme, str(name), part) for name, part in table.groupby("scanner") if name]


class _Collector:
    """Parts of all settings, to which files of predictions are added one by one."""

    def __init__(self) -> None:
        self.settings: dict[Setting, PairedScores] = {}
        self._parts: dict[tuple, pd.DataFrame] = {}
        self._training_cells: dict[tuple[Setting, str], list[int]] = {}

    def add(self, path: Path, cells: pd.DataFrame) -> None:
        """Add one file of predictions; `cells` is the dataset's, indexed by id."""
        run = RunPath.of(path)
        table = read_predictions(path)
        by_scanner = "scanner" in cells and Scheme.parse(run.scheme).is_by_scanner
        groups = cells.assign(domain=cells["scanner"]) if by_scanner else cells
        table = table[table["role"] == "test"].join(groups.filter(GROUPS), on="id")
        n_train = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["n_train"]
        many = groups["domain"].nunique() > 1
        for name, tested, part in _split_into_parts(run.scheme, table, many):
            setting = (run.dataset, name, run.fraction, tested)
            self._training_cells.setdefault((setting, run.row), []).append(n_train)
            whole = tested == "all" or tested.startswith(SCANNER)
            domain = "" if whole else part["domain"].iloc[0]
            shared = self._shared_part(setting, (run.scheme, run.fold, domain), part)
            if not np.array_equal(shared["id"], part["id"]):
                raise StoreError(
                    f"{path} was not scored on the cells of the other rows. Delete it and rerun."
                )
            shared[run.row] = part["score"].to_numpy()

    def _shared_part(
        self, setting: Setting, place: tuple[str, int, str], part: pd.DataFrame
    ) -> pd.DataFrame:
        """Return the part that all rows share, made from the first row's cells."""
        if (setting, place) not in self._parts:
            scheme, fold, _ = place
            self._parts[setting, place] = part[CELL_COLUMNS].reset_index(drop=True)
            scores = self.settings.setdefault(setting, PairedScores())
            scores.parts.append(self._parts[setting, place])
            scores.folds.append(fold)
            scores.schemes.add(scheme)
        return self._parts[setting, place]

    def finish(self) -> dict[Setting, PairedScores]:
        """Return all settings, each row with its mean number of training cells."""
        for (setting, row), counts in self._training_cells.items():
            scores = self.settings[setting]
            scores.training_cells[row] = float(np.mean(counts))
            if any(row not in part for part in scores.parts):
                raise StoreError(
                    f"{row} has no predictions for a fold or domain of {', '.join(setting)} that "
                    "other rows have. Delete its predictions and rerun."
                )
        return self.settings


def load_paired_scores(
    predictions: list[Path], cells: dict[str, pd.DataFrame]
) -> dict[Setting, PairedScores]:
    """Sort test predictions into settings.

    Parameters
    ----------
    predictions
        Files of predictions; their paths carry the keys. Every row of a setting must have
        scored the same cells.
    cells
        Dataset to a frame indexed by id with columns slide, domain; and scanner, of
        `domains.put_scanners`, where the study splits the dataset by scanner.

    Returns
    -------
    (dataset, scheme, fraction, tested) to scores
        `tested`: `all` cells of a fold together; `domains`, one part per domain, so that
        nothing is gained by telling domains apart; for schemes that train on one domain
        `in` and `out`. `from_*` and `except_*` pool the schemes of all domains, as Table 2
        does. Where cells have scanners, schemes by scanner are parted by these in place of
        domains, and schemes of all domains have a setting `scanner_{name}` for each.

    Raises
    ------
    StoreError
        Two rows of a setting were not scored on the same cells.
    """
    collector = _Collector()
    for path in predictions:
        collector.add(path, cells[RunPath.of(path).dataset])
    return collector.finish()
