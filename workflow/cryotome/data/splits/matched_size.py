"""The training size that every rung of the leakage ladder can have."""

from dataclasses import dataclass

import pandas as pd

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError
from cryotome.data.splits.cells import draw_split
from cryotome.study.schemes import FOLDS


@dataclass(frozen=True)
class MatchedSize:
    """The training size that all rungs of a dataset's ladder can have.

    Attributes
    ----------
    cells
        The smallest number of training cells of any rung and fold.
    set_by
        Scheme and fold that have it, the first of them.
    smallest
        Scheme to its smallest number over the folds.
    left_out
        Scheme to the reason why this dataset cannot have it.
    """

    cells: int
    set_by: tuple[str, int]
    smallest: dict[str, int]
    left_out: dict[str, str]


def matched_size(
    cells: pd.DataFrame, ladder: dict[str, Card], windows: pd.DataFrame | None
) -> MatchedSize:
    """Return the largest training size that every rung has in each of five folds.

    Parameters
    ----------
    ladder
        Scheme to its card, for every rung; rungs that cannot be drawn are left out and named.

    Raises
    ------
    SplitError
        No rung can be drawn.
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
        raise SplitError(f"No rung of the ladder can be drawn: {left_out}.")
    smallest = {name: min(v for (one, _), v in sizes.items() if one == name) for name, _ in sizes}
    set_by = min(sizes, key=sizes.__getitem__)
    return MatchedSize(sizes[set_by], set_by, smallest, left_out)
