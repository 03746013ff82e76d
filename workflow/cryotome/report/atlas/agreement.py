"""Agreement of each pair of rows of a study: Cohen's kappa of calls, Spearman's of scores."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.files import atomic_write
from cryotome.evaluation.scores import THRESHOLD
from cryotome.report.atlas.errors import Atlas

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


def cohen_kappa(
    both: np.ndarray, only_one: np.ndarray, only_other: np.ndarray, neither: np.ndarray
) -> np.ndarray:
    """Return Cohen's kappa of two rows from the numbers of cells that both, one or none calls.

    NaN where both call all cells alike, as random calls would then agree, too.

    >>> cohen_kappa(np.array([20]), np.array([5]), np.array([10]), np.array([15])).round(3).tolist()
    [0.4]
    """
    cells = both + only_one + only_other + neither
    observed = (both + neither) / cells
    one, other = (both + only_one) / cells, (both + only_other) / cells
    expected = one * other + (1 - one) * (1 - other)  # of independent calls
    room = np.where(expected < 1, 1 - expected, 1)
    return np.where(expected < 1, (observed - expected) / room, np.nan)


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


def draw_agreement(pairs: pd.DataFrame, atlas: Atlas) -> Figure:
    """Draw the matrix of rows: kappa of calls above the diagonal, Spearman's of scores below.

    Parameters
    ----------
    pairs
        From `pairwise_agreement`.
    """
    rows = atlas.rows
    place = {row: n for n, row in enumerate(rows)}
    matrix = np.full((len(rows), len(rows)), np.nan)
    one, other = pairs["row"].map(place), pairs["other"].map(place)
    matrix[one, other], matrix[other, one] = pairs["kappa"], pairs["spearman"]
    side = max(3.2, 0.55 * len(rows)) if len(rows) <= MAX_NUMBERED_ROWS else 0.28 * len(rows)
    figure = Figure(figsize=(side + 4.2, side + 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.add_subplot()
    shown = axis.imshow(
        matrix, cmap="cividis", vmin=min(0, np.nanmin([0, *matrix.ravel()])), vmax=1
    )
    names = [textwrap.shorten(atlas.labels[row], 48, placeholder="…") for row in rows]
    axis.set_xticks(range(len(rows)), names, rotation=45, ha="right", fontsize=8)
    axis.set_yticks(range(len(rows)), names, fontsize=8)
    axis.set_facecolor("0.92")
    if len(rows) <= MAX_NUMBERED_ROWS:
        for y, x in np.argwhere(np.isfinite(matrix)):
            ink = "black" if matrix[y, x] > 0.55 else "white"
            axis.text(x, y, f"{matrix[y, x]:.2f}", ha="center", va="center", color=ink, fontsize=8)
    axis.plot([-0.5, len(rows) - 0.5], [-0.5, len(rows) - 0.5], color="black", lw=0.8)
    figure.colorbar(shown, ax=axis, shrink=0.8, label="1: full agreement, 0: none beyond chance")
    title = "Above the diagonal Cohen's kappa of calls, below Spearman's correlation of scores"
    lines = [
        atlas.card["title"],
        textwrap.fill(title, 60),
        textwrap.fill(atlas.score_description, 60),
    ]
    axis.set_title("\n".join(lines), fontsize=9)
    if atlas.notice:
        figure.suptitle(atlas.notice.upper(), color="firebrick", weight="bold", fontsize=10)
    return figure


def save_agreement(pairs: pd.DataFrame, atlas: Atlas, path: Path) -> None:
    """Write the matrix as a PNG without a date."""
    figure = draw_agreement(pairs, atlas)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png", dpi=130, metadata={"Software": None})
