"""Parts that matplotlib's figures share: the synthetic notice, sheets of patches, saving."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.files import atomic_write


def add_synthetic_notice(figure: Figure, notice: str) -> Figure:
    """Write over a figure that its tissue is synthetic, where it is; `notice` is empty else."""
    if notice:
        figure.text(
            0.5, 1.02, notice.upper(), ha="center", va="bottom", color="firebrick", weight="bold"
        )
    return figure


def draw_sheet(pictures: dict[str, np.ndarray], title: str, notice: str) -> Figure:
    """Lay out rows of patches.

    Parameters
    ----------
    pictures
        Name of a row to (n, side, side, 3) uint8.
    """
    columns = max(map(len, pictures.values()))
    size = (columns + 1.8, 1.05 * len(pictures) + 0.4)
    figure, axes = plt.subplots(
        len(pictures), columns, layout="constrained", figsize=size, squeeze=False
    )
    for line, (name, patches) in zip(axes, pictures.items(), strict=True):
        for axis in line[len(patches) :]:
            axis.set_axis_off()
        for axis, patch in zip(line, patches, strict=False):
            axis.imshow(patch)
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color("lightgrey")
        at = {"transform": line[0].transAxes, "ha": "right", "va": "center"}
        line[0].text(-0.12, 0.5, textwrap.fill(name, 20), **at)
    figure.suptitle(title)
    return add_synthetic_notice(figure, notice)


def save_figure(figure: Figure, *paths: Path) -> None:
    """Write a figure as PDF or PNG without dates, so that equal figures are equal files."""
    undated = {".pdf": "CreationDate", ".png": "Software"}
    for path in paths:
        with atomic_write(path) as beside:
            figure.savefig(
                beside,
                format=path.suffix[1:],
                dpi=160,
                bbox_inches="tight",
                metadata={undated[path.suffix]: None},
            )
    plt.close(figure)
