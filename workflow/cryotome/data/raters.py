"""Raters: the vote of every rater on every cell, in columns that a dataset's card names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.names import canonical_label, to_nfc

VOTE = "vote "  # and the rater's name: a column of votes in the table of cells


def rater_names(card: Card) -> dict[str, str]:
    """Return each column of votes in the annotation file with the name of its rater.

    >>> rater_names({"raters": ["first", "second"]})
    {'first': 'first', 'second': 'second'}
    """
    raters = card.get("raters", [])
    pairs = raters.items() if isinstance(raters, dict) else zip(raters, raters, strict=True)
    return {to_nfc(column): to_nfc(name) for column, name in pairs}


def vote_columns(cells: pd.DataFrame) -> list[str]:
    """Return the columns of votes in a table of cells; none where its card names no raters."""
    return [str(name) for name in cells if str(name).startswith(VOTE)]


def votes_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the votes (n, raters) of a table of cells, labels as int, a column per rater."""
    return cells[vote_columns(cells)].rename(columns=lambda name: name.removeprefix(VOTE))


def share_of_votes(cells: pd.DataFrame) -> np.ndarray:
    """Return the share of votes for the second of two classes, (n,) float64."""
    return votes_of(cells).to_numpy(float).mean(axis=1)


def add_votes(
    table: pd.DataFrame, card: Card, classes: Mapping[str, str], path: Path
) -> pd.DataFrame:
    """Add the class name that each rater votes for, in a column per rater.

    Parameters
    ----------
    table
        Lines of an annotation file that were read, by their place in it.
    classes
        Value in the file to the class name of the card.

    Raises
    ------
    DataError
        A column of the card's `raters` is missing, two have one name, or a value is no class.
    """
    names = rater_names(card)
    if len({*names.values()}) < len(names):
        raise DataError(
            f"`raters:` of the card give two columns one name: {names}. Name each rater once."
        )
    known = {canonical_label(value): name for value, name in classes.items()}
    found = {}
    for column, name in names.items():
        if column not in table:
            raise DataError(
                f"{path} has no column {column!r}, which `raters:` of the card names. It has "
                f"{[str(one) for one in table]}."
            )
        votes = table[column].map(canonical_label).map(known)
        odd = table[column][votes.isna()]
        if len(odd):
            raise DataError(
                f"{path}, line {odd.index[0]}: the vote {odd.iloc[0]!r} in column {column!r} is no "
                f"class ({len(odd)} such votes); the card knows {list(classes)}. Every rater votes "
                "on every cell: correct the file, or leave the column out of `raters:`."
            )
        found[f"{VOTE}{name}"] = votes
    return table.assign(**found)


def check_majority(cells: pd.DataFrame, name: str) -> None:
    """Check that no label is contradicted by the majority of the votes; a tie fits any label.

    Parameters
    ----------
    cells
        With label and votes as int, by their order in the annotation file.

    Raises
    ------
    DataError
        Some are.
    """
    votes = votes_of(cells).to_numpy()
    if not votes.size:
        return
    own = (votes == cells["label"].to_numpy()[:, None]).sum(axis=1)
    others = [np.where(cells["label"] == label, 0, (votes == label).sum(axis=1))
              for label in np.unique(votes)]  # fmt: skip
    wrong = cells[np.max(others, axis=0) > own]
    if len(wrong):
        first = wrong.iloc[0]
        raise DataError(
            f"Dataset {name!r}: most raters contradict the label of {len(wrong)} of {len(cells)} "
            f"cells, first the one in {first['image']} at ({first['x']:g}, {first['y']:g}). Check "
            "the columns of `raters:` in the card, or correct the file."
        )
