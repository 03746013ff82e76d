"""Domains and scanners of cells, by the conditions in the dataset's card."""

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.names import canonical_label, first_number, to_nfc


def _matches(cells: pd.DataFrame, name: str, where: Card, key: str = "domains") -> pd.Series:
    fits = pd.Series(True, index=cells.index)
    for said, wanted in where.items():
        column = to_nfc(said)
        if column not in cells:
            source = "the reader gives" if key == "domains" else "the table of cells has"
            raise DataError(
                f"{key[:-1].capitalize()} {name!r} asks for column {column!r}; {source} "
                f"{sorted(cells.columns)}. Correct `{key}:` in the dataset's card."
            )
        if isinstance(wanted, list):
            fits &= pd.to_numeric(cells[column], errors="coerce").between(*wanted)
        else:
            found = cells[column].astype(str)
            means = {value: canonical_label(value) for value in found.unique()}
            fits &= found.map(means) == canonical_label(wanted)
    return fits


def assign_domains(cells: pd.DataFrame, card: Card) -> pd.Series:
    """Return the domain of each cell, by the conditions in the card.

    Raises
    ------
    DataError
        A cell matches no domain, or more than one.
    """
    if "number" not in cells:
        cells = cells.assign(number=cells["image"].map(first_number))
    fits = pd.DataFrame(
        {
            domain: _matches(cells, domain, entry["where"])
            for domain, entry in card["domains"].items()
        }
    )
    wrong = fits.sum(axis=1) != 1
    if wrong.any():
        first = cells[wrong].iloc[0]
        raise DataError(
            f"{wrong.sum()} cells match no domain or more than one, first the one in "
            f"{first['image']} at ({first['x']:g}, {first['y']:g}). Correct `domains:` in the "
            "dataset's card; put text such as 01 in quotes there."
        )
    return fits.idxmax(axis=1)


def assign_scanners(cells: pd.DataFrame, card: Card) -> pd.Series:
    """Return the scanner of each cell, by the card's `scanners`; empty where none matches.

    Parameters
    ----------
    cells
        A table of cells; `number` is the first number in an image's name.

    Raises
    ------
    DataError
        A cell matches several scanners, or a condition names an unknown column.
    """
    cells = cells.assign(number=cells["image"].map(first_number))
    found = pd.Series("", index=cells.index)
    for scanner, entry in card.get("scanners", {}).items():
        said = entry["where"]
        ways = said if isinstance(said, list) else [said]
        fits = np.any([_matches(cells, scanner, where, "scanners") for where in ways], axis=0)
        if (fits & (found != "")).any():
            twice = cells[fits & (found != "")].iloc[0]
            raise DataError(
                f"Image {twice['image']} fits scanner {scanner!r} and another. Correct "
                "`scanners:` in the dataset's card."
            )
        found[fits] = scanner
    return found
