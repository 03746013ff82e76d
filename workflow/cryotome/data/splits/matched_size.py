"""Matched training size: the largest that all schemes of the leakage ladder can have."""

from dataclasses import dataclass

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError
from cryotome.data.splits.cells import draw_split
from cryotome.study.schemes import FOLDS


@dataclass(frozen=True)
class MatchedSize:
    """The largest training size that all schemes of a dataset's leakage ladder can have.

    Attributes
    ----------
    cells
        The smallest number of training cells of any scheme and fold.
    set_by
        First scheme and fold with that number.
    smallest
        Scheme to its smallest number over the folds.
    left_out
        Scheme to the reason why it cannot be drawn on this dataset.
    """

    cells: int
    set_by: tuple[str, int]
    smallest: dict[str, int]
    left_out: dict[str, str]


def matched_size(
    cells: pd.DataFrame, ladder: dict[str, Card], windows: pd.DataFrame | None
) -> MatchedSize:
    """Return the largest training size that every scheme has in each of five folds.

    Parameters
    ----------
    ladder
        Scheme to its card; schemes that cannot be drawn are left out and listed.

    Raises
    ------
    SplitError
        No scheme can be drawn.
    """
    sizes: dict[tuple[str, int], int] = {}
    left_out: dict[str, str] = {}
    for scheme, card in ladder.items():
        how: Card = {"scheme": scheme, "fraction": "1.0", "windows": windows}
        try:
            for fold in range(FOLDS):
                roles = draw_split(cells, card, fold=fold, **how).roles["role"]
                sizes[scheme, fold] = int((roles == "train").sum())
        except SplitError as error:
            left_out[scheme] = str(error)
    sizes = {key: count for key, count in sizes.items() if key[0] not in left_out}
    if not sizes:
        raise SplitError(f"No scheme of the leakage ladder can be drawn: {left_out}.")
    smallest = {name: min(v for (one, _), v in sizes.items() if one == name) for name, _ in sizes}
    set_by = min(sizes, key=sizes.__getitem__)
    return MatchedSize(sizes[set_by], set_by, smallest, left_out)
