import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from croma import RI, CRoMa, MaRI
from tests.encoders.test_embedding_store import write

from cryotome.cli.export import export, main
from cryotome.core.errors import StoreError
from cryotome.encoders.own_embeddings import read_own_embeddings
from cryotome.evaluation.robustness.sample import sample_cells
from cryotome.evaluation.robustness.table import measure_stores, robustness_table
from cryotome.study.robustness import RobustnessFacts


@pytest.fixture
def results(store, cohort, tmp_path):
    """A folder of results with one store and the table of its cells."""
    folder = tmp_path / "results"
    (folder / "cells").mkdir(parents=True)
    shutil.copy(cohort / "cells.csv", folder / "cells" / "d.csv")
    write(
        folder / "embeddings" / "d" / "paper-fp32" / "colour_histogram.h5",
        store,
        "colour_histogram",
    )
    return folder


@pytest.fixture
def made(results):
    return results / "embeddings" / "d" / "paper-fp32" / "colour_histogram.h5"


def test_a_store_is_written_as_arrays_with_ids_that_can_be_brought_back(made, tmp_path, capsys):
    main(made, tmp_path / "out")
    written = capsys.readouterr().out.split()
    assert [path.rsplit("/", 1)[1] for path in written] == ["d.npy", "d.ids.npy", "d.csv"]
    values, ids, _ = read_own_embeddings(tmp_path / "out" / "d.npy")
    mine, own, _ = read_own_embeddings(made)
    assert (values == mine).all()
    assert (ids == own).all()


def test_the_manifest_is_the_one_of_croma_in_the_order_of_the_rows(made, results, tmp_path):
    """https://github.com/clemsgrs/croma, docs/manifest.rst: five columns, and dataset."""
    export(made, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "d.csv", dtype=str)
    cells = pd.read_csv(results / "cells" / "d.csv", dtype=str)
    columns = ["sample_id", "image_path", "label", "group_id", "domain", "dataset"]
    assert list(table) == columns
    assert table["sample_id"].tolist() == cells["id"].tolist()
    assert table["group_id"].tolist() == cells["slide"].tolist()
    assert set(table["dataset"]) == {"d"}


def test_parts_of_a_split_are_the_arrays_that_prism_bench_takes(made, results, tmp_path):
    """prism-bench 0.3.0: features (n, dim) and labels (n,) of train, test and val."""
    split = tmp_path / "fold=0.csv"
    roles = ["train"] * 20 + ["validation"] * 4 + ["test"] * 24
    pd.DataFrame({"id": np.arange(48)[::-1], "role": roles}).to_csv(split, index=False)
    export(made, tmp_path / "out", split)
    x, ids, _ = read_own_embeddings(made)
    labels = pd.read_csv(results / "cells" / "d.csv").set_index("id")["label"]
    for role, place in (("train", slice(0, 20)), ("val", slice(20, 24)), ("test", slice(24, 48))):
        mine = np.arange(48)[::-1][place]
        features = np.load(tmp_path / "out" / f"d.{role}_features.npy")
        assert (features == x[mine]).all()
        found = np.load(tmp_path / "out" / f"d.{role}_labels.npy")
        assert found.tolist() == labels[ids[mine]].tolist()


def test_what_is_no_store_or_has_no_cells_is_named(made, results, tmp_path):
    shutil.copy(made, tmp_path / "alone.h5")
    with pytest.raises(StoreError, match=r"alone.h5 has no table of cells at .* Export it from"):
        export(tmp_path / "alone.h5", tmp_path / "out")
    table = results / "cells" / "d.csv"
    table.write_text(table.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"colour_histogram.h5 was made for cells_sha256"):
        export(made, tmp_path / "out")
    with pytest.raises(StoreError, match="is not a readable HDF5 file"):
        export(table, tmp_path / "out")


def test_croma_on_the_exported_store_gives_the_numbers_of_the_table(made, results, tmp_path):
    """Its own functions on its own manifest, as https://github.com/clemsgrs/croma says."""
    export(made, tmp_path / "out")
    manifest = pd.read_csv(tmp_path / "out" / "d.csv")
    exported = np.load(tmp_path / "out" / "d.npy")
    k, table = 2, pd.read_csv(results / "cells" / "d.csv")
    how = RobustnessFacts(
        confounders=["domain"], neighbours=k, max_cells=10**6, view="", stores=[], identities=[],
        heads={"colour_histogram": ["ridge"]}, cards={"d": {}},
    )  # fmt: skip
    x, ids, _ = read_own_embeddings(made)
    found = measure_stores([("d", "colour_histogram", x, ids)], {"d": table}, how, 10)
    values = robustness_table(list(found), {}, how).set_index("index")["value"]
    used, whole = sample_cells(table, {}, "domain", neighbours=k, most=10**6)
    assert whole == len(used)
    kept = manifest["sample_id"].isin(used["sample_id"]).to_numpy()
    given = {"features": exported[kept], "manifest": manifest[kept], "confounder_column": "domain"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # on the support
        expected = {
            "RI": RI.compute(k_candidates=[k], **given).value,
            "MaRI": MaRI.compute(k_candidates=[k], **given).value,
            "CRoMa": CRoMa.compute(m=k, **given).value,
            "CRoMa tail": CRoMa.compute(m=k, **given).ltm_alpha,
        }
    assert values[list(expected)].to_dict() == pytest.approx(expected)
    assert expected["CRoMa"] != 0
