"""Panels of the learning curve of a finetuning: losses, evaluations, learning rate."""

from cryotome.learners.dinov2.student_teacher import LOSSES
from cryotome.learners.loop.curves import BLUE, GREEN, GREY, ORANGE, PURPLE, Panel

COLOURS = zip(LOSSES, (BLUE, GREEN, ORANGE, GREY), strict=True)
EVALUATIONS = {
    "knn": (BLUE, "k-NN"),
    "probe": (ORANGE, "linear probe"),
    "spread": (PURPLE, "spread of embeddings"),
}
PANELS = [
    Panel("loss", {name: (colour, name.replace("_", ", ")) for name, colour in COLOURS}, 180),
    Panel(["balanced accuracy, spread", "dotted: before"], EVALUATIONS, 180,
          before=("knn", "probe")),
    Panel("learning rate", {"learning_rate": (GREY, "")}, 60),
]  # fmt: skip
