"""What intervals and tests take as their unit: the slide, or the image where no slide is known."""

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import CardError
from cryotome.study.schemes import Scheme

UNKNOWN = "images, slides not known"
FEW = 10  # cells on as many images say nothing of what the images are
WAY_OUT = (
    "Write `slides: unknown` into the dataset's card, and no slide is reported; `slides: "
    "images` where every image is of another slide; or name the slides: a column `slide` of a "
    "`table`, a metadata CSV with `reading: {key: ..., slide: ...}` of `class_folders`."
)


def is_unknown(card: Card) -> bool:
    """Whether a dataset's card says that the slides of its images are not known."""
    return card.get("slides") == "unknown"


def check_named(card: Card, name: str) -> None:
    """Stop before planning where no file can name slides, and the card does not say so.

    Raises
    ------
    CardError
        `class_folders` without a metadata CSV and without the key `slides`.
    """
    if card["reader"] == "class_folders" and not {"annotations", "slides"} & set(card):
        raise CardError(
            f"Dataset {name!r}: `class_folders` without a metadata CSV name no slide. {WAY_OUT}"
        )


def check_scheme(card: Card, name: str, scheme: str, draw: str) -> None:
    """Stop a scheme that parts slides, or asks what they share, where none is known.

    Parameters
    ----------
    card, name
        Of the dataset.
    draw
        What the card of the scheme draws.

    Raises
    ------
    CardError
        It groups by slide; it is a rung of the ladder, whose common size does so; or it keeps
        pixels apart, and crops without slides have no common coordinates.
    """
    crops = card["reader"] == "class_folders"
    if not is_unknown(card):
        return
    if (
        draw in ("slides", "predefined")
        or Scheme.parse(scheme).matched
        or (crops and draw == "cells_apart")
    ):
        what = "it parts slides, or is a rung of a ladder that does"
        if draw == "cells_apart":
            what = "pixels that crops of one slide share cannot be told"
        raise CardError(
            f"Dataset {name!r}, scheme {scheme!r}: {what}, and the card says `slides: unknown`. "
            "Take the scheme out of the study (`random` asks for no slide), or name the slides in "
            "the dataset's annotations and take `slides: unknown` out of its card."
        )


def noted(table: pd.DataFrame, unknown: list[str]) -> pd.DataFrame:
    """Return a table whose column `note` says of which lines the slides are not known.

    A study that knows all slides keeps its tables as they are.

    Parameters
    ----------
    table
        Has a column `dataset`, and perhaps a `note`.
    unknown
        Datasets whose slides are not known.
    """
    if not unknown:
        return table
    said = table["note"] if "note" in table else pd.Series("", index=table.index)
    before = said.map(lambda note: note if isinstance(note, str) else "").astype(str)
    silent = ~before.str.contains(UNKNOWN, regex=False)
    told = UNKNOWN + before.map(lambda note: f"; {note}" if note else "")
    of_images = table["dataset"].isin(unknown)
    return table.assign(note=before.where(~(of_images & silent), told))
