"""Agreement of each pair of rows of a study: Cohen's kappa of calls, Spearman's of scores."""

import textwrap

import numpy as np
import pandas as pd

from cryotome.core.cards import Card
from cryotome.evaluation.scores import THRESHOLD
from cryotome.evaluation.statistics.kappa import cohen_kappa
from cryotome.report.atlas.errors import Atlas
from cryotome.report.figures.charts import matrix, sheet, wrapped

PAIR_COLUMNS = [
    "row",
    "other",
    "kappa",
    "spearman",
    "both_right",
    "only_row",
    "only_other",
    "both_wrong",
]
MAX_NUMBERED_ROWS = 12  # most rows for which the matrix shows its numbers


def _tables(yes: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return for each pair of columns the numbers of cells yes in both, one, the other, neither.

    Parameters
    ----------
    yes, known : (cells, rows) bool
        Cells that are unknown in one column of a pair do not count.
    """
    a = (yes & known).astype(float)
    b = (~yes & known).astype(float)
    return a.T @ a, a.T @ b, b.T @ a, b.T @ b


def pairwise_agreement(atlas: Atlas) -> pd.DataFrame:
    """Compare each pair of rows on the cells that both scored.

    Returns
    -------
    data frame with columns row, other, kappa, spearman, both_right, only_row, only_other,
    both_wrong
        One line per pair, in table order. kappa: Cohen's, of the calls; spearman: of the
        scores, NaN where one of them is constant; then numbers of cells by which of the two
        calls them correctly.
    """
    scores, rows = atlas.scores, atlas.rows
    known = scores.notna().to_numpy()
    called = (scores >= THRESHOLD).to_numpy()
    right = called == (atlas.cells["label"] == 1).to_numpy()[:, None]
    i, j = np.triu_indices(len(rows), k=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # pairs without a cell in common
        kappa = cohen_kappa(*_tables(called, known))
        ranks = scores.corr(method="spearman").to_numpy()
    counts = [table[i, j].astype(int) for table in _tables(right, known)]
    names = [np.array(rows, dtype=object)[place] for place in (i, j)]
    values = [*names, kappa[i, j], ranks[i, j], *counts]
    return pd.DataFrame(dict(zip(PAIR_COLUMNS, values, strict=True)))


def draw_agreement(pairs: pd.DataFrame, atlas: Atlas) -> Card:
    """Draw the matrix of rows: kappa of calls above the diagonal, Spearman's of scores below.

    Parameters
    ----------
    pairs
        From `pairwise_agreement`.
    """
    names = {row: textwrap.shorten(atlas.labels[row], 48, placeholder="…") for row in atlas.rows}
    order = list(names.values())
    back = pairs.rename(columns={"row": "other", "other": "row", "spearman": "value"})
    squares = [pairs.rename(columns={"kappa": "value"}), back]
    squares.append(pd.DataFrame({"row": atlas.rows, "other": atlas.rows, "value": np.nan}))
    table = pd.concat([part[["row", "other", "value"]] for part in squares], ignore_index=True)
    table = table.assign(row=table["row"].map(names), other=table["other"].map(names))
    lowest = min([0.0, *table["value"].dropna()])
    titles = ("", "", "1: full, 0: chance agreement")
    chart = matrix(table, fields=("row", "other"), value="value", titles=titles,
                   domain=(lowest, 1.0), orders=(order, order))  # fmt: skip
    said = "Above the diagonal Cohen's kappa of calls, below Spearman's correlation of scores"
    lines = [atlas.card["title"], *wrapped(said, 60), *wrapped(atlas.score_description, 60)]
    step = 40 if len(order) <= MAX_NUMBERED_ROWS else 20
    size = {"width": step * len(order), "height": step * len(order)}
    return sheet([chart.properties(title=lines, **size)], notice=atlas.notice)
