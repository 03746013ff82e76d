"""Foreign annotation formats become one table of cells."""

import json
import re
import sqlite3
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np
import pandas as pd

from cryotome.cards import Card
from cryotome.errors import DataError

FARTHEST = 1e9  # px; no slide is as wide
ROWS = 5_000_000  # cells of a database, more than twenty times those of the largest dataset
SECONDS = 120  # that a database may take
LONGEST = 300  # characters of a database's text that are read; no name has as many
PLACE = re.compile(r"{([^{}]+)}")  # of a column's value in a card's template
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


def _begins(path: Path) -> str:
    """Quote the first bytes of a file: a page of HTML gives itself away."""
    with open(path, "rb") as file:
        return repr(file.read(40))[1:]


def _known_labels(labels: pd.Series, card: Card, path: Path, unit: str) -> np.ndarray:
    """Return class names of labels as they stand in a file, NaN where the card ignores them.

    Raises
    ------
    DataError
        A label is neither one of the card's classes nor ignored.
    """
    spelt, names = labels.astype(str), {str(k): v for k, v in _class_names(card).items()}
    ignored = map(str, card.get("reading", {}).get("ignore", []))
    odd = spelt[~spelt.isin([*names, *ignored])]
    if len(odd):
        raise DataError(
            f"{path}, {unit} {odd.index[0]} has label {odd.iloc[0]!r} ({len(odd)} such labels); "
            f"`classes:` of the card know {list(names)}. Correct it, or leave such cells out "
            f"with `reading: {{ignore: [{json.dumps(odd.iloc[0])}]}}` in the card."
        )
    return spelt.map(names).to_numpy()


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
        The file is no such JSON, or a box is not square with the side that the card says,
        as happens when corners are taken for x, y, width, height or the other way round.
    """
    rows, listed = _read_coco(annotations)
    labels = rows.set_index("id")["category_id"]
    rows["class"] = _known_labels(labels, card, annotations, "annotation")
    rows = rows[rows["class"].notna()]
    boxes = _four_numbers(rows, annotations)
    side = card["reading"]["box"]
    wrong = np.flatnonzero((np.abs(boxes[:, 2:] - boxes[:, :2] - side) > 1e-6).any(axis=1))
    if len(wrong):
        first = rows.iloc[wrong[0]]
        raise DataError(
            f"{annotations}: annotation {first['id']} has bbox {first['bbox']}, which is not a "
            f"{side:g} x {side:g} px pair of corners [x0, y0, x1, y1] ({len(wrong)} like it). "
            f"Write corners, or set `reading: {{box: ...}}` in the dataset's card."
        )
    cells = pd.DataFrame(
        {
            "image": listed["file_name"].reindex(rows["image_id"]).to_numpy(),
            "x": boxes[:, [0, 2]].mean(axis=1),
            "y": boxes[:, [1, 3]].mean(axis=1),
            "class": rows["class"].to_numpy(),
        }
    )
    if "tumor_type" in listed:
        cells["tumor_type"] = listed["tumor_type"].reindex(rows["image_id"]).to_numpy()
    cells = _renumbered(cells, card["reading"].get("renumber"))
    extra = pd.DataFrame(card["reading"].get("extra", []))
    cells = pd.concat([cells, extra], ignore_index=True)
    return cells.assign(slide=cells["image"])


def _four_numbers(rows: pd.DataFrame, path: Path) -> np.ndarray:
    """Return the boxes of annotations, (n, 4) float."""
    for id_, box in zip(rows["id"], rows["bbox"], strict=True):
        numbers = isinstance(box, list) and all(isinstance(side, int | float) for side in box)
        if not numbers or len(box) != 4 or not all(abs(side) < FARTHEST for side in box):
            raise DataError(
                f"{path}: annotation {id_!r:.80} has bbox {box!r:.200}, which is not four numbers "
                "[x0, y0, x1, y1]. Correct it."
            )
    return np.asarray(rows["bbox"].tolist(), dtype=float).reshape(-1, 4)


def _read_coco(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the annotations and the images, indexed by id, of a COCO-like JSON."""
    try:
        content = json.loads(path.read_text(), object_pairs_hook=_each_key_once)
        rows, listed = (pd.DataFrame(content[key]) for key in ("annotations", "images"))
        used, named = rows[["image_id", "category_id", "bbox", "id"]], listed[["id", "file_name"]]
        for column in (used["id"], used["image_id"], used["category_id"], named["id"]):
            column.map(hash)  # no lists
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path} is not MIDOG's JSON ({type(error).__name__}: {error}); it begins with "
            f"{_begins(path)}. Fetch it again, or correct `annotations:` in the card."
        ) from error
    for what, column in (("an id", listed["id"]), ("a file name", listed["file_name"])):
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
    return rows, listed.set_index("id")


def _each_key_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make an object of JSON; Python would keep the last of equal keys in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} twice")
    return found


def _renumbered(cells: pd.DataFrame, ranges: list[list[int]] | None) -> pd.DataFrame:
    if ranges is None:
        return cells
    old = cells["image"].map(number)
    new = pd.Series(-1, index=cells.index)
    for first, last, shift in ranges:
        new[old.between(first, last)] = old + shift
    suffix = cells["image"].map(lambda name: Path(name).suffix)
    return cells.assign(image=new.map("{:03d}".format) + suffix)[new > 0]


# what sqlite3 and pandas raise on what is no such database; KeyError and others on torn text
UNREADABLE = (sqlite3.Error, pd.errors.DatabaseError, ValueError, TypeError, OverflowError)


def _bound(database: sqlite3.Connection) -> None:
    """Let no view, trigger or text of a foreign database take more than it may."""
    ends = monotonic() + SECONDS
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000_000)  # bytes of a text or a row
    database.set_progress_handler(lambda: monotonic() > ends, 1_000_000)  # steps of its machine
    database.execute("PRAGMA trusted_schema = OFF")


@reader("sliderunner_sqlite")
def read_sliderunner(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read point annotations from a SlideRunner database of either generation, read-only.

    The old generation (CCMCT) has no column `deleted`; the new one has, and deleted
    annotations are left out. Databases of the new generation carry triggers that call
    Python, so the file is opened read-only and only selected from, by column name. Such
    databases hold other classes, too: those that the card does not name are counted aloud.

    Raises
    ------
    DataError
        The file is no SlideRunner database.
    """
    names = _class_names(card)
    try:
        with sqlite3.connect(f"{annotations.resolve().as_uri()}?mode=ro", uri=True) as database:
            _bound(database)
            columns = {row[1] for row in database.execute("PRAGMA table_info(Annotations)")}
            image, x, y, name = (
                f"CASE WHEN length({said}) > {LONGEST} THEN substr({said}, 1, {LONGEST}) "
                f"ELSE {said} END"
                for said in ("s.filename", "c.coordinateX", "c.coordinateY", "a.agreedClass")
            )
            alive = "AND COALESCE(a.deleted, 0) = 0" if "deleted" in columns else ""
            cells = pd.read_sql_query(
                f"""SELECT {image} AS image, {x} AS x, {y} AS y, {name} AS class
                    FROM Annotations a
                    JOIN Annotations_coordinates c ON c.annoId = a.uid
                    JOIN Slides s ON s.uid = a.slide
                    WHERE a.type IN (1, 4) {alive}
                    ORDER BY a.uid LIMIT {ROWS + 1}""",
                database,
            )
        database.close()
        if len(cells) > ROWS:
            raise sqlite3.DataError(f"more than {ROWS:,} cells")
        cells[["x", "y"]] = cells[["x", "y"]].apply(pd.to_numeric, errors="coerce").astype(float)
        cells["class"].map(hash)
    except UNREADABLE as error:
        raise DataError(
            f"{annotations} is no SlideRunner database ({error}); it begins with "
            f"{_begins(annotations)}. Fetch it again, or correct `annotations:` in the card."
        ) from error
    other = cells.loc[~cells["class"].isin(list(names)), "class"]
    if len(other):
        counts = other.value_counts().to_dict()
        print(f"{annotations}: cells of other classes left out: {counts}", file=sys.stderr)
    cells = cells.drop(other.index)
    return cells.assign(**{"class": cells["class"].map(names), "slide": cells["image"]})


@reader("table")
def read_table(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read a CSV with the columns x, y, label, filename, and perhaps slide, domain and others.

    x, y is the centre in level-0 px. Without `slide` each image is its own slide. The
    card's `domains` may ask for any column.

    Raises
    ------
    DataError
        A column is missing, a position is no number, a filename is empty, or a label is
        not one of the card's.
    """
    cells = read_csv(annotations, ["x", "y", "label", "filename"])
    places = cells[["x", "y"]].apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = ~np.isfinite(places).all(axis=1) | (cells["filename"] == "")
    if wrong.any():
        line = cells[wrong].iloc[0]
        raise DataError(
            f"{annotations}, line {line.name}: x {line['x']!r}, y {line['y']!r}, filename "
            f"{line['filename']!r} ({wrong.sum()} such lines). A cell needs two numbers, level-0 "
            "px, and the name of its image."
        )
    named = _known_labels(cells["label"], card, annotations, "line")
    cells = cells.assign(x=places["x"], y=places["y"], image=cells["filename"], **{"class": named})
    cells = cells[cells["class"].notna()].reset_index(drop=True)
    return cells if "slide" in cells else cells.assign(slide=cells["image"])


def read_csv(path: Path, needed: list[str], *, text: bool = False) -> pd.DataFrame:
    """Read a CSV that has these columns, indexed by the line in the file.

    What names cells and images stays text, and with `text` everything. Empty lines are
    left out.
    """
    kinds = str if text else dict.fromkeys([*needed, "slide", "domain"], str)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a line with too many fields
            table = pd.read_csv(
                path,
                dtype=kinds,  # type: ignore[arg-type]
                encoding="utf-8-sig",
                keep_default_na=False,
                index_col=False,
                skip_blank_lines=False,
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} is no CSV ({error}); it begins with {_begins(path)}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8 ({error}). Save it as CSV in UTF-8.") from error
    lacking = sorted(set(needed) - set(table.columns))
    if lacking:
        raise DataError(
            f"{path} has the columns {list(table.columns)} and lacks {lacking}; it begins with "
            f"{_begins(path)}. The first line must name {needed}, with commas between."
        )
    table.index += 2  # the header is line 1
    return table[(table[needed] != "").any(axis=1)]


def _filled(template: str, row: dict[str, str]) -> str:
    """Put the cells of a row into a card's template; `str.format` would obey more than names."""
    return PLACE.sub(lambda place: row[place[1]], template)


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
    asked = PLACE.findall(reading["key"] + reading["slide"])
    needed = sorted({*asked, *([reading["class"]] if "class" in reading else [])})
    table = read_csv(annotations, needed, text=True)
    spelt = [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy()]
    table["key"] = [_filled(reading["key"], row) for row in spelt]
    table["slide"] = [_filled(reading["slide"], row) for row in spelt]
    table["number"] = table["slide"].map(number)
    places = table.reindex(columns=["x", "y"], fill_value="0")
    table[["x", "y"]] = places.apply(pd.to_numeric, errors="coerce").astype(float)
    twice = table[table["key"].duplicated()]
    if len(twice):
        raise DataError(
            f"{annotations}, line {twice.index[0]}: a second row for the image "
            f"{twice['key'].iloc[0]} ({len(twice)} such lines). Keep one."
        )
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
