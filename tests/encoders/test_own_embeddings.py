import json
import shutil

import h5py
import numpy as np
import pandas as pd
import polars
import pytest

from cryotome.core.errors import CardError, StoreError
from cryotome.core.files import ids_beside, sha256
from cryotome.core.store import finalise_store
from cryotome.encoders.embedders import (
    ComputeSettings,
    ModelView,
    embedder_of_store,
    make_embedder,
)
from cryotome.encoders.embedding_store import read_embeddings, write_embeddings, write_shard
from cryotome.encoders.own_embeddings import read_own_embeddings, rows_by_id
from cryotome.study.geometry import Geometry

CARD = {"loader": "embeddings", "weights": "none", "embeddings": "mine/{dataset}.h5", "dim": 3}
MINE = ModelView("mine", CARD, "paper-fp32")
IDS = np.arange(48)
VALUES = np.random.default_rng(0).normal(size=(48, 3))


def hdf5(path, values=VALUES, ids=IDS):
    with h5py.File(path, "w") as file:
        file["embedding"], file["id"] = values, ids
    return [path]


def npy(path, values=VALUES, ids=IDS):
    np.save(path, values)
    np.save(ids_beside(path), ids)
    return [path, ids_beside(path)]


def parquet(path, values=VALUES, ids=IDS):
    vectors = [list(vector) for vector in values] if values.ndim > 1 else values
    polars.DataFrame({"id": ids, "embedding": vectors}).write_parquet(path)
    return [path]


def parquet_of_columns(path, values=VALUES, ids=IDS):
    numbers = {f"feature {n}": values[:, n] for n in range(values.shape[1])}
    polars.DataFrame(numbers | {"id": ids}).write_parquet(path)
    return [path]


def embedder(given, store, cohort):
    compute = ComputeSettings(given[0].parent, "cpu", 1, given[0].parent)
    return embedder_of_store(store, MINE, compute, cells=[cohort / "cells.csv"], given=given)


def made(path, given, store, cohort):
    """Write the store of a user's file, and return its embeddings and attributes."""
    write_embeddings(path, store, embedder(given, store, cohort), partial=path.parent / "p")
    asked = {"model": "mine", "view": "paper-fp32", "cells_sha256": sha256(cohort / "cells.csv")}
    x, ids, about = read_embeddings(path, **asked)
    assert ids.tolist() == list(range(48))
    return x, about


@pytest.mark.parametrize(
    ("write", "name"),
    [(hdf5, "d.h5"), (npy, "d.npy"), (parquet, "d.parquet"), (parquet_of_columns, "d.parquet")],
)
def test_vectors_of_a_user_become_the_usual_store(write, name, store, cohort, tmp_path, capsys):
    given = write(tmp_path / name)
    x, about = made(tmp_path / "e.h5", given, store, cohort)
    assert (x == VALUES.astype(np.float32)).all()
    assert x.dtype == np.float32
    assert (about["weights_sha256"], about["batch"]) == ("none", "1")
    said = json.loads(about["card"])
    assert said["embeddings_sha256"] == [sha256(path) for path in given]
    assert "put right" not in capsys.readouterr().err
    order = np.random.default_rng(1).permutation(48)
    write(tmp_path / name, VALUES[order], IDS[order])
    again, other = made(tmp_path / "again.h5", given, store, cohort)
    assert (again == x).all()
    assert f"{name} has another order than" in capsys.readouterr().err
    assert other["card"] != about["card"], "another file is named in the passport"


def test_shards_are_parts_of_the_same_file(store, cohort, tmp_path):
    given, how = hdf5(tmp_path / "d.h5"), {"partial": tmp_path / "p"}
    for part in (1, 2):
        shard = tmp_path / "shards" / f"{part}of2.h5"
        write_shard(shard, store, embedder(given, store, cohort), part=(part, 2), **how)
    mine = embedder(given, store, cohort)
    write_embeddings(tmp_path / "e.h5", store, mine, shards=tmp_path / "shards", **how)
    with h5py.File(tmp_path / "e.h5") as file:
        assert (file["embedding"][:] == VALUES.astype(np.float32)).all()


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (IDS[:40], "d.h5 has no embedding of 8 cells, first 40. Its ids are the column `id` of"),
        (np.where(IDS == 7, 6, IDS), "has several embeddings of 1 cells, first 6; it has no embed"),
        (IDS + 1, r"ids that .*cells.csv does not have: 1 cells, first 48; it has no .* first 0"),
    ],
)
def test_ids_that_are_missing_doubled_or_of_no_cell_are_named(ids, said, store, cohort, tmp_path):
    given = hdf5(tmp_path / "d.h5", VALUES[: len(ids)], ids)
    with pytest.raises(StoreError, match=said):
        embedder(given, store, cohort)


def test_a_cell_without_a_patch_may_have_an_embedding(cohort, tmp_path):
    rows = rows_by_id(tmp_path / "d.h5", IDS[::-1], cohort / "cells.csv", np.array([3, 5]))
    assert rows.tolist() == [44, 42]


@pytest.mark.parametrize(
    ("values", "ids", "said"),
    [
        (VALUES[:, 0], IDS, r"float64 numbers of shape \(48,\); embeddings are floating numbers"),
        (VALUES.astype(int), IDS, "int64 numbers of shape"),
        (VALUES, IDS[:5], r"48 embeddings, and its ids are int64 of shape \(5,\); each row needs"),
        (VALUES, IDS.astype(float), "its ids are float64"),
    ],
)
@pytest.mark.parametrize(("write", "name"), [(hdf5, "d.h5"), (npy, "d.npy")])
def test_files_without_a_vector_per_id_are_refused(write, name, values, ids, said, tmp_path):
    given = write(tmp_path / name, values, ids)
    with pytest.raises(StoreError, match=rf"{name} holds .*{said}"):
        read_own_embeddings(given[0])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"cell": [1], "embedding": [[1.0]]}, "has the columns cell, embedding, 0 values missing"),
        (
            {"id": [1, None], "x": [0.5, 0.5]},
            "has the columns id, x, 1 values missing; it needs 'id'",
        ),
        ({"id": [1, 2], "embedding": [[1.0], [1.0, 2.0]]}, r"has vectors of \[1, 2\] numbers"),
        ({"id": [1], "x": ["a"]}, "holds object numbers"),
        ({"id": [1], "embedding": [[1]]}, "holds int64 numbers"),
        ({"id": [1], "embedding": ["a"]}, "holds object numbers"),
        ({"id": [1]}, "has the columns id, 0 values missing"),
    ],
)
def test_parquet_without_a_vector_per_id_is_refused(columns, said, tmp_path):
    polars.DataFrame(columns).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(StoreError, match=rf"d.parquet {said}"):
        read_own_embeddings(tmp_path / "d.parquet")


def test_damaged_and_hostile_files_are_refused_by_name(tmp_path):
    given = npy(tmp_path / "d.npy")
    np.save(given[0], np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match=r"d.npy is no array of numbers that NumPy saved"):
        read_own_embeddings(given[0])
    npy(tmp_path / "d.npy")
    given[1].write_bytes(given[1].read_bytes()[:40])
    with pytest.raises(StoreError, match=r"d.ids.npy is no array of numbers"):
        read_own_embeddings(given[0])
    (tmp_path / "d.parquet").write_text("no Parquet", encoding="utf-8")
    with pytest.raises(StoreError, match=r"d.parquet cannot be read as Parquet: "):
        read_own_embeddings(tmp_path / "d.parquet")
    (tmp_path / "d.h5").write_text("no HDF5", encoding="utf-8")
    with pytest.raises(StoreError, match=r"d.h5 is not a readable HDF5 file"):
        read_own_embeddings(tmp_path / "d.h5")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["features"], file["id"] = VALUES, IDS
    with pytest.raises(
        StoreError, match=r"holds features, id, and no numbers 'embedding'. It need"
    ):
        read_own_embeddings(tmp_path / "d.h5")
    with h5py.File(tmp_path / "d.h5", "w") as file:
        file["embedding"], file["id"] = h5py.ExternalLink("other.h5", "x"), IDS
    with pytest.raises(StoreError, match="is a link, which may refer to other files"):
        read_own_embeddings(tmp_path / "d.h5")


def test_nan_and_another_length_than_the_cards_are_refused(store, cohort, tmp_path):
    given = hdf5(tmp_path / "d.h5", VALUES[:, :2])
    with pytest.raises(StoreError, match="mine gives 2 features, its card says `dim: 3`"):
        made(tmp_path / "e.h5", given, store, cohort)
    hdf5(tmp_path / "d.h5", np.where(IDS[:, None] == 9, np.nan, VALUES))
    with pytest.raises(StoreError, match="NaN or infinite features for 1 of 48 .* of cell 9"):
        made(tmp_path / "e.h5", given, store, cohort)


def test_a_store_of_this_workflow_knows_the_cells_it_was_made_for(store, cohort, tmp_path):
    x, _ = made(tmp_path / "e.h5", hdf5(tmp_path / "d.h5"), store, cohort)
    again, _ = made(tmp_path / "again.h5", [tmp_path / "e.h5"], store, cohort)
    assert (again == x).all()
    shutil.copy(tmp_path / "e.h5", tmp_path / "old.h5")
    finalise_store(tmp_path / "old.h5", "embedding", {"cells_sha256": "0" * 64})
    with pytest.raises(StoreError, match=r"old.h5 was made for another table of cells than"):
        embedder([tmp_path / "old.h5"], store, cohort)
    other = tmp_path / "cells.csv"
    pd.read_csv(cohort / "cells.csv").assign(label=1).to_csv(other, index=False)
    with pytest.raises(StoreError, match=r"patches.h5 was cut from another"):
        embedder(hdf5(tmp_path / "d.h5"), store, tmp_path)


def test_no_network_no_tile_and_no_file_is_said(store, cohort, tmp_path):
    compute = ComputeSettings(tmp_path, "cpu", 1, tmp_path)
    with pytest.raises(CardError, match="mine has embeddings of cells and no network .* `bags:`"):
        make_embedder(MINE, Geometry(32), compute)
    with pytest.raises(CardError, match="mine needs its file of embeddings and the table of cells"):
        embedder_of_store(store, MINE, compute, cells=[cohort / "cells.csv"])
    with pytest.raises(CardError, match="embeds no patch"):
        embedder(hdf5(tmp_path / "d.h5"), store, cohort).embed(np.zeros((1, 32, 32, 3), np.uint8))
