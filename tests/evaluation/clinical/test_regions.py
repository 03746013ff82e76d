import numpy as np
import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.data.demo.mitoses import DOMAINS, SLIDE_DOMAIN
from cryotome.evaluation.clinical.regions import (
    fully_tested_regions,
    join_regions,
    read_fold,
    region_areas,
)

CELLS = pd.DataFrame(
    {
        "id": np.arange(12),
        "image": list("aaaabbbbcccc"),
        "slide": list("111111112222"),
        "domain": ["lung"] * 8 + ["skin"] * 4,
        "label": [0, 1] * 6,
    }
)


def split(**roles) -> pd.DataFrame:
    """A split in which every cell is tested but those named: an id to its role, or to none."""
    role = dict.fromkeys(range(12), "test") | {int(k[1:]): v for k, v in roles.items()}
    kept = {cell: name for cell, name in role.items() if name}
    return pd.DataFrame({"id": list(kept), "role": list(kept.values())})


def whole(cells: pd.DataFrame = CELLS, **roles) -> set[str]:
    table = join_regions(cells, {})
    return set(table["region"][fully_tested_regions(table, split(**roles))])


def test_a_region_of_which_every_cell_is_tested_counts():
    assert whole() == {"a", "b", "c"}


@pytest.mark.parametrize("role", ["train", "validation", None])
def test_one_cell_that_trains_validates_or_is_absent_excludes_its_region(role):
    assert whole(_5=role) == {"a", "c"}


def test_a_cell_that_the_audit_left_out_does_not_exclude_its_region():
    assert whole(CELLS.drop(index=5), _5=None) == {"a", "b", "c"}


def test_a_fold_of_random_cells_counts_no_region_even_where_chance_tests_one_whole():
    lonely = CELLS.assign(image=list("abbbbbbbcccc"))
    mixed = {f"_{cell}": "train" for cell in (1, 2, 3, 4, 5, 8, 9, 10)}
    assert whole(lonely, **mixed) == set()  # `a`, one cell, is tested by chance


def test_where_every_image_is_one_cell_regions_are_slides():
    table = join_regions(CELLS.assign(image=np.arange(12).astype(str)), {})
    assert table["region"].tolist() == list("111111112222")


def test_the_cells_of_a_region_add_up_to_its_area():
    table = join_regions(CELLS, {"lung": 2.0})
    area = table.groupby("region", observed=True)["mm2"].sum(min_count=1)
    assert area[["a", "b"]].tolist() == [2.0, 2.0]
    assert np.isnan(area["c"])  # no area is known in skin


def test_a_fold_knows_the_domains_that_it_trains_on():
    table = join_regions(CELLS, {})
    fold = read_fold("except_skin", 3, table, split(_0="train", _1="validation", _8="validation"))
    assert (fold.scheme, fold.number, fold.trained) == ("except_skin", 3, frozenset({"lung"}))


def test_areas_of_the_cards_are_those_of_the_images():
    side = {"demo_rois": 900, "demo_slides": 1024}  # px, as `make_demo` draws them
    rois, slides = (region_areas(load_card(CONFIG, "datasets", name)) for name in side)
    for domain in DOMAINS:
        width = side["demo_rois"] * DOMAINS[domain].mpp / 1000  # mm
        assert rois[domain.removeprefix("demo ")] == pytest.approx(width**2, abs=1e-9)
    width = side["demo_slides"] * SLIDE_DOMAIN.mpp / 1000
    assert slides == {"mast_cell": pytest.approx(width**2, abs=1e-9)}


def test_midog_regions_measure_two_square_millimetres_and_other_cards_say_nothing():
    areas = {name: region_areas(load_card(CONFIG, "datasets", name)) for name in NAMES}
    assert set(areas["midog2022"].values()) == set(areas["midogpp"].values()) == {2.0}
    assert areas["ccmct"] == areas["amibr"] == {}


NAMES = ["midog2022", "midogpp", "ccmct", "amibr"]


def test_images_of_one_cell_whose_slides_have_no_other_name_are_no_regions():
    names = np.arange(12).astype(str)
    assert whole(CELLS.assign(image=names, slide=names)) == set()
