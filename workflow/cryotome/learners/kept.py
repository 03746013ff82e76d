"""Kept models: load one from its file and score with it, without a workflow around."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cryotome.core.errors import StoreError
from cryotome.learners.kept_file import read_kept


class KeptModel(Protocol):
    """A model and its record.

    `score` takes patches (n, side, side, 3) uint8 of a trained network, embeddings (n, dim) of a
    probe, one bag (tiles, dim) of a classifier of slides. It returns P(second class) (n,), or P of
    every class (n, K); of a bag one number.
    """

    @property
    def about(self) -> dict[str, Any]: ...

    def score(self, values: np.ndarray, /) -> Any: ...


def load_kept(
    path: Path | str,
    *,
    weights_dir: Path | None = None,
    embeddings: Path | None = None,
    device: str = "cpu",
) -> KeptModel:
    """Load a kept model.

    Parameters
    ----------
    weights_dir
        Folder of encoder weights, which networks with frozen parts need: adapters, last blocks.
    embeddings
        Store of the training dataset, which k-NN needs; None: beside the models of its workflow.
    device
        Of a trained network, such as `cuda`.

    Raises
    ------
    StoreError
        The file is damaged or foreign, or what it refers to is.
    WeightsError
        The encoder's weights are missing, or are others.
    """
    arrays, about = read_kept(path := Path(path))
    match about["kind"]:
        case "network":
            from cryotome.learners.endtoend.kept_network import load_network

            return load_network(arrays, about, path, weights_dir=weights_dir, device=device)
        case "linear" | "training_cells":
            from cryotome.learners.probes.kept_head import load_head

            return load_head(arrays, about, path, embeddings)
        case "aggregator":
            from cryotome.learners.mil.kept_aggregator import load_aggregator

            return load_aggregator(arrays, about)
    raise StoreError(f"{path} holds a model of kind {about['kind']!r}, which is not known here.")
