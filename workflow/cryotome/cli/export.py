"""Embeddings of a store as NumPy arrays, for other programs and for other studies.

    python -m cryotome.cli.export results/embeddings/midog2022/paper-fp32/uni.h5 exported

`{dataset}.npy` and `{dataset}.ids.npy` are what a model card with `loader: embeddings` reads.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from cryotome.core.errors import StoreError
from cryotome.core.files import atomic_write, ids_beside, sha256
from cryotome.core.store import EMBEDDINGS, provenance
from cryotome.core.tables import read_csv, save_csv
from cryotome.data.cells import load_cells
from cryotome.data.splits.cells import indices_of
from cryotome.encoders.embedding_store import read_embeddings
from cryotome.runtime.interpreter import run_program

ROLES = {"train": "train", "validation": "val", "test": "test"}  # of a split, to those of PRISM


def export(store: Path, folder: Path, split: Path | None = None) -> list[Path]:
    """Write the embeddings of a store, their ids, and a table of their cells in the same order.

    Parameters
    ----------
    store
        `…/embeddings/{dataset}/{view}/{model}.h5`, with `…/cells/{dataset}.csv` beside.
    split
        `fold={fold}.csv`: its parts are written, too, as the package `prism-bench` takes them.

    Returns
    -------
    The files: `{dataset}.npy` (n, dim) float32, `{dataset}.ids.npy` (n,), `{dataset}.csv`, the
    manifest of the package `croma`; of a split `{dataset}.{train,val,test}_{features,labels}.npy`.

    Raises
    ------
    StoreError
        It is no store of embeddings, is damaged, or its table of cells is another one by now.
    SplitError
        The split names cells that the store does not have.
    """
    found = provenance(store, EMBEDDINGS)
    cells = _cells_of(store)
    dataset = cells.stem
    asked = {name: found[name] for name in ("model", "view")}
    x, ids, _ = read_embeddings(store, **asked, cells_sha256=sha256(cells))
    table = load_cells(cells).set_index("id").loc[ids].reset_index()
    arrays = {folder / f"{dataset}.npy": x}
    arrays[ids_beside(folder / f"{dataset}.npy")] = ids
    for role, part in _parts(split, ids).items():
        arrays[folder / f"{dataset}.{role}_features.npy"] = x[part]
        arrays[folder / f"{dataset}.{role}_labels.npy"] = table["label"].to_numpy()[part]
    for path, values in arrays.items():
        with atomic_write(path) as beside, beside.open("wb") as file:
            np.save(file, values)
    save_csv(_manifest(table, dataset), folder / f"{dataset}.csv")
    return [*arrays, folder / f"{dataset}.csv"]


def _cells_of(store: Path) -> Path:
    dataset = store.absolute().parts[-3]
    cells = store.absolute().parents[3] / "cells" / f"{dataset}.csv"
    if not cells.is_file():
        raise StoreError(
            f"{store} has no table of cells at {cells}. Export it from where it was made, "
            "`results/embeddings/{dataset}/{view}/{model}.h5`."
        )
    return cells


def _parts(split: Path | None, ids: np.ndarray) -> dict[str, np.ndarray]:
    """Return the rows of each role of a split that has cells."""
    if split is None:
        return {}
    roles = read_csv(split)
    named = {theirs: roles.loc[roles["role"] == mine, "id"] for mine, theirs in ROLES.items()}
    return {role: indices_of(ids, wanted) for role, wanted in named.items() if len(wanted)}


def _manifest(cells: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return croma's manifest of cells: a slide is what makes two of them depend on each other."""
    names = {"id": "sample_id", "image": "image_path", "slide": "group_id"}
    kept = ["sample_id", "image_path", "label", "group_id", "domain"]
    return cells.rename(columns=names)[kept].assign(dataset=dataset)


def main(store: Path, folder: Path, split: Path | None = None) -> None:
    """Export a store and print what was written."""
    for path in export(store, folder, split):
        print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="…/embeddings/{dataset}/{view}/{model}.h5")
    parser.add_argument("folder", type=Path, help="where the files are written")
    parser.add_argument("--split", type=Path, help="…/splits/…/fold=0.csv")
    given = parser.parse_args()
    run_program(lambda: main(given.store, given.folder, given.split))
