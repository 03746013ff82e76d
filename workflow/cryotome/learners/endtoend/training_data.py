"""Training and validation data of one run, and scoring on them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from cryotome.core.cards import Card
from cryotome.core.errors import SplitError, StoreError
from cryotome.core.tables import read_csv
from cryotome.data.cells import load_cells
from cryotome.data.patches import read_patches
from cryotome.data.raters import share_of_votes, vote_columns
from cryotome.data.splits.cells import indices_of
from cryotome.learners.endtoend.samplers import SAMPLERS, Cells
from cryotome.learners.loop.augment import draw_uniform, draws_of, make_views
from cryotome.learners.loop.batches import BatchLoader
from cryotome.learners.loop.step import autocast_for

SCORING_BATCH = {"cpu": 32, "cuda": 512}  # patches
SHIFT_ONLY = {
    "rotation_probability": 0,
    "flip_probability": 0,
    "jitter_probability": 0,
    "blur_probability": 0,
}


@dataclass(frozen=True)
class TrainingData:
    """The patches, roles and labels of one training run.

    Attributes
    ----------
    pixels : (N, stored, stored, 3) uint8
        The whole patch store, with margins.
    roles : data frame with columns id, role, label, slide, row
        The cells of the split; `row` is the index of a cell's patch in `pixels`. With `share`,
        the share of votes for label 1, the loss is computed with it.
    stamps
        Provenance of the patch store.
    """

    pixels: Tensor
    roles: pd.DataFrame
    stamps: dict[str, Any]

    @property
    def side(self) -> int:
        """Side of the image that the network is given, px."""
        return self.stamps["seen"]

    def cells(self, *roles: str) -> Cells:
        """Return the cells in any of these roles, in the order of the split."""
        mine = self.roles[self.roles["role"].isin(roles)]
        row, label = (mine[name].to_numpy(copy=True) for name in ("row", "label"))
        share = mine["share"].to_numpy() if "share" in mine else None
        return Cells(row, label, mine["slide"].to_numpy(), share)


def read_training_data(
    patches: Path, cells: Path, split: Path, *, soft: bool = False
) -> TrainingData:
    """Read a patch store, the table of cells it was cut from, and one split.

    Parameters
    ----------
    soft
        Whether the share of votes is fitted.

    Raises
    ------
    StoreError
        The store was cut from other cells, or there are no votes.
    SplitError
        A cell of the split is missing from the store.
    """
    pixels, ids, stamps = read_patches(patches, cells=cells)
    roles = read_csv(split)
    table = load_cells(cells)
    about = table[["id", "label", "slide"]]
    if soft and not vote_columns(table):
        raise StoreError(
            f"{cells} has no votes, which a head with `labels: soft` is fitted to. Name their "
            "columns in `raters:` of the dataset's card, or take a head on labels."
        )
    about = about.assign(share=share_of_votes(table)) if soft else about
    roles = roles.merge(about, on="id", how="left", validate="one_to_one")
    return TrainingData(
        torch.from_numpy(pixels), roles.assign(row=indices_of(ids, roles["id"])), stamps
    )


def centre_crops(patches: Tensor, side: int) -> Tensor:
    """Crop the centre of stored patches (n, stored, stored, 3) uint8, without augmentation.

    Returns
    -------
    (n, 3, side, side) float in [0, 1]
    """
    edge = (patches.shape[1] - side) // 2
    inner = patches[:, edge : edge + side, edge : edge + side]
    return inner.permute(0, 3, 1, 2).float() / 255


class ValidationSet:
    """Validation cells, their labels and their views, the same at every evaluation.

    Each cell once, centred. With `validation_draws` of a head's card: that many draws of the
    sampler, shifted (Ammeling et al. 2025, code).
    """

    def __init__(self, data: TrainingData, card: Card, seed: int) -> None:
        cells = data.cells("validation")
        if not len(cells.rows):
            raise SplitError(
                "No validation cells: the fraction is too small to select a checkpoint."
            )
        self.rows, self.label, self._draws = cells.rows, cells.label, None
        self.target = cells.target
        self._side, self._settings = data.side, card["augment"] | SHIFT_ONLY
        if count := card.get("validation_draws"):
            rng = np.random.default_rng([seed, 1])  # other draws than those of the training
            draws = torch.Generator().manual_seed(int(rng.integers(2**62)))
            picked = SAMPLERS[card["sampler"]](cells)(rng, count)
            self.rows, self.label = cells.rows[picked], cells.label[picked]
            self.target = cells.target[picked]
            self._draws = draws_of(draw_uniform(count, draws), self._side, self._settings)

    def views(self, patches: Tensor, part: slice) -> Tensor:
        """Return the views of some of its patches, (n, 3, side, side) float."""
        if self._draws is None:
            return centre_crops(patches, self._side)
        draws = self._draws[part].to(patches.device)
        return make_views(patches, draws, self._side, self._settings)


def score_cells(
    network: nn.Module,
    loader: BatchLoader,
    rows: np.ndarray,
    *,
    views: Callable[[Tensor, slice], Tensor],
    precision: torch.dtype,
) -> np.ndarray:
    """Return the logits of cells, shape (n,) float32.

    Parameters
    ----------
    rows : (n,) int
        Rows of their patches in the store.
    views
        From stored patches and their slice of `rows` to (n, 3, side, side) float.
    """
    network.eval()
    size, wanted, logits = SCORING_BATCH[loader.device.type], torch.from_numpy(rows), []
    with torch.inference_mode(), autocast_for(loader.device, precision):
        for first in range(0, len(rows), size):
            part = slice(first, first + size)
            logits.append(network(views(loader.take(wanted[part]), part)).float().flatten())
    return torch.cat(logits).cpu().numpy()


def copy_weights(network: nn.Module) -> dict[str, Tensor]:
    """Copy trained weights and running statistics; a state dict would change with training."""
    frozen = {name for name, weight in network.named_parameters() if not weight.requires_grad}
    state = network.state_dict()
    return {name: value.clone() for name, value in state.items() if name not in frozen}


def load_weights(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Restore weights of `copy_weights`; frozen weights are not changed.

    Raises
    ------
    StoreError
        They are of another network.
    """
    wanted = copy_weights(network).keys()
    if differing := sorted(wanted ^ state.keys()):
        raise StoreError(
            f"These weights are of another network: {len(differing)} names differ, first "
            f"{differing[0]}. Delete the checkpoint and rerun."
        )
    network.load_state_dict(state, strict=False)
