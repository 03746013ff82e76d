"""Own embeddings: vectors that a user computed elsewhere, put in the order of the cells by ids."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.files import ids_beside
from cryotome.core.store import (
    EMBEDDINGS,
    UNREADABLE,
    check_self_contained,
    is_own_store,
    open_hdf5,
    provenance,
    read_ids,
    read_rows,
)
from cryotome.data.cells import load_cells

VECTORS, IDS = "embedding", "id"  # arrays of an HDF5 file, as in a store of ours


def read_own_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Read embeddings and their ids from a file of a user, in the order of the file.

    Parameters
    ----------
    path
        `.npy` with the ids in `{name}.ids.npy` beside it; Parquet with the column `id` and either
        the column `embedding` of lists, or a column for each dimension in their order; or HDF5
        with `embedding` and `id`, such as a store of this workflow.

    Returns
    -------
    Embeddings (n, dim) float, ids (n,) int, and the hash of the table of cells that a store of this
    workflow was made for; of other files it is empty.

    Raises
    ------
    StoreError
        The file cannot be read, or does not hold one vector per id.
    """
    made_for = ""
    if path.suffix == ".npy":
        values, ids = (_read_npy(one) for one in (path, ids_beside(path)))
    elif path.suffix == ".parquet":
        values, ids = _read_parquet(path)
    elif is_own_store(path):
        made_for = provenance(path, EMBEDDINGS)["cells_sha256"]
        values, ids = read_rows(path, VECTORS), read_ids(path)
    else:
        values, ids = _read_hdf5(path)
    _require_vectors(path, values, ids)
    return values, ids, made_for


def _require_vectors(path: Path, values: np.ndarray, ids: np.ndarray) -> None:
    if values.ndim != 2 or values.dtype.kind != "f":
        raise StoreError(
            f"{path} holds {values.dtype} numbers of shape {values.shape}; embeddings are floating "
            "numbers (n, dim), one row per cell."
        )
    if ids.shape != (len(values),) or ids.dtype.kind not in "iu":
        raise StoreError(
            f"{path} holds {len(values):,} embeddings, and its ids are {ids.dtype} of shape "
            f"{ids.shape}; each row needs one whole number, the `id` of its cell."
        )


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise_system_error(error, path)
        raise StoreError(
            f"{path} is no array of numbers that NumPy saved ({error}). Write it by `numpy.save`."
        ) from error


def _read_parquet(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import polars  # not pyarrow: pandas would load it at each start, and keep strings otherwise

    try:
        table = polars.read_parquet(path, glob=False)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise_system_error(error, path)
        raise StoreError(f"{path} cannot be read as Parquet: {error}.") from error
    missing = sum(column.null_count() for column in table)
    if IDS not in table.columns or len(table.columns) < 2 or missing:
        raise StoreError(
            f"{path} has the columns {', '.join(table.columns[:5])}, {missing:,} values missing; "
            f"it needs {IDS!r}, the id of each cell, and {VECTORS!r} or a column per dimension."
        )
    vectors = table.drop(IDS)
    if vectors.columns != [VECTORS]:
        return vectors.to_numpy(), table[IDS].to_numpy()
    if vectors[VECTORS].dtype == polars.List:
        lengths = vectors[VECTORS].list.len().unique().sort().to_list()
        if len(lengths) != 1:
            raise StoreError(f"{path} has vectors of {lengths} numbers; all need the same length.")
        return vectors[VECTORS].list.to_array(lengths[0]).to_numpy(), table[IDS].to_numpy()
    return vectors[VECTORS].to_numpy(), table[IDS].to_numpy()


def _read_hdf5(path: Path) -> tuple[np.ndarray, np.ndarray]:
    check_self_contained(path)
    try:
        with open_hdf5(path) as file:
            for name in (VECTORS, IDS):
                found = file.get(name)
                if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "iuf":
                    raise StoreError(
                        f"{path} holds {', '.join(sorted(file)) or 'nothing'}, and no numbers "
                        f"{name!r}. It needs {VECTORS!r} (n, dim) and {IDS!r} (n,)."
                    )
            return file[VECTORS][()], file[IDS][()]
    except UNREADABLE as error:
        raise_system_error(error, path)
        raise StoreError(f"{path} cannot be read: {error}.") from error


def rows_by_id(path: Path, ids: np.ndarray, cells: Path, wanted: np.ndarray) -> np.ndarray:
    """Return the row of each wanted cell in a user's file, whatever its order.

    Parameters
    ----------
    ids : (n,) int
        Those of the file.
    cells
        Table of all cells of the dataset.
    wanted : (m,) int
        Cells that need an embedding; others of the table may have one.

    Raises
    ------
    StoreError
        An id is missing, doubled, or of no cell.
    """
    _require_one_each(path, ids, cells, wanted)
    rows = pd.Series(np.arange(len(ids)), index=ids)[wanted].to_numpy()
    if (np.diff(rows) < 0).any():
        print(f"{path} has another order than {cells}; put right by its ids.", file=sys.stderr)
    return rows


def _require_one_each(path: Path, ids: np.ndarray, cells: Path, wanted: np.ndarray) -> None:
    known = load_cells(cells)[IDS].to_numpy()
    counts = pd.Series(ids).value_counts()
    faults = {
        "has several embeddings of": counts.index[counts > 1].to_numpy(),
        f"has embeddings of ids that {cells} does not have:": np.setdiff1d(ids, known),
        "has no embedding of": np.setdiff1d(wanted, ids),
    }
    said = [
        f"{what} {len(wrong):,} cells, first {wrong.min()}"
        for what, wrong in faults.items()
        if len(wrong)
    ]
    if said:
        raise StoreError(
            f"{path} {'; it '.join(said)}. Its ids are the column `id` of {cells}; write it again "
            "with one row per cell."
        )
