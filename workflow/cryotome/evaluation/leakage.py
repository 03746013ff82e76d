"""Leakage of a split from training to test: slides, pixels, duplicates, near cells."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryotome.core.errors import StoreError
from cryotome.core.metrics import auroc
from cryotome.data.overlap import pixel_boxes, shared_area, sharing_pairs

PSEUDO_CELLS = 1.0  # cells of the overall prevalence, added to those of every slide
HALF = 0.5  # fraction of the area that the network sees
SLIDE_MEASURES = ["on_training_slide", "shared_slides", "slide_prevalence_auroc"]


@dataclass(frozen=True)
class LeakageEvidence:
    """Cells with their windows, duplicates and near pairs: the input of all measures.

    Attributes
    ----------
    cells : data frame indexed by id
        Columns slide, x, y, label, and left, top, side, margin, place of the windows.
    twins : series indexed by id
        Number of the group of equal patches that a cell belongs to.
    near : (n, 2) int
        Ids of near pairs, in both orders.
    """

    cells: pd.DataFrame
    twins: pd.Series
    near: np.ndarray


def gather_evidence(
    cells: pd.DataFrame, windows: pd.DataFrame, findings: pd.DataFrame
) -> LeakageEvidence:
    """Join the cells, their windows and the findings of the audit.

    Raises
    ------
    StoreError
        A cell has no window.
    """
    missing = cells[~cells["id"].isin(windows["id"])]
    if len(missing):
        raise StoreError(
            f"{len(missing)} cells have no window, first {missing['id'].iloc[0]}. The windows were "
            "placed before the annotations changed; delete results/audits/ and rerun."
        )
    joined = cells.merge(windows, on="id", validate="one_to_one").set_index("id")
    pairs = findings[["id", "other"]].to_numpy()
    equal = findings["finding"].isin(["duplicate", "conflict"]).to_numpy()
    close = pairs[(findings["finding"] == "near").to_numpy()]
    row = pd.Series(np.arange(len(joined)), index=joined.index)
    ends = [row.reindex(pairs[equal, side]).to_numpy(dtype=int) for side in (0, 1)]
    links = coo_array((np.ones(len(ends[0])), tuple(ends)), shape=(len(row), len(row)))
    twins = pd.Series(connected_components(links, directed=False)[1], index=joined.index)
    return LeakageEvidence(joined, twins, np.concatenate([close, close[:, ::-1]]))


def slide_scores(train: pd.DataFrame, slides: pd.Series) -> np.ndarray:
    """Score cells by their slide alone: its prevalence in training, shrunk by one pseudo-cell.

    Parameters
    ----------
    train
        Columns slide, label.
    slides
        Of the cells to score; slides that do not train get the overall prevalence.

    Returns
    -------
    (n,) float64 between 0 and 1

    >>> train = pd.DataFrame({"slide": ["a", "a", "b", "b"], "label": [1, 1, 1, 0]})
    >>> slide_scores(train, pd.Series(["a", "b", "c"])).round(3).tolist()
    [0.917, 0.583, 0.75]
    """
    overall = train["label"].mean()
    count = train.groupby("slide")["label"].agg(["sum", "count"]).reindex(slides).fillna(0)
    shrunk = (count["sum"] + PSEUDO_CELLS * overall) / (count["count"] + PSEUDO_CELLS)
    return shrunk.to_numpy(dtype=float)


def _window_pairs(test: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """List test cells whose network window shares a pixel with a stored window of the others.

    Columns: test, the id; seen, the fraction of the network window that lies in that of the
    other; centre, whether the other's centre lies in it; same, whether the labels agree.
    """
    seen = pixel_boxes(test, stored=False)
    stored, shown = (pixel_boxes(others, stored=stored) for stored in (True, False))
    pairs = sharing_pairs(seen, stored, places=(test["place"], others["place"]))
    i, j = pairs.T
    centre = others[["x", "y"]].to_numpy()[j]
    within = (centre >= seen[i, :2]) & (centre < seen[i, 2:])
    labels = test["label"].to_numpy()[i] == others["label"].to_numpy()[j]
    return pd.DataFrame(
        {
            "test": test.index.to_numpy()[i],
            "seen": shared_area(seen[i], shown[j]) / (seen[i, 2:] - seen[i, :2]).prod(axis=1),
            "centre": within.all(axis=1),
            "same": labels,
        }
    )


def measure_leakage(
    split: pd.DataFrame, evidence: LeakageEvidence, *, slides_known: bool = True
) -> pd.DataFrame:
    """Measure the leakage of one fold from training to test.

    Parameters
    ----------
    split
        Columns id, role.
    slides_known
        Whether the dataset names slides; without, the measures of slides are empty.

    Returns
    -------
    data frame with columns measure, cells, share
        The number of test cells, and their fraction of all test cells. Of `shared_slides`,
        cells is a number of slides and share that of the slides tested; of
        `slide_prevalence_auroc`, cells is all test cells and share the AUROC of
        `slide_scores` (empty with one class).

    Raises
    ------
    StoreError
        A cell of the split is not in the table of cells.
    """
    ids = _ids_by_role(split, evidence.cells)
    train, test = (evidence.cells.loc[ids[role]] for role in ("train", "test"))
    validation = evidence.cells.loc[ids.get("validation", np.empty(0, dtype=int))]
    counts = {
        "test_cells": len(test),
        "on_training_slide": int(test["slide"].isin(train["slide"]).sum()),
        **_shared_pixels(test, train, validation),
        **_duplicate_or_near(ids, evidence),
    }
    rows = [(name, count, count / len(test)) for name, count in counts.items()]
    tested, shared = set(test["slide"]), len(set(test["slide"]) & set(train["slide"]))
    rows.insert(2, ("shared_slides", shared, shared / len(tested)))
    alone = auroc(test["label"].to_numpy(), slide_scores(train, test["slide"]))
    rows.append(("slide_prevalence_auroc", len(test), alone))
    table = pd.DataFrame(rows, columns=["measure", "cells", "share"])
    if not slides_known:
        table = table.astype({"cells": "Int64"})
        table.loc[table["measure"].isin(SLIDE_MEASURES), ["cells", "share"]] = pd.NA
    return table


def _ids_by_role(split: pd.DataFrame, cells: pd.DataFrame) -> dict[str, np.ndarray]:
    unknown = split[~split["id"].isin(cells.index)]
    if len(unknown):
        raise StoreError(
            f"{len(unknown)} cells of the split are no cells of the dataset, first "
            f"{unknown['id'].iloc[0]}. It was drawn before the annotations changed; delete it and "
            "rerun."
        )
    roles = split.groupby("role")["id"]
    return {str(role): ids.to_numpy() for role, ids in roles}


def _shared_pixels(
    test: pd.DataFrame, train: pd.DataFrame, validation: pd.DataFrame
) -> dict[str, int]:
    pairs, validated = _window_pairs(test, train), _window_pairs(test, validation)
    chosen = {
        "pixels_with_training": pairs,
        "pixels_with_validation": validated,
        "seen_with_training": pairs[pairs["seen"] > 0],
        "half_seen_with_training": pairs[pairs["seen"] >= HALF],
        "centre_of_training": pairs[pairs["centre"]],
        "centre_of_other_label": pairs[pairs["centre"] & ~pairs["same"]],
    }
    return {name: part["test"].nunique() for name, part in chosen.items()}


def _duplicate_or_near(ids: dict[str, np.ndarray], evidence: LeakageEvidence) -> dict[str, int]:
    twins, label = evidence.twins, evidence.cells["label"]
    equal = twins[ids["test"]].isin(twins[ids["train"]])
    one, other = evidence.near.T
    across = np.isin(one, ids["test"]) & np.isin(other, ids["train"])
    other_label = across & (label.reindex(one).to_numpy() != label.reindex(other).to_numpy())
    return {
        "duplicate_of_training": int(equal.sum()),
        "near_training": len(set(one[across])),
        "near_training_of_other_label": len(set(one[other_label])),
    }


def summary_line(tables: list[pd.DataFrame]) -> str:
    """Return the mean fractions over folds as one line for the log."""
    shares = pd.concat(tables).groupby("measure", sort=False)["share"].mean().drop("test_cells")
    return ", ".join(f"{name} {value:.3f}" for name, value in shares.dropna().items())
