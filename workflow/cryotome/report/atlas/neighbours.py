"""Neighbours of tested cells in embedding space, among the cells that trained."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.files import RunPath
from cryotome.core.tables import read_csv
from cryotome.data.splits.cells import indices_of
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.study.schemes import Scheme

NEIGHBOURS = 5  # shown of each cell


@dataclass(frozen=True)
class Neighbour:
    """A training cell, and the cosine of its embedding with that of the tested cell, -1 to 1."""

    cell: int
    cosine: float


@dataclass(frozen=True)
class TrainingNeighbours:
    """The nearest training cells of tested cells, by the embeddings of several models.

    Attributes
    ----------
    splits
        Files of one kind of scheme and one fraction. A cell's neighbours are those of the first
        of them that tests it, of schemes `from_` out of its own domain.
    embeddings
        Stores, each named as its model in the folder of its view.
    domain : series indexed by id
        Domain of each cell.
    cells_sha256
        Hash of the table of cells from which the stores must have been made.
    """

    splits: list[Path]
    embeddings: list[Path]
    domain: pd.Series
    cells_sha256: str

    @property
    def models(self) -> list[str]:
        """The models that have a store."""
        return [path.stem for path in self.embeddings]

    @cached_property
    def _tested(self) -> pd.Series:
        """Place of the split that is taken for each tested cell, by id."""
        found: list[pd.Series] = []
        for place, path in enumerate(self.splits):
            roles, scheme = self._roles[place], Scheme.parse(RunPath.of(path).scheme)
            ids = roles.index[roles == "test"]
            if scheme.is_cross_domain:
                ids = ids[(self.domain[ids] != scheme.domain).to_numpy()]
            found.append(pd.Series(place, index=ids))
        whole = pd.concat(found)
        return whole[~whole.index.duplicated()]

    @cached_property
    def _roles(self) -> list[pd.Series]:
        return [read_csv(path).set_index("id")["role"] for path in self.splits]

    def find(self, model: str, cells: Iterable[int]) -> dict[int, list[Neighbour]]:
        """Return the nearest training cells of some cells, the nearest first.

        Raises
        ------
        StoreError
            The store is damaged, or was made from other cells.
        """
        path = self.embeddings[self.models.index(model)]
        view = {"view": path.parent.name, "cells_sha256": self.cells_sha256}
        embedding, ids, _ = read_embeddings(path, model=model, **view)
        length = np.linalg.norm(embedding, axis=1, keepdims=True)
        unit = embedding / np.where(length > 0, length, 1)
        found: dict[int, list[Neighbour]] = {}
        for place, part in self._tested.loc[sorted(set(cells))].groupby(self._tested):
            roles = self._roles[int(str(place))]
            training = pd.Series(roles.index[roles == "train"])
            near = unit[indices_of(ids, training)]
            cosine = unit[indices_of(ids, pd.Series(part.index))] @ near.T
            order = np.argsort(-cosine, axis=1, kind="stable")[:, :NEIGHBOURS]
            for cell, line, best in zip(part.index, cosine, order, strict=True):
                pairs = zip(training[best], line[best], strict=True)
                found[int(cell)] = [Neighbour(int(one), float(value)) for one, value in pairs]
        return found
