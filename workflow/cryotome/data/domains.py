"""Domains and scanners of cells, by the conditions in the dataset's card."""

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import DataError
from cryotome.data.names import canonical_label, first_number, to_nfc
from cryotome.study.scanners import NOT_PARTED
from cryotome.study.schemes import SCANNER, Scheme


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


def put_scanners(cells: pd.DataFrame, scanners: Card) -> pd.Series:
    """Return what stands in place of each cell's domain in schemes by scanner: `scanner_{name}`.

    Empty where no scanner is known.

    Parameters
    ----------
    scanners
        The `scanners` of the dataset's card.

    Raises
    ------
    DataError
        Fewer than two scanners have cells, or each scanner is one domain.
    """
    found = assign_scanners(cells, {"scanners": scanners})
    pairs = pd.DataFrame({"scanner": found, "domain": cells["domain"]})[found != ""]
    pairs = pairs.drop_duplicates()
    if pairs["scanner"].nunique() < 2:
        why = f"fewer than two of {list(scanners)} have cells"
    elif pairs["scanner"].is_unique and pairs["domain"].is_unique:
        why = f"each of {sorted(pairs['scanner'])} is one domain"
    else:
        return found.where(found == "", SCANNER + found)
    raise DataError(
        f"Of {len(cells):,} cells, {why}: {NOT_PARTED}. Correct `scanners:` in the dataset's card, "
        "or leave the schemes by scanner out of the study."
    )


def cells_of_scheme(cells: pd.DataFrame, scheme: str, scanners: Card) -> pd.DataFrame:
    """Return the cells that a scheme splits, with the groups that it knows as `domain`.

    These are all cells and their domains, but for schemes by scanner: there they are the cells
    whose scanner is known, renumbered from row 0, and their scanners.

    Raises
    ------
    DataError
        As `put_scanners`.
    """
    if not Scheme.parse(scheme).is_by_scanner:
        return cells
    cells = cells.assign(domain=put_scanners(cells, scanners))
    return cells[cells["domain"] != ""].reset_index(drop=True)
