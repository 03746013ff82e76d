import numpy as np
import pandas as pd
import pytest

from cryotome.core.errors import StoreError
from cryotome.report.atlas.neighbours import NEIGHBOURS, Neighbour, TrainingNeighbours

EMBEDDING = np.array([[1, 0], [2, 0.2], [0, 3], [-1, 0], [1, 1], [0, 0]], dtype=np.float32)


@pytest.fixture
def near(tmp_path, monkeypatch):
    """Six cells in two domains; the stores' own checks are tested where they are made."""

    def read(path, *, model, view, cells_sha256):
        if cells_sha256 != "cells":
            raise StoreError("made from other cells")
        assert (model, view) == ("m", "paper-fp32")
        return EMBEDDING, np.arange(6), {}

    monkeypatch.setattr("cryotome.report.atlas.neighbours.read_embeddings", read)
    domain = pd.Series(["a", "a", "a", "b", "b", "b"], index=range(6))

    def make(roles, sha="cells"):
        paths = []
        for scheme, fold, of_cells in roles:
            path = tmp_path / f"splits/d/{scheme}/fraction=1.0/fold={fold}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            table = pd.DataFrame({"id": range(6), "role": of_cells.split()})
            table.to_csv(path, index=False)
            paths.append(path)
        store = tmp_path / "embeddings/d/paper-fp32/m.h5"
        return TrainingNeighbours(paths, [store], domain, sha)

    return make


def test_the_nearest_training_cells_come_first_whatever_their_length(near):
    found = near([("random", 0, "test train train train train validation")]).find("m", [0])
    assert [one.cell for one in found[0]] == [1, 4, 2, 3]
    assert found[0][1] == Neighbour(4, pytest.approx(0.5**0.5))
    assert len(found[0]) <= NEIGHBOURS


def test_a_cell_has_the_neighbours_of_the_first_fold_that_tests_it(near):
    found = near([("random", 0, "test train validation validation train train"),
                  ("random", 1, "test validation test train train train")]).find("m", [0, 2])  # fmt: skip
    assert {one.cell for one in found[0]} == {1, 4, 5}
    assert {one.cell for one in found[2]} == {3, 4, 5}


def test_of_schemes_of_one_domain_a_cell_has_those_of_another_domain(near):
    found = near([("from_a", 0, "test train train test test test"),
                  ("from_b", 0, "test test test test train train")]).find("m", [0, 3])  # fmt: skip
    assert {one.cell for one in found[0]} == {4, 5}
    assert {one.cell for one in found[3]} == {1, 2}


def test_a_store_of_other_cells_is_refused(near):
    with pytest.raises(StoreError, match="other cells"):
        near([("random", 0, "test train train train train train")], "others").find("m", [0])
