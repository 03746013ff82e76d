"""Learning curve of one training, as a table and as a figure."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.files import atomic_write
from cryotome.core.tables import write_csv

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"  # Okabe and Ito, for colour-blind readers


def draw_curve(curve: pd.DataFrame, *, title: str, synthetic: bool) -> Figure:
    """Draw the losses, the validation AUROC and the learning rate over the steps.

    Parameters
    ----------
    curve : data frame, one row per evaluation
        As `TrainingResult.curve`. The evaluation with the lowest validation loss is marked.
    synthetic
        Whether the tissue is synthetic, which the figure then states.
    """
    figure = Figure(figsize=(5.2, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    losses, ranked, rate = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 1])
    best = curve.iloc[int(curve["validation_loss"].argmin())]
    dots = {"marker": ".", "ms": 3, "lw": 1.2}
    losses.plot(curve["step"], curve["training_loss"], color=GREY, label="training", **dots)
    losses.plot(curve["step"], curve["validation_loss"], color=BLUE, label="validation", **dots)
    losses.plot(best["step"], best["validation_loss"], "o", mfc="none", color=ORANGE, label="kept")
    ranked.plot(curve["step"], curve["validation_auroc"], color=BLUE, **dots)
    ranked.plot(best["step"], best["validation_auroc"], "o", mfc="none", color=ORANGE)
    rate.plot(curve["step"], curve["learning_rate"], color=GREY, lw=1.2)
    losses.legend(frameon=False, fontsize=8)
    losses.set_title(title, fontsize=9)
    for axis, name in ((losses, "loss"), (ranked, "validation AUROC"), (rate, "learning rate")):
        axis.set_ylabel(name, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    rate.set_xlabel("step, on synthetic tissue" if synthetic else "step", fontsize=8)
    return figure


def write_curve(
    curve: pd.DataFrame,
    table: Path,
    picture: Path,
    *,
    title: str,
    synthetic: bool,
    draw: Callable[..., Figure] = draw_curve,
) -> None:
    """Write the table and the figure; both state whether the tissue is synthetic."""
    with atomic_write(table) as beside:
        write_csv(curve.assign(synthetic=synthetic), beside, float_format="%.6g")
    with atomic_write(picture) as beside:
        draw(curve, title=title, synthetic=synthetic).savefig(beside, dpi=110, format="png")
