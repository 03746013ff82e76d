import json
import uuid

import numpy as np
import pandas as pd
import pytest
from atlas_by_hand import SCORES, by_hand, voted, windows
from jsonschema import Draft202012Validator

from cryotome.report.atlas.qupath import cell_points, file_names, square_ring, write_geojson

POSITION = {"type": "array", "minItems": 2, "maxItems": 3, "items": {"type": "number"}}
RING = {"type": "array", "minItems": 4, "items": POSITION}
# RFC 7946, sections 3.1.6, 3.2 and 3.3, as far as our files go; 7.1: no members of other objects
SPECIFICATION = {
    "type": "object",
    "required": ["type", "features"],
    "not": {"anyOf": [{"required": [n]} for n in ("coordinates", "geometry", "properties")]},
    "properties": {
        "type": {"const": "FeatureCollection"},
        "features": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "geometry", "properties"],
                "not": {"anyOf": [{"required": [n]} for n in ("coordinates", "features")]},
                "properties": {
                    "type": {"const": "Feature"},
                    "id": {"type": ["string", "number"]},
                    "geometry": {
                        "required": ["type", "coordinates"],
                        "properties": {
                            "type": {"const": "Polygon"},
                            "coordinates": {"type": "array", "minItems": 1, "items": RING},
                        },
                    },
                    "properties": {
                        # as QuPath reads them
                        "required": ["objectType", "classification", "measurements", "metadata"],
                        "properties": {
                            "objectType": {"enum": ["detection"]},
                            "name": {"type": "string"},
                            "classification": {
                                "required": ["name", "color"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "color": {
                                        "type": "array",
                                        "minItems": 3,
                                        "maxItems": 3,
                                        "items": {"type": "integer", "minimum": 0, "maximum": 255},
                                    },
                                },
                            },
                            "measurements": {
                                "type": "object",
                                "additionalProperties": {"type": "number"},
                            },
                            "metadata": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
    },
}
SHEETS = pd.DataFrame({"file": ["errors.left.a.h.jpg", "d.jpg"], "shown": [[0, 3], [3]]})


def refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def read(path):
    """Read a file as the specification wants it: JSON in UTF-8, no NaN."""
    return json.loads(path.read_bytes().decode(), parse_constant=refuse)


def written(folder, atlas=None, **card):
    atlas = atlas or by_hand(**card)
    table = write_geojson(atlas, windows(atlas), folder / "slides", SHEETS)
    return table, {line.place: read(folder / "slides" / line.file) for line in table.itertuples()}


def area(ring):
    """Return twice the signed area: positive where the ring runs anticlockwise."""
    x, y = np.array(ring).T
    return float((x[:-1] * y[1:] - x[1:] * y[:-1]).sum())


def test_every_file_meets_the_specification(tmp_path):
    _, files = written(tmp_path, synthetic="synthetic demo cohort")
    for content in files.values():
        Draft202012Validator(SPECIFICATION).validate(content)
        for feature in content["features"]:
            (ring,) = feature["geometry"]["coordinates"]
            assert ring[0] == ring[-1] and len(ring) == 5
            assert area(ring) == 2 * 50 * 50  # right-hand rule: the outer ring is anticlockwise
            assert np.isfinite(ring).all()
            assert str(uuid.UUID(feature["id"])) == feature["id"]
    ids = [feature["id"] for content in files.values() for feature in content["features"]]
    assert len(set(ids)) == 6


def test_the_check_finds_what_is_wrong(tmp_path):
    _, files = written(tmp_path)
    broken = files["1.tiff"]
    broken["features"][0]["properties"]["measurements"]["score a + h"] = None
    assert not Draft202012Validator(SPECIFICATION).is_valid(broken)
    assert area(square_ring(0, 0)[0][::-1]) < 0


def test_read_back_they_are_the_same_cells_labels_and_scores(tmp_path):
    atlas = by_hand()
    table, files = written(tmp_path)
    lines = []
    for place, content in files.items():
        for feature in content["features"]:
            about = feature["properties"]
            x, y = np.array(feature["geometry"]["coordinates"][0][:4]).mean(axis=0)
            line = {"id": int(about["metadata"]["cell"]), "image": place, "x": x, "y": y}
            line["label"] = atlas.classes.index(about["classification"]["name"])
            lines.append(line | about["measurements"])
    found = pd.DataFrame(lines).set_index("id").sort_index()
    columns = ["image", "x", "y", "label", "disagreement", *(f"score {row}" for row in atlas.rows)]
    pd.testing.assert_frame_equal(found[columns], atlas.table().set_index("id")[columns])
    assert found["rows that err"].tolist() == [1, 0, 1, 2, 1, 2]
    assert table[["slide", "file", "cells", "errors"]].to_numpy().tolist() == [
        ["1.tiff", "1.tiff.geojson", 4, 4],
        ["2.tiff", "2.tiff.geojson", 2, 3],
    ]


def test_a_cell_says_who_errs_and_leads_back(tmp_path):
    _, files = written(tmp_path, synthetic="synthetic demo cohort")
    first, *_, fourth = (f["properties"] for f in files["1.tiff"]["features"])
    assert first["metadata"] == {
        "cell": "0", "label": "look-alike", "slide": "1.tiff", "image": "1.tiff", "domain": "left",
        "errs": "a + h", "page": "../../../index.html#atlas-six",
        "sheets": "../sheets/errors.left.a.h.jpg", "holds figure": "yes",
        "synthetic": "synthetic demo cohort",
    }  # fmt: skip
    assert fourth["metadata"]["sheets"] == "../sheets/errors.left.a.h.jpg ../sheets/d.jpg"
    assert first["classification"] == {"name": "look-alike", "color": [0, 114, 178]}
    assert files["1.tiff"]["synthetic"] == "synthetic demo cohort"
    assert files["1.tiff"]["scores"].startswith("score of mitotic figure: mean over 1 to 2")


def test_scores_that_a_row_lacks_are_left_out(tmp_path):
    scores = {"a + h": [np.nan, *SCORES["a + h"][1:]], "b + h": [np.nan, *SCORES["b + h"][1:]]}
    _, files = written(tmp_path, by_hand(scores))
    assert files["1.tiff"]["features"][0]["properties"]["measurements"] == {"rows that err": 0}


def test_crops_without_a_position_lie_in_the_middle_of_their_image():
    cells = pd.DataFrame({"id": [4, 7], "x": [0.0, 300.0], "y": [0.0, 0.0]})
    seen = pd.DataFrame(
        {"id": [7, 4], "left": [268.0, 32.0], "top": [-32.0, 32.0], "side": 64.0,
         "place": ["MIDOG21/7", "Normal/a.png"]}
    )  # fmt: skip
    found = cell_points(cells, seen)
    assert found.to_numpy().tolist() == [[64, 64, "Normal/a.png"], [300, 0, "MIDOG21/7"]]


@pytest.mark.parametrize("name", ["a/b", "a b", "a?b", "ä/ö.tif", "a#b"])
def test_file_names_are_plain_and_no_two_are_one(name):
    names = file_names([name, name.upper(), "a_b"])
    assert len({file.lower() for file in names.values()}) == 3
    assert not any(set(file) & set("/ ?#%") for file in names.values())


@pytest.mark.parametrize("places", [["A", "a", "a.2"], ["x/7", "x_7", "x_7.2", "X_7.2.2"]])
def test_no_name_takes_the_file_of_another(places):
    """`a.2` was written over the second `a`."""
    assert len({file.lower() for file in file_names(places).values()}) == len(places)


def test_a_cell_says_how_many_raters_contradict_its_label(tmp_path):
    atlas = voted()
    sheets = pd.DataFrame({"file": [], "shown": []})
    write_geojson(atlas, windows(atlas), tmp_path, sheets)
    text = (tmp_path / "1.tiff.geojson").read_text(encoding="utf-8")
    said = [feature["properties"]["metadata"] for feature in json.loads(text)["features"]]
    assert [one["raters against label"] for one in said] == [
        "1 of 3", "0 of 3", "0 of 3", "1 of 3"
    ]  # fmt: skip
    write_geojson(by_hand(), windows(atlas), tmp_path, sheets)
    assert "raters against" not in (tmp_path / "1.tiff.geojson").read_text(encoding="utf-8")
