"""MIDOG's JSON: boxes as corner pairs, one file for all images."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.annotations.class_names import ClassList, match_classes, name_labels
from cryotome.data.file_signatures import describe_start
from cryotome.data.names import first_number, to_nfc
from cryotome.data.reading_report import report_by_reason

MAX_POSITION = 1e9  # px; no slide is as wide
IMAGE_FIELDS = ("tumor_type", "width", "height")  # optional fields of an image


@dataclass(frozen=True)
class _Content:
    """Annotations as they stand, images by id, and id and name of each category."""

    rows: pd.DataFrame
    images: pd.DataFrame
    categories: ClassList


def read_midog_json(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read MIDOG's JSON, whose boxes are corner pairs (x0, y0, x1, y1).

    Cells are in the order of the file; with `image_number_shift`, in the order of the new image
    numbers, the card's `extra` cells after the others of their image. `width` and `height` are the
    image's in the file, level-0 px.

    Raises
    ------
    DataError
        The file is no such JSON, its `categories` contradict the card, or a box is not a square
        of the card's side, for example because it is x, y, width, height instead of corners.
    """
    content = _read_coco(annotations)
    rows, reading = content.rows, card["reading"]
    classes = match_classes(card, content.categories, annotations, "`categories`")
    labels = rows.set_index("id")["category_id"]
    rows["class"] = name_labels(labels, classes, annotations, "annotation")
    reason = pd.Series("", index=rows.index)
    left = rows["class"].isna()
    reason[left] = "of class " + rows.loc[left, "category_id"].astype(str) + " (`ignore`)"
    boxes = _parse_boxes(rows[~left], annotations)
    _check_boxes(rows[~left], boxes, reading["box"], annotations)
    about = content.images.reindex(rows.loc[~left, "image_id"])
    cells = pd.DataFrame(
        {
            "image": about["file_name"].to_numpy(),
            "x": boxes[:, [0, 2]].mean(axis=1),
            "y": boxes[:, [1, 3]].mean(axis=1),
            "class": rows.loc[~left, "class"].to_numpy(),
        },
        index=rows.index[~left],
    )
    for name in IMAGE_FIELDS:
        if name in about:
            cells[name] = about[name].to_numpy()
    for side in ("width", "height"):
        cells[side] = pd.to_numeric(cells.get(side, np.nan), errors="coerce")
    if "image_number_shift" in reading:
        cells = _renumbered(cells, reading["image_number_shift"], annotations)
        reason[cells.index[cells["image"] == ""]] = "on images that `image_number_shift` leaves out"
        cells = cells[cells["image"] != ""]
    extra = reading.get("extra", [])
    _report(annotations, content, reason, len(extra))
    cells = pd.concat([cells, pd.DataFrame(extra)], ignore_index=True)
    if "image_number_shift" in reading:
        cells = cells.sort_values("image", key=lambda name: name.map(first_number), kind="stable")
    return cells.assign(slide=cells["image"]).reset_index(drop=True)


def _report(path: Path, content: _Content, reason: pd.Series, extra: int) -> None:
    empty = len(content.images) - content.rows["image_id"].nunique()
    if empty:
        said = f"{empty} of {len(content.images)} images have no annotations"
        print(f"{path}: {said}", file=sys.stderr)
    if extra:
        print(f"{path}: {extra} cells more are the card's `extra`", file=sys.stderr)
    report_by_reason(path, reason)


def _check_boxes(rows: pd.DataFrame, boxes: np.ndarray, side: float, path: Path) -> None:
    wrong = np.flatnonzero((np.abs(boxes[:, 2:] - boxes[:, :2] - side) > 1e-6).any(axis=1))
    if len(wrong):
        first = rows.iloc[wrong[0]]
        raise DataError(
            f"{path}: annotation {first['id']} has bbox {first['bbox']}, which is not a "
            f"{side:g} x {side:g} px pair of corners [x0, y0, x1, y1] ({len(wrong)} like it). "
            f"Write corners, or set `reading: {{box: ...}}` in the dataset's card."
        )


def _parse_boxes(rows: pd.DataFrame, path: Path) -> np.ndarray:
    """Return the boxes of annotations, (n, 4) float."""
    for id_, box in zip(rows["id"], rows["bbox"], strict=True):
        numbers = isinstance(box, list) and all(isinstance(side, int | float) for side in box)
        if not numbers or len(box) != 4 or not all(abs(side) < MAX_POSITION for side in box):
            raise DataError(
                f"{path}: annotation {id_!r:.80} has bbox {box!r:.200}, which is not four numbers "
                "[x0, y0, x1, y1]. Correct it."
            )
    return np.asarray(rows["bbox"].tolist(), dtype=float).reshape(-1, 4)


def _read_coco(path: Path) -> _Content:
    """Read the annotations, the images and the categories of a COCO-like JSON."""
    try:
        # given bytes, json detects the encoding: UTF-8 with or without BOM, UTF-16, UTF-32
        content = json.loads(path.read_bytes(), object_pairs_hook=_unique_keys)
        rows, listed = (pd.DataFrame(content[key]) for key in ("annotations", "images"))
        used, named = rows[["image_id", "category_id", "bbox", "id"]], listed[["id", "file_name"]]
        for column in (used["id"], used["image_id"], used["category_id"], named["id"]):
            column.map(hash)  # raises TypeError for lists
        categories = [(kind["id"], kind.get("name")) for kind in content.get("categories") or []]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not MIDOG's JSON ({type(error).__name__}: {error}); it begins with "
            f"{describe_start(path)}. Fetch it again, or correct `annotations:` in the card."
        ) from error
    spelt = listed["file_name"].map(to_nfc, na_action="ignore")
    for what, column in (("an id", listed["id"]), ("a file name", spelt)):
        if column.isna().any() or column.duplicated().any():
            odd = column[column.isna() | column.duplicated()].iloc[0]
            raise DataError(f"{path}: two images share {what}, or one has none: {odd}.")
    unlabelled = used[used["category_id"].isna()]
    if len(unlabelled):
        raise DataError(f"{path}: annotation {unlabelled['id'].iloc[0]} has no category_id.")
    lost = used[~used["image_id"].isin(named["id"])]
    if len(lost):
        raise DataError(
            f"{path}: annotation {lost['id'].iloc[0]} lies on image {lost['image_id'].iloc[0]}, "
            f"which `images` does not list ({len(lost)} such annotations). Fetch the file again."
        )
    return _Content(rows, listed.set_index("id"), categories)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a JSON object; Python would silently keep the last of equal keys."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} twice")
    return found


def _renumbered(cells: pd.DataFrame, ranges: list[list[int]], path: Path) -> pd.DataFrame:
    """Rename images by the card's ranges of numbers; empty if no range contains the number.

    Raises
    ------
    DataError
        Two images would get the same name.
    """
    old = cells["image"].map(first_number)
    new = pd.Series(-1, index=cells.index)
    for first, last, shift in ranges:
        new[old.between(first, last)] = old + shift
    suffix = cells["image"].map(lambda name: Path(name).suffix)
    named = (new.map("{:03d}".format) + suffix).where(new > 0, "")
    both = pd.DataFrame({"from": cells["image"], "to": named}).drop_duplicates()
    twice = both[(both["to"] != "") & both["to"].duplicated(keep=False)]
    if len(twice):
        raise DataError(
            f"{path}: {' and '.join(twice['from'].iloc[:2])} would both be named "
            f"{twice['to'].iloc[0]}. Correct `image_number_shift:` in the dataset's card."
        )
    return cells.assign(image=named)
