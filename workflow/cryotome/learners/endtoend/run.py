"""One training from its network to the scores of its checkpoints, with their provenance."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from torch import Tensor, nn

from cryotome.core.cards import Card
from cryotome.learners.endtoend.kept_network import write_network
from cryotome.learners.endtoend.train import TrainingResult, train_endtoend
from cryotome.learners.endtoend.training_data import (
    TrainingData,
    centre_crops,
    load_weights,
    score_cells,
)
from cryotome.learners.kept_file import patch_geometry
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.checkpoints import Checkpoint
from cryotome.learners.loop.curves import BLUE, GREY, Panel
from cryotome.learners.loop.step import precision_name, precision_of
from cryotome.learners.predictions import SCORED_ROLES, write_predictions

LOSSES = {"training_loss": (GREY, "training"), "validation_loss": (BLUE, "validation")}
PANELS = [
    Panel(["loss", "ring: kept"], LOSSES, 180, kept="validation_loss"),
    Panel("validation AUROC", {"validation_auroc": (BLUE, "")}, kept="validation_auroc"),
    Panel("learning rate", {"learning_rate": (GREY, "")}, 60),
]


@dataclass(frozen=True)
class Run:
    """A network with the data that it is trained and scored on.

    Attributes
    ----------
    network
        An encoder and one logit, on its device.
    card
        Of the head.
    loader
        The patches of the data, on the device of the network.
    """

    network: nn.Sequential
    data: TrainingData
    card: Card
    loader: BatchLoader
    seed: int

    @property
    def precision(self) -> torch.dtype:
        return precision_of(self.card, self.loader.device)

    def notes(self, model: str, weights_sha256: str, recipe: int) -> dict[str, Any]:
        """Return the provenance of the predictions."""
        notes = {"weights_sha256": weights_sha256, "model": model, "head": self.card}
        notes |= {name: self.data.stamps[name] for name in ("cells_sha256", "patches_sha256")}
        return notes | {"recipe": recipe, "precision": precision_name(self.precision)}

    def environment(self) -> dict[str, Any]:
        """Return what else decides the weights: seed, device, versions of packages."""
        versions = {name: version(name) for name in ("torch", "timm", "peft")}
        return versions | {"seed": self.seed, "device": self.loader.device.type}

    def train(self, checkpoint: Checkpoint) -> TrainingResult:
        """Train the network, as `train_endtoend` does."""
        how = {"seed": self.seed, "loader": self.loader, "checkpoint": checkpoint}
        return train_endtoend(self.network, self.data, self.card, **how)  # type: ignore[arg-type]

    def write_both(
        self, fit: TrainingResult, paths: tuple[Path, Path], split: Path, notes: dict[str, Any]
    ) -> None:
        """Write the scores of the best and of the last weights; equal weights are scored once."""
        scores = self.score(fit.best)
        self.write(paths[0], scores, split, notes | {"checkpoint": "best"})
        scores = scores if fit.last is fit.best else self.score(fit.last)
        self.write(paths[1], scores, split, notes | {"checkpoint": "last"})

    def score(self, state: dict[str, Tensor]) -> np.ndarray:
        """Score the cells that are not trained on, centred, with given weights, which stay loaded.

        Returns
        -------
        (n,) float, 0 to 1
        """
        load_weights(self.network, state)
        logits = score_cells(
            self.network,
            self.loader,
            self.data.cells(*SCORED_ROLES).rows,
            views=lambda patches, _: centre_crops(patches, self.data.side),
            precision=self.precision,
        )
        return expit(logits.astype(float))  # float32 would tie at 1

    def write(self, path: Path, scores: np.ndarray, split: Path, notes: dict[str, Any]) -> None:
        """Write the scores of the weights that are loaded."""
        cells, roles = self.data.cells(*SCORED_ROLES), self.data.roles
        table = roles.loc[roles["role"].isin(SCORED_ROLES), ["id", "role"]]
        notes = notes | {"n_train": len(self.data.cells("train").rows)}
        write_predictions(path, table.assign(label=cells.label), scores, split=split, notes=notes)

    def keep(self, kept: list[Path], state: dict[str, Tensor], about: dict[str, Any]) -> None:
        """Write these weights to the file to keep, where there is one.

        Parameters
        ----------
        about
            Notes, `encoder`, `split_sha256`, and `classes`, `patch` and `mpp` of the dataset.
        """
        load_weights(self.network, state)
        geometry = patch_geometry(about["patch"], about["mpp"], self.data.stamps)
        about = {key: value for key, value in about.items() if key != "mpp"}
        about |= {"head_card": self.card, "seed": self.seed, "patch": geometry}
        for path in kept:
            write_network(path, self.network, state, about)
