"""Foreign annotation formats become one table of cells."""

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.cards import Card
from cryotome.errors import DataError

COLUMNS = ["id", "image", "slide", "x", "y", "domain", "label"]
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}

Reader = Callable[[Path, Path, Card], pd.DataFrame]
READERS: dict[str, Reader] = {}


def reader(name: str) -> Callable[[Reader], Reader]:
    """Register a reader under the name that dataset cards use.

    A reader takes the annotation file, the image folder and the dataset card, and
    returns one row per cell: `image` (path below the image folder), `slide`, `x`, `y`
    (centre, level-0 px), `class` (name from the card), and whatever columns the
    card's domains ask for.
    """

    def register(function: Reader) -> Reader:
        READERS[name] = function
        return function

    return register


def _class_names(card: Card) -> dict[int | str, str]:
    return {entry["is"]: entry["name"] for entry in card["classes"]}


def number(name: str) -> int:
    """Return the first number in a file's name, -1 where there is none.

    >>> number("MIDOG21/007.tiff"), number("tumour.svs")
    (7, -1)
    """
    found = re.search(r"\d+", Path(name).stem)
    return int(found.group()) if found else -1


@reader("midog_json")
def read_midog_json(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read MIDOG's JSON, whose boxes are corner pairs (x0, y0, x1, y1).

    Raises
    ------
    DataError
        A box is not square with the side that the card says, as happens when
        corners are taken for x, y, width, height or the other way round.
    """
    content = json.loads(annotations.read_text())
    names = _class_names(card)
    rows = pd.DataFrame(content["annotations"])
    rows = rows[rows["category_id"].isin(list(names))]
    boxes = np.asarray(rows["bbox"].tolist(), dtype=float).reshape(-1, 4)
    side = card["reading"]["box"]
    wrong = np.flatnonzero((np.abs(boxes[:, 2:] - boxes[:, :2] - side) > 1e-6).any(axis=1))
    if len(wrong):
        first = rows.iloc[wrong[0]]
        raise DataError(
            f"{annotations}: annotation {first['id']} has bbox {first['bbox']}, which is not a "
            f"{side:g} x {side:g} px pair of corners [x0, y0, x1, y1] ({len(wrong)} like it). "
            f"Write corners, or set `reading: {{box: ...}}` in the dataset's card."
        )
    listed = pd.DataFrame(content["images"]).set_index("id")
    cells = pd.DataFrame(
        {
            "image": listed["file_name"].reindex(rows["image_id"]).to_numpy(),
            "x": boxes[:, [0, 2]].mean(axis=1),
            "y": boxes[:, [1, 3]].mean(axis=1),
            "class": rows["category_id"].map(names).to_numpy(),
        }
    )
    if "tumor_type" in listed:
        cells["tumor_type"] = listed["tumor_type"].reindex(rows["image_id"]).to_numpy()
    cells = _renumbered(cells, card["reading"].get("renumber"))
    extra = pd.DataFrame(card["reading"].get("extra", []))
    cells = pd.concat([cells, extra], ignore_index=True)
    return cells.assign(slide=cells["image"])


def _renumbered(cells: pd.DataFrame, ranges: list[list[int]] | None) -> pd.DataFrame:
    if ranges is None:
        return cells
    old = cells["image"].map(number)
    new = pd.Series(-1, index=cells.index)
    for first, last, shift in ranges:
        new[old.between(first, last)] = old + shift
    suffix = cells["image"].map(lambda name: Path(name).suffix)
    return cells.assign(image=new.map("{:03d}".format) + suffix)[new > 0]


@reader("sliderunner_sqlite")
def read_sliderunner(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read point annotations from a SlideRunner database of either generation, read-only.

    The old generation (CCMCT) has no column `deleted`; the new one has, and deleted
    annotations are left out. Databases of the new generation carry triggers that call
    Python, so the file is opened read-only and only selected from, by column name.
    """
    names = _class_names(card)
    with sqlite3.connect(f"{annotations.resolve().as_uri()}?mode=ro", uri=True) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(Annotations)")}
        alive = "AND COALESCE(a.deleted, 0) = 0" if "deleted" in columns else ""
        marks = ",".join("?" * len(names))
        cells = pd.read_sql_query(
            f"""SELECT s.filename AS image, c.coordinateX AS x, c.coordinateY AS y,
                       a.agreedClass AS class
                FROM Annotations a
                JOIN Annotations_coordinates c ON c.annoId = a.uid
                JOIN Slides s ON s.uid = a.slide
                WHERE a.type IN (1, 4) AND a.agreedClass IN ({marks}) {alive}
                ORDER BY a.uid""",
            database,
            params=tuple(names),
        )
    database.close()
    return cells.assign(**{"class": cells["class"].map(names), "slide": cells["image"]})


@reader("class_folders")
def read_class_folders(annotations: Path | None, images: Path, card: Card) -> pd.DataFrame:
    """Read images that lie in one folder per class, one cell an image.

    A metadata CSV, where the card names one, gives slide, position (columns `x`, `y`)
    and whatever the domains ask for. Without it an image is its own slide and its
    position is (0, 0); with crops, the position never decides where a patch is cut.

    Raises
    ------
    DataError
        A class folder is missing or empty, or folder and metadata disagree.
    """
    rows = []
    for entry in card["classes"]:
        files = sorted(p for p in (images / entry["is"]).glob("*") if p.suffix.lower() in IMAGES)
        if not files:
            raise DataError(f"{images / entry['is']} holds no images of class {entry['name']!r}.")
        rows += [(p.stem, f"{entry['is']}/{p.name}", entry["name"], entry["is"]) for p in files]
    cells = pd.DataFrame(rows, columns=["key", "image", "named", "folder"])
    if annotations is None:
        return cells.assign(slide=cells["image"], x=0.0, y=0.0, **{"class": cells["named"]})
    reading = card["reading"]
    table = pd.read_csv(annotations, dtype=str)
    spelt = [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy()]
    table["key"] = [reading["key"].format(**row) for row in spelt]
    table["slide"] = [reading["slide"].format(**row) for row in spelt]
    table["number"] = table["slide"].map(number)
    table[["x", "y"]] = table.reindex(columns=["x", "y"], fill_value="0").astype(float)
    table = table.drop(columns=["image", "folder"], errors="ignore")
    merged = cells.merge(table, on="key", how="left", validate="one_to_one", indicator=True)
    lost = merged.loc[merged["_merge"] != "both", "image"].tolist()
    if lost:
        raise DataError(f"{annotations} has no row for {len(lost)} images, first {lost[0]}.")
    if "class" in reading:
        said, due = merged[reading["class"]], merged["folder"].map(reading["agree"])
        wrong = merged.loc[said != due, "image"].tolist()
        if wrong:
            raise DataError(
                f"{annotations}: column {reading['class']!r} contradicts the folder of "
                f"{len(wrong)} images, first {wrong[0]}. One of the two is wrong."
            )
    return merged.assign(**{"class": merged["named"]})


def _fits(cells: pd.DataFrame, domain: str, where: Card) -> pd.Series:
    fits = pd.Series(True, index=cells.index)
    for column, wanted in where.items():
        if column not in cells:
            raise DataError(
                f"Domain {domain!r} asks for column {column!r}; the reader gives "
                f"{sorted(cells.columns)}. Mend `domains:` in the dataset's card."
            )
        inside = isinstance(wanted, list)
        fits &= cells[column].between(*wanted) if inside else cells[column] == wanted
    return fits


def assign_domains(cells: pd.DataFrame, card: Card) -> pd.Series:
    """Return the domain of each cell, by the conditions in the card.

    Raises
    ------
    DataError
        A cell fits no domain, or more than one.
    """
    if "number" not in cells:
        cells = cells.assign(number=cells["image"].map(number))
    fits = pd.DataFrame(
        {domain: _fits(cells, domain, entry["where"]) for domain, entry in card["domains"].items()}
    )
    wrong = fits.sum(axis=1) != 1
    if wrong.any():
        first = cells[wrong].iloc[0]
        raise DataError(
            f"{wrong.sum()} cells fit no domain or several, first the one in {first['image']} at "
            f"({first['x']:g}, {first['y']:g}). Mend `domains:` in the dataset's card."
        )
    return fits.idxmax(axis=1)


def check_counts(cells: pd.DataFrame, expect: Card, name: str) -> None:
    """Stop a wrong reading.

    Raises
    ------
    DataError
        Images, or cells of a domain and class, are not as many as the card expects.
    """
    images = cells["image"].nunique()
    found = {
        domain: [int((part["label"] == label).sum()) for label in (0, 1)]
        for domain, part in cells.groupby("domain")
    }
    wrong = [
        f"{domain} has {found.get(domain, [0, 0])} cells (negative, positive), not {counts}"
        for domain, counts in expect["cells"].items()
        if found.get(domain, [0, 0]) != counts
    ]
    if images != expect["images"]:
        wrong.insert(0, f"{images} images instead of {expect['images']}")
    if wrong:
        raise DataError(
            f"Dataset {name!r} is not what its card expects: {'; '.join(wrong)}. Check that the "
            f"annotation file is the right one, or correct `expect:` in the card."
        )


def read_cells(annotations: Path | None, images: Path, card: Card, name: str) -> pd.DataFrame:
    """Read, label and check the cells of one dataset.

    Returns
    -------
    data frame with columns id, image, slide, x, y, domain, label
        Sorted by image; x, y is the centre in level-0 px; label 1 is the card's second
        class; ids count from 0.
    """
    cells = READERS[card["reader"]](annotations, images, card)  # type: ignore[arg-type]
    labels = [entry["name"] for entry in card["classes"]]
    cells = cells.assign(domain=assign_domains(cells, card), label=cells["class"].map(labels.index))
    if "expect" in card:
        check_counts(cells, card["expect"], name)
    if card.get("permute_labels"):
        cells["label"] = np.random.default_rng(0).permutation(cells["label"].to_numpy())
    cells = cells.sort_values("image", kind="stable", ignore_index=True)
    return cells.assign(id=cells.index)[COLUMNS]
