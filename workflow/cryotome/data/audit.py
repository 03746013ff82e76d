"""Audit of a dataset's cells: oddities, and which cells no split may use."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.core.store import PATCHES, provenance, read_ids, read_rows
from cryotome.data.image_files import find_image
from cryotome.data.images import open_image
from cryotome.data.patches import cell_centres, patch_scale
from cryotome.data.pixel_size import ENLARGED_FROM
from cryotome.data.windows import network_window
from cryotome.study.facts import MEANING

COLUMNS = ["finding", "id", "other", "image", "x", "y", "label", "other_label"]
COLUMNS += ["left_out", "other_left_out"]
FINDING_HINTS = {"outside": "Positions may be in µm, of another level, or with x and y swapped. "}
ENLARGED_WARNING = (
    " Warning: enlarged patches hold no detail of their resolution. Write a coarser `patch: "
    "{resolution: ...}` into the dataset's card, or leave these images out."
)
MAX_SHOWN = 10  # findings that a refusal lists


def near_pairs(cells: pd.DataFrame, reach: float, *, place: str = "image") -> np.ndarray:
    """Return pairs of cells whose centres lie close together.

    Parameters
    ----------
    cells
        Columns id, x, y, and the one that `place` names: cells of equal value share coordinates.
    reach
        Largest distance along either axis, level-0 px.

    Returns
    -------
    (n, 2) int, ids of each pair, the smaller first
    """
    pairs = [np.empty((0, 2), dtype=int)]
    for _, part in cells.groupby(place, sort=False):
        close = cKDTree(part[["x", "y"]]).query_pairs(reach, p=np.inf, output_type="ndarray")
        pairs.append(np.sort(part["id"].to_numpy()[close], axis=1))
    found = np.concatenate(pairs)
    return found[np.lexsort(found.T[::-1])]


def equal_patches(store: Path) -> list[list[int]]:
    """Return groups of ids whose patches, without margin, are equal in every pixel."""
    return [ids for ids in hash_patches(store).values() if len(ids) > 1]


def hash_patches(store: Path, side: int | None = None) -> dict[bytes, list[int]]:
    """Return the hash of each patch to the ids that have it, in the order of the store.

    Parameters
    ----------
    side
        Of the centre that is hashed, px; what the network sees where not said.
    """
    seen = side or provenance(store, PATCHES)["seen"]
    groups: dict[bytes, list[int]] = {}
    ids = read_ids(store)
    for start in range(0, len(ids), 1024):
        batch = read_rows(store, "patch", slice(start, start + 1024))
        edge = (batch.shape[1] - seen) // 2
        inner = batch[:, edge : edge + seen, edge : edge + seen]
        for id_, patch in zip(ids[start : start + 1024], inner, strict=True):
            groups.setdefault(hashlib.sha256(patch.tobytes()).digest(), []).append(int(id_))
    return groups


def _odd_windows(cells: pd.DataFrame, folder: Path, card: Card) -> Iterator[tuple[str, int]]:
    """Yield finding and id: centre outside the image, window across its border, enlarged."""
    for name, part in cells.groupby("image", sort=False):
        path = find_image(folder, str(name))
        image = open_image(path)
        scale = patch_scale(image, path, card)
        for id_, (x, y) in zip(part["id"], cell_centres(part, image, card), strict=True):
            if not (0 <= x < image.size[0] and 0 <= y < image.size[1]):
                yield "outside", id_
            if network_window(x, y, card["patch"]["side"], scale).exceeds_image(image.size):
                yield "border", id_
            if scale * ENLARGED_FROM < 1:
                yield "enlarged", id_


def find_oddities(
    cells: pd.DataFrame, store: Path, folder: Path, card: Card, policies: Card
) -> pd.DataFrame:
    """List all findings, one row each.

    Parameters
    ----------
    cells
        The table of cells.
    store
        The patch store cut from it.
    folder
        Folder of the images.
    policies
        Finding to `keep`, `drop` or `refuse`; `near_px`: reach of a near pair, level-0 px.

    Returns
    -------
    data frame with columns finding, id, other, image, x, y, label, other_label, left_out,
    other_left_out
        `other` is the second cell of a pair, -1 where there is none; left_out and
        other_left_out: whether the policies exclude that cell from every split.
    """
    broken = json.loads(provenance(store, PATCHES)["broken"])
    lost = cells["image"].isin(broken)
    whole = cells[~lost]
    found = [("broken", id_, -1) for id_ in cells.loc[lost, "id"]]
    found += [(finding, id_, -1) for finding, id_ in _odd_windows(whole, folder, card)]
    found += _odd_pairs(whole, store, card, policies["near_px"])
    table = pd.DataFrame(found, columns=["finding", "id", "other"]).join(
        cells.set_index("id")[["image", "x", "y", "label"]], on="id"
    )
    labels = cells.set_index("id")["label"]
    table["other_label"] = table["other"].map(labels).fillna(-1).astype(int)
    out = cells_to_drop(table, policies)
    gone = {"left_out": table["id"].isin(out), "other_left_out": table["other"].isin(out)}
    return table.assign(**gone)[COLUMNS]


def _odd_pairs(
    cells: pd.DataFrame, store: Path, card: Card, reach: float
) -> Iterator[tuple[str, int, int]]:
    """Yield finding and both ids of patches that are equal or lie close together.

    Equal patches with two labels are conflicts, each with one of the other label.
    """
    label = cells.set_index("id")["label"]
    for group in equal_patches(store):
        ids = [id_ for id_ in group if id_ in label.index]
        first = {label[id_]: id_ for id_ in reversed(ids)}  # of each label
        for id_ in ids:
            others = [one for its, one in first.items() if its != label[id_]]
            if others:
                yield "conflict", id_, others[0]
            elif id_ != ids[0]:
                yield "duplicate", id_, ids[0]
    # crops of one slide share its coordinates; they lie at 0 where these are unknown
    placed = cells[(cells[["x", "y"]] != 0).any(axis=1)]
    place = "slide" if card["reader"] == "class_folders" else "image"
    for one, other in near_pairs(placed, reach, place=place):
        yield "near", other, one


def cells_to_drop(findings: pd.DataFrame, policies: Card) -> set[int]:
    """Return the ids that the policies exclude from every split.

    Pairs with contradicting labels lose both cells; of equal patches with one label, and of a
    near pair, the first cell stays unless it is excluded already.
    """
    dropped = findings[findings["finding"].map(policies) == "drop"]
    paired = dropped["other"] >= 0
    odd = dropped[paired & (dropped["label"] != dropped["other_label"])]
    out = {*dropped.loc[~paired, "id"], *odd["id"], *odd["other"]}
    for id_, other in dropped.loc[paired, ["id", "other"]].sort_values(["other", "id"]).to_numpy():
        if other not in out:
            out.add(int(id_))
    return out


def raise_if_refused(findings: pd.DataFrame, policies: Card, dataset: str) -> None:
    """Stop if a finding has the policy `refuse`.

    Raises
    ------
    DataError
        There is such a finding; its first cells are named.
    """
    for finding, part in findings.groupby("finding"):
        if policies.get(str(finding)) == "refuse":
            lines = [
                f"  cell {row['id']}, {row['image']} at ({row['x']:g}, {row['y']:g}), "
                f"label {row['label']}"
                + (f", like cell {row['other']}" if row["other"] >= 0 else "")
                + (f", label {row['other_label']}" if row["other"] >= 0 else "")
                for row in part.head(MAX_SHOWN).to_dict("records")
            ]
            lines += [f"  ... and {len(part) - MAX_SHOWN} more"] * (len(part) > MAX_SHOWN)
            raise DataError(
                f"{dataset!r} has {len(part)} {MEANING[str(finding)]}:\n" + "\n".join(lines) + "\n"
                f"{FINDING_HINTS.get(str(finding), '')}Correct the annotations, or decide in the "
                f"dataset's card: `audit: {{{finding}: drop}}` leaves them out of every split, "
                "`keep` uses them."
            )


def summarise_audit(
    cells: pd.DataFrame,
    findings: pd.DataFrame,
    policies: Card,
    dataset: str,
    *,
    slides_known: bool = True,
) -> str:
    """Return the audit as one line of text."""
    kinds = findings["finding"].value_counts()
    near = findings[findings["finding"] == "near"]
    odd = int((near["label"] != near["other_label"]).sum())
    detail = {"near": f" (within {policies['near_px']:g} px; {odd} with contradicting labels)"}
    parts = [
        f"{kinds.get(kind, 0):,} {text}{detail.get(kind, '')}"
        for kind, text in MEANING.items()
        if kind != "enlarged" or kind in kinds
    ]
    used = len(cells) - len(cells_to_drop(findings, policies))
    slides = f"{cells['slide'].nunique():,} slides" if slides_known else "slides not known"
    return (
        f"{dataset}: {len(cells):,} cells on {cells['image'].nunique():,} images, "
        f"{slides}; {', '.join(parts)}; {used:,} cells enter the splits."
        + ENLARGED_WARNING
        * ("enlarged" in kinds)
    )


def example_rows(cells: pd.DataFrame, findings: pd.DataFrame, columns: int) -> dict[str, Any]:
    """Choose cells for the figure: some of each domain and class, then some of each finding.

    Returns
    -------
    title of the row to at most `columns` ids, the same at every call
    """
    rows = {
        f"{domain}, {label}": part["id"].sample(min(columns, len(part)), random_state=0).tolist()
        for (domain, label), part in cells.groupby(["domain", "label"])
    }
    for finding, part in findings.groupby("finding", sort=False):
        rows[MEANING[str(finding)]] = part["id"].head(columns).tolist()
    return rows
