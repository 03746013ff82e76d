"""Predefined splits: one dataset trains and another tests, or a list names the training cells."""

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError, DataError
from cryotome.core.qualified_names import qualify
from cryotome.data.annotations.class_folders import possible_keys, read_metadata

Sets = dict[str, Path]  # dataset to file, the training set first


def class_names(cards: dict[str, Card]) -> list[str]:
    """Return the names of the classes that two datasets share, in label order.

    Raises
    ------
    CardError
        The two datasets do not have the same classes in the same order.
    """
    (train, learns), (test, tests) = (
        (dataset, [entry["name"] for entry in card["classes"]]) for dataset, card in cards.items()
    )
    if learns != tests:
        raise CardError(
            f"Dataset {test!r} has the classes {tests}, and {train!r}, on which heads are "
            f"fitted, {learns}. Name the same classes in the same order in both cards."
        )
    return learns


def assign_roles(cells: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the role of every cell of two datasets, of which the first trains.

    Returns
    -------
    data frame with columns id, role
    """
    (train, learns), (test, tests) = cells.items()
    ids = qualify(train, learns["id"]), qualify(test, tests["id"])
    roles = np.repeat(["train", "test"], [len(learns), len(tests)])
    return pd.DataFrame({"id": np.concatenate(ids), "role": roles})


def mark_listed(cells: pd.DataFrame, lists: list[Path], card: Card) -> pd.DataFrame:
    """Add the column `listed`: the slide by which a list of training cells names each cell.

    Parameters
    ----------
    cells
        Columns image, slide, label.
    lists
        A CSV with a line for each image whose cells train; without, `cells` stays as it is.
    card
        Of the scheme; `predefined` is that of the dataset's card.

    Returns
    -------
    data frame
        `listed` is empty for cells that the list does not name: these are tested.

    Raises
    ------
    DataError
        A line names no image or several, an image is named twice, a class is left without
        training or test cells, or the list gives the cells of one slide to two.
    """
    if not lists:
        return cells
    path, reading = lists[0], card["predefined"]
    table = read_metadata(path, reading)
    images = pd.Series(_match_images(cells["image"], table["key"], path))
    trains = cells["image"].isin(images)
    for what, side in (("train", trains), ("test", ~trains)):
        if cells.loc[side, "label"].nunique() < cells["label"].nunique():
            raise DataError(
                f"{path} lists {trains.sum():,} of {len(cells):,} cells, so that those to {what} "
                "are not of every class. It must name the training cells alone."
            )
    slides = cells["slide"]
    if "slide" in reading:
        slides = cells["image"].map(dict(zip(images, table["slide"], strict=True)))
    listed = slides.where(trains, "")
    names = listed[trains].groupby(cells["slide"]).nunique()
    if len(parted := names[names > 1]):
        raise DataError(
            f"{path} names the cells of slide {parted.index[0]!r} by {parted.iloc[0]} slides, so "
            "that folds would part it. Correct `slide` of `predefined` in the dataset's card."
        )
    return cells.assign(listed=listed)


def _match_images(images: pd.Series, keys: pd.Series, path: Path) -> list[str]:
    """Return the image of each key; the index of `keys` is the line in the file."""
    known = defaultdict(set)
    for image in images.unique():
        for way in possible_keys(image):
            known[way].add(image)
    counts = keys.map(lambda key: len(known.get(key, ())))
    if len(wrong := keys[counts != 1]):
        some = f"{counts[wrong.index[0]]} images" if counts[wrong.index[0]] else "no image"
        raise DataError(
            f"{path}, line {wrong.index[0]}: {wrong.iloc[0]!r} names {some} of the dataset "
            f"({len(wrong)} such lines). Correct the line, or `image_pattern` of `predefined` in "
            "the dataset's card."
        )
    found = pd.Series([next(iter(known[key])) for key in keys], index=keys.index)
    if len(twice := found[found.duplicated()]):
        raise DataError(
            f"{path}, line {twice.index[0]}: the image {twice.iloc[0]} was named by an earlier "
            f"line ({len(twice)} such lines). Keep one."
        )
    return found.tolist()


def describe_listed(cells: pd.DataFrame) -> Card:
    """Count listed and tested cells, their slides, and the slides that lie on both sides.

    Such slides are also said on stderr: what is tested there was seen in training. Nothing
    where no list was read.
    """
    if "listed" not in cells:
        return {}
    trains = cells["listed"] != ""
    listed, tested = (set(cells.loc[side, "slide"]) for side in (trains, ~trains))
    both = sorted(listed & tested)
    if both:
        print(
            f"{len(both)} slides have listed and tested cells, first {both[0]}: their test cells "
            "are not independent of training.",
            file=sys.stderr,
        )
    counts = {"listed_cells": int(trains.sum()), "listed_slides": len(listed)}
    return counts | {"tested_slides": len(tested), "slides_on_both_sides": len(both)}
