import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG, cut
from PIL import Image

from cryotome.core.cards import load_card
from cryotome.core.errors import DataError
from cryotome.core.files import sha256
from cryotome.data.cells import load_cells, read_cells
from cryotome.data.patches import read_patches
from cryotome.encoders.embedders import ComputeSettings, ModelView, embedder_of_store
from cryotome.encoders.embedding_store import read_embeddings, write_embeddings


def test_permuted_labels_keep_the_counts_only(cohort, demo_card):
    plain, shuffled = (
        read_cells(cohort / "annotations.json", cohort, demo_card | {"permute_labels": p}, "d")[
            "label"
        ]
        for p in (False, True)
    )
    assert plain.sum() == shuffled.sum()
    assert abs(plain.corr(shuffled)) < 0.1


def test_a_dataset_without_one_class_is_refused(cohort, demo_card, tmp_path):
    content = json.loads((cohort / "annotations.json").read_text(encoding="utf-8"))
    for entry in content["annotations"]:
        entry["category_id"] = 2
    (tmp_path / "a.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=r"cells and none of class 'mitotic figure'. Correct `id:`"):
        read_cells(tmp_path / "a.json", cohort, demo_card, "demo_rois")


def many_classes(folder, names, tiles=()):
    """Write class folders: of each class two flat images, and these files in the last class."""
    for place, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for number in range(2):
            plain = Image.new("RGB", (224, 224), (20 * place, 90, 90 + number))
            plain.save(folder / name / f"{name}-{number}.tif")
    for tile in tiles:
        shutil.copy(tile, folder / names[-1])


def test_class_folders_may_have_nine_classes_with_labels_in_the_order_of_the_card(tmp_path):
    card = load_card(CONFIG, "datasets", "nct_crc_100k")
    names = [entry["id"] for entry in card["classes"]]
    assert names == ["ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM"]
    many_classes(tmp_path, names)
    with pytest.raises(
        DataError, match=r"18 images instead of 100000; colon has \[2, 2, 2, .* not"
    ):
        read_cells(None, tmp_path, card, "nct")
    counted = card | {"expect": {"images": 18, "cells": {"colon": [2] * 9}}}
    cells = read_cells(None, tmp_path, counted, "nct")
    assert cells["label"].tolist() == [n // 2 for n in range(18)]
    assert cells.loc[[0, 17], "image"].tolist() == ["ADI/ADI-0.tif", "TUM/TUM-1.tif"]
    assert (cells["slide"] == cells["image"]).all()
    shutil.rmtree(tmp_path / "LYM")
    with pytest.raises(DataError, match=r"LYM holds no images of class 'lymphocytes'"):
        read_cells(None, tmp_path, counted, "nct")


def test_counts_of_the_cards_sum_to_what_the_record_says():
    for name, total in (("nct_crc_100k", 100_000), ("crc_val_he_7k", 7_180)):
        card = load_card(CONFIG, "datasets", name)
        assert sum(card["expect"]["cells"]["colon"]) == card["expect"]["images"] == total
        assert len(card["expect"]["cells"]["colon"]) == len(card["classes"]) == 9


def test_real_tiles_are_read_cut_and_embedded(shared, tmp_path):
    card = load_card(CONFIG, "datasets", "nct_crc_100k")
    card.pop("expect")
    tiles = sorted((shared / "nct_crc" / "TUM").glob("*.png"))
    images, store, table = tmp_path / "NCT", tmp_path / "patches.h5", tmp_path / "cells.csv"
    many_classes(images, [entry["id"] for entry in card["classes"]], tiles)
    cells = read_cells(None, images, card, "nct")
    assert cells["label"].value_counts()[8] == 6  # four are real
    cells.to_csv(table, index=False)
    cut(store, table, images, card)
    row = int(cells.index[cells["image"] == f"TUM/{tiles[0].name}"][0])
    patches, ids, _ = read_patches(store, cells=table)
    assert (patches[row, 24:-24, 24:-24] == np.asarray(Image.open(tiles[0]))).all()
    histogram = load_card(CONFIG, "models", "colour_histogram")
    model, compute = (
        ModelView("m", histogram, "paper-fp32"),
        ComputeSettings(tmp_path, "cpu", 1, tmp_path),
    )
    embedder = embedder_of_store(store, model, compute)
    write_embeddings(tmp_path / "e.h5", store, embedder, partial=tmp_path / "partial")
    wanted = {"model": "m", "view": "paper-fp32", "cells_sha256": sha256(table)}
    x, of, _ = read_embeddings(tmp_path / "e.h5", **wanted)
    assert (x.shape, of.tolist()) == ((22, 96), ids.tolist())
    assert x.sum(axis=1) == pytest.approx(6)


def crops(folder, count, **columns):
    """A table of points, each the only one of its image, and the card that reads it."""
    lines = pd.DataFrame({"x": 9, "y": 9, "label": [n % 2 for n in range(count)]})
    lines["filename"] = [f"crop{n}.png" for n in range(count)]
    lines.assign(**columns).to_csv(folder / "cells.csv", index=False)
    classes = [{"name": "look-alike", "id": 0}, {"name": "mitotic figure", "id": 1}]
    domains = {"lab": {"title": "lab", "where": {}}}
    return {"reader": "table", "classes": classes, "domains": domains}


def test_many_images_of_one_cell_each_are_no_slides_until_the_card_says_what_they_are(tmp_path):
    path, card = tmp_path / "cells.csv", crops(tmp_path, 12)
    with pytest.raises(DataError, match=r"'mine': 12 images of one cell .*cells.csv. Write `slid"):
        read_cells(path, tmp_path, card, "mine")
    for said in ("unknown", "images"):
        cells = read_cells(path, tmp_path, card | {"slides": said}, "mine")
        assert (cells["slide"] == cells["image"]).all()


@pytest.mark.parametrize("spelt", ["crop{}.png", "crop{}"])
def test_a_column_that_repeats_the_images_names_no_slide(tmp_path, spelt):
    card = crops(tmp_path, 12, slide=[spelt.format(n) for n in range(12)])
    with pytest.raises(DataError, match=r"12 images of one cell each"):
        read_cells(tmp_path / "cells.csv", tmp_path, card, "mine")


def test_points_of_one_image_need_no_slide(tmp_path):
    card = crops(tmp_path, 12, filename=["a.svs"] * 6 + ["b.svs"] * 6)
    assert set(read_cells(tmp_path / "cells.csv", tmp_path, card, "mine")["slide"]) == {
        "a.svs",
        "b.svs",
    }


def test_a_card_that_calls_named_slides_unknown_is_refused(tmp_path):
    card = crops(tmp_path, 12, slide=[f"S{n // 3}" for n in range(12)])
    assert read_cells(tmp_path / "cells.csv", tmp_path, card, "mine")["slide"].nunique() == 4
    with pytest.raises(DataError, match=r"cells.csv names slides, first 'S0', and the card has"):
        read_cells(tmp_path / "cells.csv", tmp_path, card | {"slides": "unknown"}, "mine")


def test_class_folders_without_slides_are_refused_until_the_card_says_so(tmp_path):
    card = {"reader": "class_folders", "domains": {"lab": {"title": "lab", "where": {}}}}
    card["classes"] = [{"name": "no", "id": "no"}, {"name": "yes", "id": "yes"}]
    many_classes(tmp_path, ["no", "yes"])
    with pytest.raises(DataError, match=r"4 images of one cell each, .*any file. Write `slides: u"):
        read_cells(None, tmp_path, card, "mine")
    assert len(read_cells(None, tmp_path, card | {"slides": "unknown"}, "mine")) == 4
    (tmp_path / "m.csv").write_text("file\nno-0\nno-1\nyes-0\nyes-1\n", encoding="utf-8")
    keyed = card | {"reading": {"image_pattern": "{file}", "slide": "{file}"}}
    with pytest.raises(DataError, match=r"slides are not named in .*m.csv"):
        read_cells(tmp_path / "m.csv", tmp_path, keyed, "mine")
    keyed |= {"reading": {"image_pattern": "{file}"}, "slides": "unknown"}
    cells = read_cells(tmp_path / "m.csv", tmp_path, keyed, "mine")
    assert (cells["slide"] == cells["image"]).all()


def table_card(**domains):
    wheres = {name: {"title": name, "where": where} for name, where in domains.items()}
    classes = [{"name": name, "id": name} for name in ("look-alike", "mitotic figure")]
    return {"reader": "table", "classes": classes, "domains": wheres}


def read_lines(folder, header, lines, card):
    path = folder / "cells.csv"
    path.write_text("\n".join([f"x,y,label,{header}", *lines]) + "\n", encoding="utf-8")
    out = folder / "out.csv"
    read_cells(path, folder, card, "mine").to_csv(out, index=False)
    return load_cells(out)


NAMES = ["01", "1", "1e5", "NA", "None", "nan", "true", "1.0", "007.10"]


def test_names_that_look_like_numbers_or_nothing_stay_text_from_file_to_table(tmp_path):
    lines = [
        f"1,1,{('look-alike', 'mitotic figure')[i % 2]},{n}.png,{n}" for i, n in enumerate(NAMES)
    ]
    found = read_lines(tmp_path, "filename,slide", lines, table_card(all={}))
    assert sorted(found["slide"]) == sorted(NAMES)
    assert sorted(found["image"]) == sorted(f"{name}.png" for name in NAMES)


def test_a_domain_is_asked_for_as_text_or_as_a_number(tmp_path):
    lines = ["1,1,look-alike,a,01,1.0,true", "2,2,mitotic figure,b,1,2.0,false"]
    for card in (
        table_card(a={"domain": "01"}, b={"domain": "1"}),
        table_card(a={"domain": "01"}, b={"domain": 1}),
        table_card(a={"grade": 1}, b={"grade": 2.0}),
        table_card(a={"grade": [0, 1]}, b={"grade": [1.5, 2]}),
        table_card(a={"old": True}, b={"old": False}),
        table_card(a={"old": "true"}, b={"old": "false"}),
    ):
        found = read_lines(tmp_path, "filename,domain,grade,old", lines, card)
        assert found.set_index("image")["domain"].to_dict() == {"a": "a", "b": "b"}
    with pytest.raises(DataError, match="match no domain.*put text such as 01 in quotes"):
        read_lines(tmp_path, "filename,domain,grade,old", lines, table_card(a={"domain": 1}))


def test_both_forms_of_unicode_are_one_slide_and_one_domain(tmp_path):
    lines = [
        "1,1,look-alike,\u00fc.png,\u00fc,gro\u00df\u00fc",
        "2,2,mitotic figure,u\u0308.png,u\u0308,gro\u00dfu\u0308",
    ]
    found = read_lines(
        tmp_path, "filename,slide,domain", lines, table_card(a={"domain": "gro\u00dfu\u0308"})
    )
    assert set(found["slide"]) == {"\u00fc"} and set(found["image"]) == {"\u00fc.png"}
