import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import CONFIG, cut

from cryotome.core.cards import load_card
from cryotome.core.errors import DataError
from cryotome.data.audit import (
    COLUMNS,
    equal_patches,
    example_rows,
    find_oddities,
    near_pairs,
    raise_if_refused,
    summarise,
)
from cryotome.data.cells import read_cells
from cryotome.data.splits.cells import drop_audited
from cryotome.study.catalog import POLICIES

KEEP = POLICIES | {"border": "keep"}


def cells(*rows, **columns):
    table = pd.DataFrame(rows, columns=["image", "x", "y", "label"])
    return table.assign(id=table.index, slide=table["image"], domain="d", **columns)


@pytest.fixture
def image(tmp_path):
    """Two images of noise; the second is a copy of the first."""
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    for name in ("a.tiff", "b.tiff"):
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb")
    return tmp_path


def findings(folder, table, card, broken="refuse", **policies):
    table.to_csv(folder / "cells.csv", index=False)
    cut(folder / "p.h5", folder / "cells.csv", folder, card, broken=broken)
    return find_oddities(table, folder / "p.h5", folder, card, KEEP | {"broken": broken} | policies)


def listed(found, kind):
    part = found[found["finding"] == kind]
    return part[["id", "other"]].to_numpy().tolist()


def test_each_oddity_is_found_once(image, demo_card):
    table = cells(
        ("a.tiff", 100, 100, 0),
        ("a.tiff", 120, 80, 1),  # 20 px from cell 0
        ("a.tiff", 200, 30, 1),
        ("a.tiff", 226, 30, 1),  # 26 px from cell 2
        ("a.tiff", 5, 100, 0),  # its window of 32 px reaches beyond the image
        ("a.tiff", -3, 60, 1),
        ("b.tiff", 100, 100, 1),  # the pixels of cell 0, another label
        ("b.tiff", 226, 30, 1),  # the pixels of cell 3, the same label
    )
    found = findings(image, table, demo_card)
    assert list(found.columns) == COLUMNS
    assert listed(found, "near") == [[1, 0]]
    assert listed(found, "outside") == [[5, -1]]
    assert listed(found, "border") == [[4, -1], [5, -1]]
    assert listed(found, "conflict") == [[0, 6], [6, 0]]
    assert listed(found, "duplicate") == [[7, 3]]
    assert not found["left_out"].any()
    assert summarise(table, found, KEEP, "mine") == (
        "mine: 8 cells on 2 images, 2 slides; 0 cells on images that cannot be read, 1 centres "
        "outside their image, 2 windows across the border, 1 exact duplicates, 2 exact duplicates "
        "with another label, 1 near pairs (within 25 px; 1 with contradicting labels); 8 cells "
        "enter the splits."
    )


def test_policies_take_cells_out(image, demo_card):
    table = cells(
        ("a.tiff", 100, 100, 0),
        ("b.tiff", 100, 100, 1),  # equal, contradicting: both go
        ("a.tiff", 200, 30, 1),
        ("b.tiff", 200, 30, 1),  # equal, agreeing: the second goes
        ("a.tiff", 215, 30, 1),  # near cell 2, agreeing: the second goes
        ("a.tiff", -3, 60, 1),
        ("a.tiff", 60, 150, 1),
    )
    drop = dict.fromkeys(("duplicate", "conflict", "near", "outside", "border"), "drop")
    found = findings(image, table, demo_card, **drop)
    assert drop_audited(table, found)["id"].tolist() == [2, 6]
    assert "2 cells enter the splits" in summarise(table, found, KEEP | drop, "d")


def test_of_equal_patches_under_two_labels_none_stays(image, demo_card):
    (image / "c.tiff").write_bytes((image / "a.tiff").read_bytes())
    equal = [
        (name, 100, 100, label)
        for name, label in zip(("a.tiff", "b.tiff", "c.tiff"), (0, 0, 1), strict=True)
    ]
    table = cells(*equal, ("a.tiff", 60, 150, 1))
    found = findings(image, table, demo_card, conflict="drop")
    assert sorted(listed(found, "conflict")) == [[0, 2], [1, 2], [2, 0]]
    assert drop_audited(table, found)["id"].tolist() == [3]


def test_of_a_chain_of_near_cells_every_second_stays(image, demo_card):
    table = cells(*[("a.tiff", 60 + 20 * i, 100, 1) for i in range(4)])
    found = findings(image, table, demo_card, near="drop")
    assert drop_audited(table, found)["id"].tolist() == [0, 2]


def test_both_cells_of_a_contradiction_are_left_out_of_the_splits(image, demo_card):
    table = cells(("a.tiff", 100, 100, 0), ("b.tiff", 100, 100, 1), ("a.tiff", 60, 150, 1))
    found = findings(image, table, demo_card, conflict="drop")
    assert drop_audited(table, found)["id"].tolist() == [2]


@pytest.mark.parametrize("finding", ["outside", "conflict"])
def test_what_is_surely_wrong_is_refused_with_the_way_out(image, demo_card, finding):
    odd = {"outside": ("b.tiff", 2000, 60, 1), "conflict": ("b.tiff", 100, 100, 1)}[finding]
    table = cells(("a.tiff", 100, 100, 0), odd)
    found = findings(image, table, demo_card)
    where = r"cell 1, b.tiff at \(\d+, \d+\), label 1"
    with pytest.raises(
        DataError, match=rf"(?s)'mine' has [12] .*{where}.*audit: {{{finding}: drop}}"
    ):
        raise_if_refused(found, KEEP, "mine")
    raise_if_refused(found, KEEP | {finding: "keep"}, "mine")


def test_a_broken_image_is_a_finding_where_it_may_be_dropped(image, demo_card):
    (image / "b.tiff").write_bytes((image / "b.tiff").read_bytes()[:20_000])
    table = cells(("a.tiff", 100, 100, 0), ("b.tiff", 50, 50, 1), ("b.tiff", 90, 50, 1))
    found = findings(image, table, demo_card, broken="drop")
    assert listed(found, "broken") == [[1, -1], [2, -1]]
    assert found["left_out"].tolist() == [True, True]


def test_midog_has_nine_pairs_of_cells_within_25_px_of_equal_labels(shared):
    """18 annotations, as the reference counts them; CCMCT's 457 pairs need its file."""
    for name in ("midogpp", "midog2022"):
        card = load_card(CONFIG, "datasets", name)
        found = read_cells(shared / card["annotations"], shared, card, name)
        pairs, label = near_pairs(found, 25), found.set_index("id")["label"].to_numpy()
        assert pairs.shape == (9, 2)
        assert len(set(pairs.ravel())) == 18
        assert (label[pairs[:, 0]] == label[pairs[:, 1]]).all()


def test_crops_of_one_slide_share_its_coordinates(shared, tmp_path):
    card = load_card(CONFIG, "datasets", "amibr")
    every = read_cells(shared / card["annotations"], shared / "amibr", card, "amibr")
    some = every[every["slide"] == every["slide"].iloc[0]].reset_index(drop=True)
    some = some.assign(id=some.index)
    some.to_csv(tmp_path / "cells.csv", index=False)
    cut(tmp_path / "p.h5", tmp_path / "cells.csv", shared / "amibr", card)
    found = find_oddities(some, tmp_path / "p.h5", shared / "amibr", card, KEEP | {"near_px": 5000})
    pairs = len(some) * (len(some) - 1) // 2
    assert 0 < len(listed(found, "near")) <= pairs


def test_equal_patches_are_told_by_what_the_network_sees(store):
    assert equal_patches(store) == []


def test_examples_show_each_domain_and_class_and_each_finding(image, demo_card):
    table = cells(*[("a.tiff", 60 + 30 * i, 100, i % 2) for i in range(6)])
    rows = example_rows(table, findings(image, table, demo_card, near_px=30), columns=2)
    assert list(rows) == ["d, 0", "d, 1", "near pairs"]
    assert all(len(ids) == 2 for ids in rows.values())


def test_policies_of_a_card_are_those_of_the_schema():
    from cryotome.core.cards import SCHEMAS, read_yaml

    audit = read_yaml(SCHEMAS / "dataset.schema.yaml")["properties"]["audit"]["properties"]
    assert set(audit) == set(POLICIES)
    for name, entry in audit.items():
        assert f"Else {json.dumps(POLICIES[name])}".replace('"', "`") in entry["description"] or (
            name == "near_px" and "Else 25." in entry["description"]
        )


def test_near_is_the_larger_of_both_distances_not_the_straight_line():
    table = cells(("a.tiff", 0, 0, 0), ("a.tiff", 25, 25, 0), ("a.tiff", 0, 26, 0))
    assert near_pairs(table, 25).tolist() == [[0, 1], [1, 2]]  # 35 px apart in a straight line


def test_patches_that_are_enlarged_from_a_coarser_image_are_counted(tmp_path, demo_card, capsys):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    for name, mpp in (("a.tiff", 0.25), ("b.tiff", 1.0)):
        unit = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
        tifffile.imwrite(tmp_path / name, pixels, photometric="rgb", **unit)
    table = cells(("a.tiff", 100, 100, 0), ("b.tiff", 200, 90, 1), ("b.tiff", 50, 90, 0))
    card = demo_card | {"patch": demo_card["patch"] | {"resolution": 0.25}}
    found = findings(tmp_path, table, card)
    assert listed(found, "enlarged") == [[1, -1], [2, -1]]
    said = summarise(table, found, KEEP, "mine")
    assert "2 patches enlarged from a coarser image; 3 cells enter" in said
    assert "Warning: enlarged patches hold no detail" in said
    raise_if_refused(found, KEEP, "mine")
    assert not found["left_out"].any()
