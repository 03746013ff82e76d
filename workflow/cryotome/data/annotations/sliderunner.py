"""SlideRunner databases, old and new generation, read without writing beside them."""

import errno
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.annotations.class_names import Classes, match_classes
from cryotome.data.file_signatures import describe_start
from cryotome.data.names import to_nfc
from cryotome.data.reading_report import report_by_reason

MAX_ROWS = 5_000_000  # of a table, more than twenty times those of the largest dataset
MAX_SECONDS = 120  # for reading a database
MAX_TEXT = 300  # characters of a text that are read; longer than any file name

KINDS = {1: "spot", 2: "rectangle", 3: "polygon", 4: "spot", 5: "circle"}  # by Annotations.type
MIN_POSITIONS = {"spot": 1, "rectangle": 2, "polygon": 2, "circle": 1}  # that give a centre

# raised by sqlite3 and pandas on files that are no such database, and on damaged text
UNREADABLE = (sqlite3.Error, ValueError, TypeError, OverflowError)
DISK_ERRORS = tuple(f"SQLITE_{what}" for what in ("BUSY", "CANTOPEN", "FULL", "IOERR_READ", "PERM"))
JOURNAL_SUFFIXES = ("-wal", "-journal")  # of files that hold changes of the last writer


def read_sliderunner(annotations: Path, images: Path, card: Card) -> pd.DataFrame:
    """Read annotations from a SlideRunner database of either generation, read-only.

    The old generation (CCMCT) has no column `deleted`. Databases of the new generation have
    triggers that call Python, so only SELECT is used, by column name. Points are read, and other
    kinds that the card's `kinds` lists, at the centre of their bounding box. Cells are in the
    order of `uid`; annotations that are passed over are counted by reason.

    If two slides share a file name, slides are named with their directory. `width` and `height`
    are those of `Slides`, level-0 px, NaN if absent.

    Raises
    ------
    DataError
        The file is no SlideRunner database, its `Classes` contradict the card, or two of its
        slides cannot be distinguished.
    OSError
        The disk or the file system fails.
    """
    try:
        found, points, slides, listed = _read_tables(annotations)
    except UNREADABLE as error:
        if str(getattr(error, "sqlite_errorname", "")).startswith(DISK_ERRORS):
            raise OSError(errno.EIO, f"SQLite: {error}", str(annotations)) from error
        raise DataError(
            f"{annotations} is no SlideRunner database ({error}); it begins with "
            f"{describe_start(annotations)}. Fetch it again, or correct `annotations:` in the card."
        ) from error
    pairs = list(listed.dropna(subset="name").itertuples(index=False, name=None))
    classes = match_classes(card, pairs, annotations, "`Classes`")
    found = found.merge(points, how="left", left_on="uid", right_index=True)
    found["image"] = found["slide"].map(_slide_paths(slides, found["slide"], annotations))
    for side in ("width", "height"):
        found[side] = found["slide"].map(slides.set_index("uid")[side])
    kinds = card.get("reading", {}).get("kinds", ["spot"])
    reason = _skip_reasons(found, slides, dict(pairs), classes, kinds)
    report_by_reason(annotations, reason)
    cells = found[reason == ""].reset_index(drop=True)
    named = _ids_as_text(cells["class"]).map(classes.names)
    return cells.assign(**{"class": named, "slide": cells["image"]})


def _ids_as_text(labels: pd.Series) -> pd.Series:
    """Return ids as text; integers in a column with NULL are floats."""
    return labels.map(lambda id_: str(int(id_)) if isinstance(id_, float) else str(id_))


def _skip_reasons(
    found: pd.DataFrame,
    slides: pd.DataFrame,
    listed: dict[object, object],
    classes: Classes,
    kinds: list[str],
) -> pd.Series:
    """Return why each annotation is passed over, empty for those that are read."""
    reason = pd.Series("", index=found.index)
    kind = found["type"].map(KINDS)
    others = "of type " + found["type"].astype(str)
    kind_named = (kind + "s").fillna(others)
    label = found["class"]
    known = {id_: f" ({name})" for id_, name in listed.items()}
    of_class = label.map(lambda id_: f"of class {id_}{known.get(id_, '')}")
    count, spread = found["positions"].fillna(0), found["spread"].fillna(0)
    for mask, why in (
        (pd.to_numeric(found["deleted"], errors="coerce").fillna(0) != 0, "deleted"),
        (~found["slide"].isin(slides["uid"]), "on slides that `Slides` does not list"),
        (label.isna(), "without a class"),
        (~_ids_as_text(label.fillna("")).isin(list(classes.names)), of_class),
        (~kind.isin(kinds), kind_named + " (not in `kinds`)"),
        (count == 0, "without coordinates"),
        (count < kind.map(MIN_POSITIONS), kind_named + " of one corner"),
        ((kind == "spot") & (count > 1) & (spread > 0), "spots with several positions"),
    ):
        reason = reason.where(~(mask & (reason == "")), why)
    return reason


@contextmanager
def _open_readonly(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database without locks or files beside it, also on a read-only disk.

    If a writer left a `-wal` or `-journal` file, which is part of the database, both are copied
    to a temporary folder and opened there.

    Raises
    ------
    DataError
        The database changes while it is read.
    """
    path = path.resolve()
    beside = [path.with_name(path.name + end) for end in JOURNAL_SUFFIXES]
    beside = [file for file in beside if file.exists() and file.stat().st_size]
    before = _file_versions([path, *beside])
    with TemporaryDirectory(prefix="cryotome-") as folder:
        address = f"{path.as_uri()}?mode=ro&immutable=1"
        if beside:
            for file in (path, *beside):
                shutil.copyfile(file, Path(folder, file.name))
            address = f"{Path(folder, path.name).as_uri()}?mode=rw"
            names = " and ".join(file.name for file in beside)
            print(f"{path}: {names} beside it is read, too", file=sys.stderr)
        with closing(sqlite3.connect(address, uri=True)) as database:
            _limit_resources(database)
            yield database
    if _file_versions([path, *beside]) != before:
        raise DataError(f"{path} changed while it was read. Close SlideRunner, and run again.")


def _file_versions(files: list[Path]) -> list[tuple[int, int]]:
    return [(file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()]


def _limit_resources(database: sqlite3.Connection) -> None:
    """Limit the time and memory that views, triggers and texts of the database may use."""
    ends = monotonic() + MAX_SECONDS
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000_000)  # bytes of a text or a row
    database.set_progress_handler(
        lambda: monotonic() > ends, 1_000_000
    )  # steps of SQLite's virtual machine
    database.execute("PRAGMA trusted_schema = OFF")


def _select(
    database: sqlite3.Connection, table: str, needed: list[str], *, else_null: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return columns of a table; absent columns of `else_null` are NULL."""
    there = {str(row[1]).lower() for row in database.execute(f"PRAGMA table_info({table})")}
    spelt = [name if name.lower() in there else f"NULL AS {name}" for name in else_null]
    order = "ORDER BY uid" if "uid" in there else ""
    short = [
        f"CASE WHEN length({name}) > {MAX_TEXT} THEN substr({name}, 1, {MAX_TEXT}) ELSE {name} END"
        for name in needed
    ]
    rows = database.execute(
        f"SELECT {', '.join([*short, *spelt])} FROM {table} {order} LIMIT {MAX_ROWS + 1}"
    ).fetchall()
    if len(rows) > MAX_ROWS:
        raise sqlite3.DataError(f"more than {MAX_ROWS:,} rows in {table}")
    return pd.DataFrame(rows, columns=[*needed, *else_null], dtype=object)


def _read_tables(path: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read annotations, the bounding box of each by its uid, slides, and classes."""
    with _open_readonly(path) as database:
        there = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
        needed = ["uid", "slide", "type", "agreedClass"]
        found = _select(database, "Annotations", needed, else_null=("deleted",))
        points = _select(
            database, "Annotations_coordinates", ["annoId", "coordinateX", "coordinateY"]
        )
        size = ("directory", "width", "height")
        slides = _select(database, "Slides", ["uid", "filename"], else_null=size)
        listed = pd.DataFrame(columns=["uid", "name"])
        if "Classes" in there:
            listed = _select(database, "Classes", ["uid", "name"])
    for table, name in ((found, "Annotations"), (slides, "Slides")):
        if table["uid"].duplicated().any():
            twice = table["uid"][table["uid"].duplicated()].iloc[0]
            raise sqlite3.DataError(f"the uid {twice!r} twice in {name}")
    sides = ["width", "height"]
    slides[sides] = slides[sides].apply(pd.to_numeric, errors="coerce").astype(float)
    found = found.rename(columns={"agreedClass": "class"})
    found["type"] = pd.to_numeric(found["type"], errors="coerce").astype("Int64")
    return found, _bounding_boxes(points), slides, listed


def _bounding_boxes(points: pd.DataFrame) -> pd.DataFrame:
    """Return centre `x`, `y` and `spread`, px, and number of `positions` by annotation.

    A centre is NaN if a position is not a number.
    """
    by = points["annoId"]
    places = points[["coordinateX", "coordinateY"]].apply(pd.to_numeric, errors="coerce")
    places = places.astype(float).set_axis(["x", "y"], axis=1)
    low, high = places.groupby(by).min(), places.groupby(by).max()
    count, numbers = by.groupby(by).size(), places.groupby(by).count()
    centre = ((low + high) / 2).where(numbers.eq(count, axis=0), np.nan)
    return centre.assign(spread=(high - low).max(axis=1), positions=count)


def _slide_paths(slides: pd.DataFrame, used: pd.Series, path: Path) -> dict[object, object]:
    """Return the path below the image folder of each slide, by its uid.

    Directories may be of another machine: the common beginning of absolute ones is removed.

    Raises
    ------
    DataError
        Two slides with annotations have the same name.
    """
    names = slides["filename"].map(lambda name: name if name is None else str(name))
    folders = slides["directory"].map(_parts)
    spelt = names.map(to_nfc, na_action="ignore")
    annotated = slides["uid"].isin(used)
    several = pd.DataFrame({"name": spelt, "folder": folders}).groupby("name")["folder"].nunique()
    if spelt[annotated].dropna().duplicated().any() or (several > 1).any():
        folders = _without_common_head(folders)
        names = pd.Series(
            [
                name if name is None else str(PurePosixPath(*folder, name))
                for name, folder in zip(names, folders, strict=True)
            ],
            index=slides.index,
        )
        spelt = names.map(to_nfc, na_action="ignore")
    twice = slides[annotated & spelt.isin(spelt[annotated][spelt[annotated].duplicated()].dropna())]
    if len(twice):
        (one, other), (here, there) = twice["uid"].iloc[:2], twice["directory"].iloc[:2]
        raise DataError(
            f"{path}: `Slides` lists {twice['filename'].iloc[0]!r} twice, uid {one} in directory "
            f"{here!r} and uid {other} in {there!r}, and both have annotations. A file name alone "
            "names no slide: give each the directory below `images:` that its file lies in."
        )
    return dict(zip(slides["uid"], names, strict=True))


def _parts(directory: object) -> tuple[str, ...]:
    r"""Return the parts of a directory path of any operating system.

    >>> _parts("C:\\scans\\caseA"), _parts("/scans/caseA"), _parts("./caseA"), _parts(None)
    (('C:', 'scans', 'caseA'), ('/', 'scans', 'caseA'), ('caseA',), ())
    """
    return PurePosixPath(to_nfc(str(directory or "")).replace("\\", "/")).parts


def _without_common_head(folders: pd.Series) -> pd.Series:
    """Return directories without the common beginning of the absolute ones."""
    far = folders.map(lambda parts: bool(parts) and (parts[0][0] == "/" or ":" in parts[0]))
    heads = list(zip(*folders[far], strict=False))
    common = next((n for n, part in enumerate(heads) if len(set(part)) > 1), len(heads))
    return folders.where(~far, folders.map(lambda parts: parts[common:]))
