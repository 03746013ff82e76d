import json
from pathlib import Path

import pandas as pd
import pytest
from jsonschema import Draft202012Validator
from tests.report.atlas.test_qupath import SPECIFICATION

from cryotome.core.errors import StoreError
from cryotome.core.files import save_json, sha256
from cryotome.report.atlas.applied import merge_folds, write_applied

SCORES = {0: [0.1, 0.6, 0.5], 1: [0.3, 0.9, 0.5]}


@pytest.fixture
def files(tmp_path) -> tuple[list[Path], Path]:
    cells = tmp_path / "cells.csv"
    places = {"x": [10.0, 20.0, 0.0], "y": [10.0, 50.0, 0.0]}
    table = pd.DataFrame({"id": [4, 5, 6], "image": ["a.svs", "b.svs", "b.svs"], "slide": "s"})
    table.assign(**places, domain="d", label=-1).to_csv(cells, index=False)
    paths = []
    for fold, scores in SCORES.items():
        paths.append(tmp_path / f"fold={fold}.csv")
        found = pd.DataFrame({"id": [6, 5, 4], "label": "", "score": scores[::-1]})
        found.to_csv(paths[-1], index=False)
        about = {"csv_sha256": sha256(paths[-1]), "cells_sha256": sha256(cells), "dataset": "d"}
        save_json(
            about | {"scheme": "random", "classes": ["no", "yes"]}, paths[-1].with_suffix(".json")
        )
    return paths, cells


def test_each_cell_has_the_mean_and_the_population_sd_of_the_folds(files):
    table, about = merge_folds(*files)
    assert table.columns.tolist() == ["id", "image", "slide", "x", "y", "score", "score_sd"]
    assert table["id"].tolist() == [4, 5, 6]
    assert table["score"].tolist() == pytest.approx([0.2, 0.75, 0.5])
    assert table["score_sd"].tolist() == pytest.approx([0.1, 0.15, 0.0])
    assert (about["trained_on"], about["folds"]) == ("d, random", 2)


def test_scores_that_were_edited_or_are_of_other_cells_are_refused(files):
    paths, cells = files
    text = paths[1].read_text(encoding="utf-8")
    paths[1].write_text(text.replace("0.3", "0.4"), encoding="utf-8")
    with pytest.raises(StoreError, match="fold=1.csv was edited, or scores other cells"):
        merge_folds(paths, cells)
    paths[1].write_text(text, encoding="utf-8")
    cells.write_text(cells.read_text(encoding="utf-8") + "7,c.svs,s,1,1,d,-1\n", encoding="utf-8")
    with pytest.raises(StoreError, match="fold=0.csv was edited, or scores other cells"):
        merge_folds(paths, cells)


def test_an_image_has_its_detections_as_qupath_reads_them(files, tmp_path):
    table, about = merge_folds(*files)
    write_applied(table, tmp_path / "out", about | {"dataset": "t", "row": "m + h"})
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["a.svs.geojson", "b.svs.geojson"]  # of b one cell has no position
    read = [json.loads((tmp_path / "out" / name).read_text(encoding="utf-8")) for name in found]
    for collection in read:
        Draft202012Validator(SPECIFICATION).validate(collection)
        assert len(collection["features"]) == 1
    no, yes = (collection["features"][0]["properties"] for collection in read)
    assert (no["classification"]["name"], yes["classification"]["name"]) == ("no", "yes")
    assert no["measurements"] == pytest.approx({"score m + h": 0.2, "SD over folds": 0.1})
    tie = table.assign(score=0.5, x=1.0)  # the first class, as in every table
    write_applied(tie, tmp_path / "tie", about | {"dataset": "t", "row": "m + h"})
    said = (tmp_path / "tie" / "a.svs.geojson").read_text(encoding="utf-8")
    (feature,) = json.loads(said)["features"]
    assert feature["properties"]["classification"]["name"] == "no"
    assert read[1]["features"][0]["geometry"]["coordinates"][0][0] == [-5.0, 25.0]
    assert read[0]["scores"] == "m + h"
