"""The learning curve of a finetuning: losses, evaluations and learning rate."""

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.learners.dinov2.student_teacher import LOSSES
from cryotome.learners.loop.curves import BLUE, GREY, ORANGE

GREEN, PURPLE = "#009e73", "#cc79a7"  # Okabe and Ito


def draw_finetuning(curve: pd.DataFrame, *, title: str, synthetic: bool) -> Figure:
    """Draw losses, evaluations and learning rate over the iterations.

    Parameters
    ----------
    curve : data frame, one row an evaluation
        As `FinetuningResult.curve`. The first one, before any step, has no losses.
    synthetic
        Whether the tissue is synthetic, which the axis label then states.
    """
    figure = Figure(figsize=(6.6, 6.4), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores, rate = figure.subplots(3, 1, sharex=True, height_ratios=[3, 3, 1])
    at, dots = curve["iteration"], {"marker": ".", "ms": 3, "lw": 1.2}
    for name, colour in zip(LOSSES, (BLUE, GREEN, ORANGE, GREY), strict=True):
        losses.plot(at, curve[name], color=colour, label=name.replace("_", ", "), **dots)
    for name, label, colour in (("knn", "k-NN", BLUE), ("probe", "linear probe", ORANGE)):
        if curve[name].notna().any():
            scores.plot(at, curve[name], color=colour, label=label, **dots)
            scores.axhline(curve[name].iloc[0], color=colour, lw=0.8, ls=":")
    scores.plot(at, curve["spread"], color=PURPLE, label="spread of embeddings", **dots)
    rate.plot(at, curve["learning_rate"], color=GREY, lw=1.2)
    losses.set_title(title, fontsize=9)
    labels = "loss", "look (balanced accuracy)\ndotted: before", "learning rate"
    for axis, name in zip((losses, scores, rate), labels, strict=True):
        axis.set_ylabel(name, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in (losses, scores):
        axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    rate.set_xlabel("iteration, on synthetic tissue" if synthetic else "iteration", fontsize=8)
    return figure
