"""The test cells of one question, scored by several rows: read once, compared pair by pair."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.core.files import RunPath
from cryotome.evaluation.statistics.clustered_auroc import Influence, effective_number, influence
from cryotome.evaluation.statistics.slide_pairs import (
    auroc_within,
    count_wins,
    draw_slides_in_parts,
    resample,
)
from cryotome.learners.predictions import read_predictions
from cryotome.study.schemes import Scheme

Keys = tuple[str, str, str, str]  # dataset, scheme, fraction, tested
FIXED = ["id", "slide", "label"]


@dataclass
class PairedScores:
    """One question, such as "MIDOG 2022, random cells, a tenth of the pool".

    Attributes
    ----------
    parts : data frames with columns id, slide, label and one of scores per row
        One per fold, or per fold and domain; what is reported is the mean over them.
    folds
        The fold of each part.
    trained : row to training cells, mean over folds
    places
        The schemes that the block pools, such as all `from_{domain}`; one where it pools none.
    """

    parts: list[pd.DataFrame] = field(default_factory=list)
    folds: list[int] = field(default_factory=list)
    trained: dict[str, float] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[str]:
        return [str(name) for name in self.parts[0] if name not in FIXED]

    @property
    def slides(self) -> np.ndarray:
        """All slides with a test cell, sorted."""
        return np.unique(np.concatenate([part["slide"].to_numpy(dtype=str) for part in self.parts]))

    @property
    def tests_the_same(self) -> bool:
        """Whether all folds test the same cells, several there being."""
        parts = zip(self.folds, self.parts, strict=True)
        cells = pd.concat([part[["id"]].assign(fold=fold) for fold, part in parts])
        tested = [frozenset(ids) for _, ids in cells.groupby("fold")["id"]]
        return len(tested) > 1 and len(set(tested)) == 1

    @property
    def effective_slides(self) -> float:
        """The effective number of slides, of the label that has fewer.

        A cell counts once, however often it is tested.
        """
        cells = pd.concat([part[FIXED] for part in self.parts]).drop_duplicates("id")
        sizes = cells.groupby(["label", "slide"]).size()
        return min(effective_number(of_label.to_numpy()) for _, of_label in sizes.groupby("label"))

    def constant(self, row: str) -> str:
        """Say where a row tells no test cell from another, else nothing."""
        equal = sum(part[row].nunique() == 1 for part in self.parts)
        return f"all scores are equal in {equal} of {len(self.parts)} parts" if equal else ""

    def influence(self, row: str, *, by: str = "slide", clusters: np.ndarray) -> Influence:
        """Return what each slide, or each cell (`by="id"`), adds to the AUROC of a row."""
        place = [
            np.searchsorted(clusters, part[by].to_numpy(clusters.dtype)) for part in self.parts
        ]
        label = [part["label"].to_numpy() for part in self.parts]
        score = [part[row].to_numpy() for part in self.parts]
        return influence(place, label, score, len(clusters))

    def _of_parts(self, function: Callable[..., Any], row: str) -> list:
        names = ("slide", "label", row)
        return [function(*(part[name].to_numpy() for name in names)) for part in self.parts]

    def draws(self, row: str, *, slides: np.ndarray, draws: int, seed: int = 0) -> np.ndarray:
        """Return the AUROC of a row for each draw of slides, (draws,)."""
        counts = draw_slides_in_parts(len(slides), draws=draws, seed=seed)
        return resample(self._of_parts(count_wins, row), slides, counts)

    @property
    def grouped(self) -> bool:
        """Whether folds part the slides, so that none is tested in two of them."""
        parts = zip(self.folds, self.parts, strict=True)
        tested = pd.concat([part[["slide"]].assign(fold=fold) for fold, part in parts])
        return bool((tested.groupby("slide")["fold"].nunique() == 1).all()) and len(self.folds) > 1

    def ratio(self, row: str, fraction: str) -> float:
        """Return n_test / n_train, n_train being that of the whole pool at this fraction."""
        tested = sum(map(len, self.parts)) / len(set(self.folds))
        return tested / len(self.places) * float(fraction) / self.trained[row]

    def by_fold(self, row: str) -> np.ndarray:
        """Return the AUROC of a row in each fold, its domains averaged, (folds,)."""
        from cryotome.core.metrics import auroc

        values = [auroc(part["label"].to_numpy(), part[row].to_numpy()) for part in self.parts]
        return pd.Series(values).groupby(self.folds).mean().to_numpy()

    def within(self, row: str) -> float:
        """Return the AUROC over pairs of one slide, mean over parts that have any."""
        values = self._of_parts(auroc_within, row)
        known = [value for value in values if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")


def _places(
    scheme: str, table: pd.DataFrame, many_domains: bool
) -> list[tuple[str, str, pd.DataFrame]]:
    """Return (scheme, tested, cells) of each part that a file of predictions belongs to."""
    by_domain, named = list(table.groupby("domain")), Scheme.parse(scheme)
    if named.is_pooled:
        within = [(scheme, "domains", part) for _, part in by_domain] if many_domains else []
        return [(scheme, "all", table), *within]
    parts = [("domains", table)]
    if named.is_cross_domain:
        parts = [(named.relation(str(domain)), part) for domain, part in by_domain]
    return [(name, *part) for name in (scheme, str(named.every)) for part in parts]


def load_paired_scores(
    predictions: list[Path], cells: dict[str, pd.DataFrame]
) -> dict[Keys, PairedScores]:
    """Sort test predictions into blocks.

    Parameters
    ----------
    predictions
        Files of predictions; their paths carry the keys. Every row of a block must have
        scored the same cells.
    cells
        Dataset to a frame indexed by id with columns slide, domain.

    Returns
    -------
    (dataset, scheme, fraction, tested) to block
        `tested`: `all` cells of a fold together; `domains`, one part per domain, so that
        nothing is gained by telling domains apart; for schemes that train on one domain
        `in` and `out`. `from_*` and `except_*` pool the schemes of all domains, as Table 2
        does.

    Raises
    ------
    StoreError
        Two rows of a block were not scored on the same cells.
    """
    blocks: dict[Keys, PairedScores] = {}
    parts: dict[tuple, pd.DataFrame] = {}
    trained: dict[tuple, list[int]] = {}
    for path in predictions:
        run = RunPath.of(path)
        table = read_predictions(path)
        table = table[table["role"] == "test"].join(
            cells[run.dataset][["slide", "domain"]], on="id"
        )
        n_train = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["n_train"]
        many = cells[run.dataset]["domain"].nunique() > 1
        for name, tested, part in _places(run.scheme, table, many):
            keys = (run.dataset, name, run.fraction, tested)
            trained.setdefault((keys, run.row), []).append(n_train)
            place = (keys, run.scheme, run.fold, "" if tested == "all" else part["domain"].iloc[0])
            if place not in parts:
                parts[place] = part[FIXED].reset_index(drop=True)
                block = blocks.setdefault(keys, PairedScores())
                block.parts.append(parts[place])
                block.folds.append(run.fold)
                block.places.add(run.scheme)
            if not np.array_equal(parts[place]["id"], part["id"]):
                raise StoreError(
                    f"{path} was not scored on the cells of the other rows. Delete it and rerun."
                )
            parts[place][run.row] = part["score"].to_numpy()
    for (keys, row), counts in trained.items():
        blocks[keys].trained[row] = float(np.mean(counts))
        if any(row not in part for part in blocks[keys].parts):
            raise StoreError(
                f"{row} lacks a fold or domain of {', '.join(keys)} that other rows have. Delete "
                "its predictions and rerun."
            )
    return blocks
