"""What a split lets through from training to test: slides, pixels, duplicates, near cells."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryotome.core.errors import StoreError
from cryotome.core.metrics import auroc
from cryotome.data.overlap import pixel_boxes, shared_area, sharing_pairs

PSEUDO_CELLS = 1.0  # cells of the overall prevalence that every slide is given beside its own
HALF = 0.5  # share of the seen area
SLIDE_MEASURES = ["on_training_slide", "shared_slides", "slide_prevalence_auroc"]  # measures


@dataclass(frozen=True)
class LeakageEvidence:
    """What the measures are computed from, one row a cell.

    Attributes
    ----------
    cells : data frame indexed by id
        Columns slide, x, y, label, and left, top, side, margin, place of the windows.
    twins : series indexed by id
        Number of the group of equal patches that a cell belongs to.
    near : (n, 2) int
        Ids of near pairs, both ways round.
    """

    cells: pd.DataFrame
    twins: pd.Series
    near: np.ndarray


def gather_evidence(
    cells: pd.DataFrame, windows: pd.DataFrame, findings: pd.DataFrame
) -> LeakageEvidence:
    """Join the cells, their windows and what the audit found.

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
    """List test cells whose seen window shares a pixel with a stored window of the others.

    Columns: test, the id; seen, the share of the seen area that is seen of both; centre,
    whether the other's centre is seen; same, whether the labels agree.
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
    """Measure what one fold lets through from training to test.

    Parameters
    ----------
    split
        Columns id, role.

    Returns
    -------
    data frame with columns measure, cells, share
        How many test cells, and their share of all test cells. Of `shared_slides`, cells is a
        number of slides and share that of the slides tested; of `slide_prevalence_auroc`,
        cells is all test cells and share the AUROC of `slide_scores` (empty with one class).
        Where slides are not known, what is said of slides is empty.

    Raises
    ------
    StoreError
        The split has a cell that the table of cells lacks.
    """
    unknown = split[~split["id"].isin(evidence.cells.index)]
    if len(unknown):
        raise StoreError(
            f"{len(unknown)} cells of the split are no cells of the dataset, first "
            f"{unknown['id'].iloc[0]}. It was drawn before the annotations changed; delete it and "
            "rerun."
        )
    part = {role: split.loc[split["role"] == role, "id"].to_numpy() for role in set(split["role"])}
    train, test = (evidence.cells.loc[part[role]] for role in ("train", "test"))
    watch = evidence.cells.loc[part.get("validation", np.empty(0, dtype=int))]
    tested, known = set(test["slide"]), set(train["slide"])
    counts = {"test_cells": len(test), "on_training_slide": int(test["slide"].isin(known).sum())}
    counts |= _shared_pixels(test, train, watch) | _equal_or_near(part, evidence)
    rows = [(name, count, count / len(test)) for name, count in counts.items()]
    rows.insert(2, ("shared_slides", len(tested & known), len(tested & known) / len(tested)))
    alone = auroc(test["label"].to_numpy(), slide_scores(train, test["slide"]))
    rows.append(("slide_prevalence_auroc", len(test), alone))
    table = pd.DataFrame(rows, columns=["measure", "cells", "share"])
    if not slides_known:
        table = table.astype({"cells": "Int64"})
        table.loc[table["measure"].isin(SLIDE_MEASURES), ["cells", "share"]] = pd.NA
    return table


def _shared_pixels(test: pd.DataFrame, train: pd.DataFrame, watch: pd.DataFrame) -> dict[str, int]:
    pairs, watched = _window_pairs(test, train), _window_pairs(test, watch)
    chosen = {
        "pixels_with_training": pairs,
        "pixels_with_validation": watched,
        "seen_with_training": pairs[pairs["seen"] > 0],
        "half_seen_with_training": pairs[pairs["seen"] >= HALF],
        "centre_of_training": pairs[pairs["centre"]],
        "centre_of_other_label": pairs[pairs["centre"] & ~pairs["same"]],
    }
    return {name: part["test"].nunique() for name, part in chosen.items()}


def _equal_or_near(part: dict[str, np.ndarray], evidence: LeakageEvidence) -> dict[str, int]:
    twins, label = evidence.twins, evidence.cells["label"]
    equal = twins[part["test"]].isin(twins[part["train"]])
    one, other = evidence.near.T
    across = np.isin(one, part["test"]) & np.isin(other, part["train"])
    odd = across & (label.reindex(one).to_numpy() != label.reindex(other).to_numpy())
    return {
        "duplicate_of_training": int(equal.sum()),
        "near_training": len(set(one[across])),
        "near_training_of_other_label": len(set(one[odd])),
    }


def summary_line(tables: list[pd.DataFrame]) -> str:
    """Return the mean shares over folds as one line."""
    shares = pd.concat(tables).groupby("measure", sort=False)["share"].mean().drop("test_cells")
    return ", ".join(f"{name} {value:.3f}" for name, value in shares.dropna().items())
