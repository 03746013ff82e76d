"""Variance split of a study's AUROCs into slide, scanner, domain and fold.

A part is the test cells of one fold, scanner and domain; of schemes that train on all domains.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.files import RunPath
from cryotome.data.domains import assign_scanners
from cryotome.evaluation.statistics.clustered_auroc import Influence, influence
from cryotome.evaluation.statistics.slide_pairs import resample_slides
from cryotome.evaluation.statistics.variance_components import (
    REST,
    SLIDE,
    UNKNOWN,
    Component,
    split_variance,
)
from cryotome.learners.predictions import read_predictions
from cryotome.study.scanners import parted_scanners, why_not_parted

FACTORS = ["scanner", "domain", "fold"]
COMPONENTS = [SLIDE, *FACTORS, REST]
COLUMNS = ["dataset", "scheme", "fraction", "row", "component", "variance", "low", "high", "sd"]
COLUMNS += ["sd_low", "sd_high", "share", "levels", "freedom", "parts", "note"]
Run = tuple[str, str, str, str]  # dataset, scheme, fraction, row


def grouped_cells(cells: pd.DataFrame, card: Card) -> pd.DataFrame:
    """Return slide, domain and scanner of cells, by id.

    Cells of no known scanner are left out. Where scanners cannot be parted from domains, all cells
    are there, and `scanner` is empty.

    Raises
    ------
    DataError
        A cell matches several scanners.
    """
    parted = parted_scanners(card)
    table = cells.assign(scanner=assign_scanners(cells, card) if parted else "")
    known = table[table["scanner"] != ""] if parted else table
    return known.set_index("id")[["slide", "domain", "scanner"]]


def split_rows(
    predictions: list[Path], cells: dict[str, pd.DataFrame], cards: dict[str, Card], draws: int
) -> pd.DataFrame:
    """Split the variance of every row at every fraction.

    Parameters
    ----------
    predictions
        Of schemes that train on all domains; their paths carry the keys.
    cells
        Dataset to `grouped_cells`.
    cards
        Dataset to what its card says of scanners.
    draws
        Of slides, for the interval of their own component.

    Returns
    -------
    data frame with columns dataset, scheme, fraction, row, component, variance, low, high (95 %),
    sd, sd_low, sd_high (their roots), share (of the sum of the known components), levels, freedom,
    parts, note
    """
    lines = []
    for run, parts in _parts_of_rows(predictions, cells):
        found, count = _split(parts, draws)
        why = why_not_parted(cards[run[0]])
        whole = float(np.nansum([one.variance for one in found.values()]))
        for name, one in found.items():
            line: Card = dict(zip(COLUMNS, (*run, name), strict=False)) | {"parts": count}
            line |= {"variance": one.variance, "low": one.low, "high": one.high}
            roots = np.sqrt([one.variance, one.low, one.high])
            line |= dict(zip(("sd", "sd_low", "sd_high"), roots, strict=True))
            line |= {"share": one.variance / whole if whole > 0 else None}
            line |= {"levels": one.levels, "freedom": one.freedom}
            lines.append(line | {"note": why if why and name == "scanner" else one.note})
    return pd.DataFrame(lines, columns=COLUMNS).astype({"fraction": float})


def _parts_of_rows(
    predictions: list[Path], cells: dict[str, pd.DataFrame]
) -> Iterator[tuple[Run, list[tuple[str, str, int, pd.DataFrame]]]]:
    """Yield each row at each fraction: scanner, domain, fold and cells of its parts."""
    of_run: dict[Run, list[RunPath]] = {}
    paths = {RunPath.of(path): path for path in predictions}
    for run in paths:
        of_run.setdefault((run.dataset, run.scheme, run.fraction, run.row), []).append(run)
    for key, runs in of_run.items():
        parts = []
        for run in runs:
            table = read_predictions(paths[run])
            tested = table[table["role"] == "test"].join(cells[run.dataset], on="id", how="inner")
            for (scanner, domain), part in tested.groupby(["scanner", "domain"]):
                parts.append((str(scanner), str(domain), run.fold, part))
        yield key, parts


def _split(
    parts: list[tuple[str, str, int, pd.DataFrame]], draws: int
) -> tuple[dict[str, Component], int]:
    """Split the parts whose slides tell an error; return how many those are."""
    names = np.unique(np.concatenate([part["slide"].to_numpy(str) for *_, part in parts]))
    known: list[tuple[tuple[str, str, int], Influence]] = []
    for scanner, domain, fold, part in parts:
        place = np.searchsorted(names, part["slide"].to_numpy(str))
        columns = [place], [part["label"].to_numpy()], [part["score"].to_numpy()]
        found = influence(*columns, len(names))
        if not found.single_cluster:
            known.append(((scanner, domain, fold), found))
    if not known:
        why = "no part has two slides of each label"
        few = Component(UNKNOWN, UNKNOWN, UNKNOWN, 0, 0, why)
        return dict.fromkeys(COMPONENTS, few), 0
    factors = pd.DataFrame([levels for levels, _ in known], columns=FACTORS)
    auroc = np.array([found.auroc for _, found in known])
    contributions = np.array([found.contributions for _, found in known])
    counts = resample_slides(len(names), draws=draws, seed=0)
    return split_variance(auroc, contributions, factors, counts), len(known)
