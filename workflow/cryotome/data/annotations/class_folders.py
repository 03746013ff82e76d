"""Class folders: one folder of images per class, one cell per image, optional metadata CSV."""

import os
import re
from collections import Counter
from pathlib import Path, PurePosixPath

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.annotations.class_names import match_classes
from cryotome.data.annotations.table import read_csv
from cryotome.data.image_files import folder_below, visible_files, walk_files
from cryotome.data.names import FLAT_SUFFIXES, canonical_label, first_number, slide_name, to_nfc
from cryotome.data.raters import add_votes
from cryotome.data.reading_report import report_reading

COLUMN_FIELD = re.compile(r"{([^{}]+)}")  # `{column}` in a card's template
MAX_NAMED = 20  # images that a report lists


def read_class_folders(annotations: Path | None, images: Path, card: Card) -> pd.DataFrame:
    """Read images from one folder per class, subfolders included, one cell per image.

    A metadata CSV, if the card has one, gives slide, position (columns `x`, `y`) and any columns
    that the domains use; cells are in its order. Its key names an image with or without suffix,
    and with or without its folders. Without a CSV no slide is known and the position is (0, 0);
    patches are always cut at the centre of the crop.

    Raises
    ------
    DataError
        A class folder is missing or empty, a key matches several images, or folder and
        metadata disagree.
    """
    cells, passed_over = _list_images(images, card)
    report_reading(images, read=len(cells), passed_over=passed_over, unit="files")
    if annotations is None:
        return cells.assign(x=0.0, y=0.0, **{"class": cells["named"]})
    table = read_metadata(annotations, card["reading"])
    merged = _join_metadata(cells, table, annotations)
    absent = table.loc[~table.index.isin(merged["line"]), "key"]
    passed = {f"without an image ({_first(absent)})": len(absent)}
    merged, others = _chosen(merged, card["reading"].get("only", {}), annotations)
    report_reading(annotations, read=len(merged), passed_over=passed | others, unit="rows")
    if "class" in card["reading"]:
        _check_folders(merged, card["reading"], annotations)
        merged = _with_votes(merged, card, annotations) if "raters" in card else merged
    return merged.assign(**{"class": merged["named"]})


def _with_votes(merged: pd.DataFrame, card: Card, annotations: Path) -> pd.DataFrame:
    """Add the votes of the card's `raters`, with the values of the labels' column."""
    names = dict(zip(merged["folder"], merged["named"], strict=True))
    values = card["reading"]["expected_values"].items()
    classes = {str(value): names[folder] for folder, value in values if folder in names}
    voted = add_votes(merged.set_index("line"), card, classes, annotations)
    return voted.reset_index()


def _first(names: pd.Series) -> str:
    return ", ".join(names.iloc[:MAX_NAMED]) + ", …" * (len(names) > MAX_NAMED)


def _list_images(images: Path, card: Card) -> tuple[pd.DataFrame, dict[str, int]]:
    """List the images of each class, and count other files below `images` by reason."""
    folders = match_classes(card, [], images, "the folder's name").names
    rows, passed_over, known = [], Counter[str](), dict[str, str]()
    at = {folder: folder_below(images, folder) for folder in folders}
    ours = {folder: f"{path.relative_to(images).as_posix()}/" for folder, path in at.items()}
    for folder, name in folders.items():
        inner = tuple(o for o in ours.values() if o.startswith(ours[folder]) and o != ours[folder])
        below = [p.relative_to(images).as_posix() for p in visible_files(at[folder])]
        below = [p for p in below if not p.startswith(inner)]
        found = [path for path in below if Path(path).suffix.lower() in FLAT_SUFFIXES]
        passed_over.update(_suffix(path) for path in below if path not in set(found))
        once, again = _without_duplicates(images, found)
        passed_over.update(again)
        if not once:
            raise DataError(f"{images / folder} holds no images of class {name!r}.")
        both = next((image for image, file in once.items() if file in known), None)
        if both:
            raise DataError(
                f"{images / both} and {images / known[once[both]]} are one file, by a link, in the "
                "folders of two classes. Remove the wrong one."
            )
        known |= {file: image for image, file in once.items()}
        rows += [(path, name, folder) for path in found if path in once]
    for file in walk_files(images):
        path = file.relative_to(images).as_posix()
        if file.name[0] == ".":
            passed_over["hidden"] += 1
        elif Path(path).suffix.lower() in FLAT_SUFFIXES and not path.startswith(
            tuple(ours.values())
        ):
            top = path.split("/")[0] if "/" in path else "no folder"
            passed_over[f"images in {top}, which `classes` does not name"] += 1
    return pd.DataFrame(rows, columns=["image", "named", "folder"]), dict(passed_over)


def _without_duplicates(images: Path, found: list[str]) -> tuple[dict[str, str], Counter[str]]:
    """Return image to resolved file, each file once, and count the other images.

    A file is preferred to links to it; of links alone, the first is taken.
    """
    passed_over, once = Counter[str](), dict[str, str]()
    folders = {path.parent: os.path.realpath(path.parent) for path in map(images.joinpath, found)}
    for path in sorted(found, key=lambda path: (images / path).is_symlink()):
        at = images / path
        linked = at.is_symlink()
        file = os.path.realpath(at) if linked else f"{folders[at.parent]}/{at.name}"
        if linked and not at.exists():
            passed_over["links to nothing"] += 1
        elif file in once:
            passed_over["links to images found before"] += 1
        else:
            once[file] = path
    return {path: file for file, path in once.items()}, passed_over


def _suffix(path: str) -> str:
    return f"{Path(path).suffix or 'without a suffix'} (no image)"


def _fill_template(template: str, row: dict[str, str]) -> str:
    """Fill a row's values into a card's template; `str.format` would allow more than names."""
    return COLUMN_FIELD.sub(lambda place: row[to_nfc(place[1])], template)


def read_metadata(path: Path, reading: Card) -> pd.DataFrame:
    """Read a CSV whose rows name images; add columns key, x, y, and of `reading` slide, number.

    Parameters
    ----------
    reading
        `image_pattern`, and optionally `slide`: templates over the columns of the CSV.

    Raises
    ------
    DataError
        A column is missing, or two rows have the same key.
    """
    asked = COLUMN_FIELD.findall(reading["image_pattern"] + reading.get("slide", ""))
    needed = sorted({*asked, *([reading["class"]] if "class" in reading else [])})
    table = read_csv(path, needed, text=True)
    spelt = [dict(zip(table.columns, row, strict=True)) for row in table.to_numpy()]
    keys = [to_nfc(_fill_template(reading["image_pattern"], row)) for row in spelt]
    table["key"] = [key.replace("\\", "/").removeprefix("./") for key in keys]
    table = table.drop(columns="slide", errors="ignore")
    if "slide" in reading:
        table["slide"] = [to_nfc(_fill_template(reading["slide"], row)) for row in spelt]
        table["number"] = table["slide"].map(first_number)
    places = table.reindex(columns=["x", "y"], fill_value="0")
    table[["x", "y"]] = places.apply(pd.to_numeric, errors="coerce").astype(float)
    twice = table[table["key"].duplicated()]
    if len(twice):
        raise DataError(
            f"{path}, line {twice.index[0]}: a second row for the image "
            f"{twice['key'].iloc[0]} ({len(twice)} such lines). Keep one."
        )
    return table.drop(columns=["image", "folder", "named", "line"], errors="ignore")


def possible_keys(image: str) -> list[str]:
    """Return the keys that may name an image, the most exact first.

    >>> possible_keys("Normal/a/1.png")
    ['Normal/a/1.png', 'Normal/a/1', 'a/1.png', 'a/1', '1.png', '1']
    """
    parts = to_nfc(image).split("/")
    ends = ["/".join(parts[n:]) for n in range(len(parts))]
    return [way for end in ends for way in (end, slide_name(end))]


def _lower_suffix(name: str) -> str:
    """Return a name with its suffix in lower case: the key `1.png` may name `1.PNG`."""
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) + suffix.lower()


def _join_metadata(cells: pd.DataFrame, table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Join each image with its row of the metadata, in the order of the rows.

    Raises
    ------
    DataError
        An image has no row or two rows, or a row has two images.
    """
    line = pd.Series(table.index, index=table["key"])
    of_image, other = {}, dict[str, str]()
    lower: dict[str, list[str]] = {}
    for key in line.index:
        lower.setdefault(_lower_suffix(key), []).append(key)
    for image in cells["image"]:
        ways = possible_keys(image)
        keys = [way for way in ways if way in line.index]
        keys = keys or [key for way in map(_lower_suffix, ways) for key in lower.get(way, [])]
        of_image[image] = line[keys[0]] if keys else None
        other |= dict.fromkeys(keys, image)
    used = set(of_image.values())
    unused = [key for key in other if line[key] not in used]
    if unused:
        raise DataError(
            f"{path}, line {line[unused[0]]}: the key {unused[0]!r} names the image "
            f"{other[unused[0]]}, which has another row. Keep one."
        )
    lost = [image for image, at in of_image.items() if at is None]
    if lost:
        raise DataError(f"{path} has no row for {len(lost)} images, first {lost[0]}.")
    cells = cells.assign(line=cells["image"].map(of_image))
    twice = cells["line"][cells["line"].duplicated()]
    if len(twice):
        at = int(twice.iloc[0])
        same = cells.loc[cells["line"] == at, "image"]
        raise DataError(
            f"{path}, line {at}: the key {table.loc[at, 'key']!r} names {len(same)} images, "
            f"{same.iloc[0]} and {same.iloc[1]}. Write suffix or folder into it, or rename one."
        )
    merged = cells.merge(table, left_on="line", right_index=True, validate="one_to_one")
    return merged.sort_values("line", kind="stable", ignore_index=True)


def _chosen(
    merged: pd.DataFrame, only: dict[str, list[str]], path: Path
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Return the rows whose columns have one of the wanted values, and count the others.

    Raises
    ------
    DataError
        There is no such column, or no row has a wanted value.
    """
    others = {}
    for column, wanted in only.items():
        if column not in merged:
            raise DataError(
                f"{path} has no column {column!r}, which `reading.only` of the card names."
            )
        right = merged[column].astype(str).isin(wanted)
        if not right.any():
            has = sorted(set(merged[column].astype(str)))
            raise DataError(
                f"{path}: no row has {column!r} {' or '.join(wanted)}, as `reading.only` of the "
                f"card asks. Its values: {', '.join(has[:MAX_NAMED])}."
            )
        others[f"{column!r} not {' or '.join(wanted)}"] = int((~right).sum())
        merged = merged[right].reset_index(drop=True)
    return merged, others


def _check_folders(merged: pd.DataFrame, reading: Card, path: Path) -> None:
    due = {
        canonical_label(folder): canonical_label(value)
        for folder, value in reading["expected_values"].items()
    }
    said = merged[to_nfc(reading["class"])].map(canonical_label)
    wrong = merged.loc[said != merged["folder"].map(canonical_label).map(due), "image"].tolist()
    if wrong:
        raise DataError(
            f"{path}: column {reading['class']!r} contradicts the folder of "
            f"{len(wrong)} images, first {wrong[0]}. One of the two is wrong."
        )
