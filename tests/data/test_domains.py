import pandas as pd
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import DataError
from cryotome.data.cells import read_cells
from cryotome.data.domains import assign_scanners, cells_of_scheme, put_scanners
from cryotome.data.splits.cells import draw_split


def scanned(*images: str, **scanners: object) -> list[str]:
    cells = pd.DataFrame({"image": list(images), "domain": "d"})
    card = {"scanners": {name: {"title": name, "where": said} for name, said in scanners.items()}}
    return assign_scanners(cells, card).tolist()


def test_a_cell_of_no_domain_is_named(cohort, demo_card):
    card = demo_card | {"domains": {"breast": demo_card["domains"]["breast"]}}
    with pytest.raises(
        DataError, match=r"784 cells match no domain or more than one, first the one in 009.tiff"
    ):
        read_cells(cohort / "annotations.json", cohort, card, "demo_rois")


def test_a_domain_that_asks_for_an_unknown_column_is_named(cohort, demo_card):
    domains = {"a": {"title": "a", "where": {"tumour": "x"}}}
    with pytest.raises(DataError, match=r"'a' asks for column 'tumour'; the reader gives \["):
        read_cells(cohort / "annotations.json", cohort, demo_card | {"domains": domains}, "d")


def test_a_scanner_has_one_condition_or_several_and_may_not_be_known():
    ranges = [{"number": [1, 2]}, {"number": [9, 9], "domain": "d"}]
    found = scanned("001.tiff", "003.tiff", "009.tiff", "x.tiff", a=ranges, b={"number": [3, 3]})
    assert found == ["a", "b", "a", ""]
    assert scanned("001.tiff") == [""]


def test_two_scanners_of_one_image_and_unknown_columns_are_named():
    with pytest.raises(
        DataError, match=r"001.tiff fits scanner 'b' and another. Correct `scanners:`"
    ):
        scanned("001.tiff", a={}, b={"number": [1, 9]})
    with pytest.raises(DataError, match=r"Scanner 'a' asks for column 'tumour'; the table of ce"):
        scanned("001.tiff", a={"tumour": "x"})


def test_the_scanners_of_midogpp_are_those_of_its_table(shared):
    card = load_card(CONFIG, "datasets", "midogpp")
    cells = read_cells(shared / "midogpp/MIDOG++.json", shared, card, "midogpp")
    cells["scanner"] = assign_scanners(cells, card).map(
        {name: entry["title"] for name, entry in card["scanners"].items()}
    )
    table = pd.read_csv(shared / "midogpp/datasets_xvalidation.csv", sep=";")
    due = table.set_index("Slide")["Scanner"].str.replace("mm", "m")  # it says Hamammatsu
    found = cells.groupby("image")["scanner"].unique().map(list)
    assert found.to_dict() == {f"{n:03d}.tiff": [due[n]] for n in due.index}


def test_the_scanners_of_midog2022_by_number_of_cells(shared):
    card = load_card(CONFIG, "datasets", "midog2022")
    cells = read_cells(shared / "midogpp/MIDOG++.json", shared, card, "midog2022")
    counts = assign_scanners(cells, card).value_counts().to_dict()
    assert counts == {
        "histech": 10023, "aperio_cs2": 5305, "hamamatsu_xr": 3576, "hamamatsu_s360": 1648
    }  # fmt: skip


SCANNERS = {"a": {"title": "A", "where": {"number": [0, 4]}},
            "b": {"title": "B", "where": {"number": [5, 9]}}}  # fmt: skip


def crossed() -> pd.DataFrame:
    """Twelve images of 20 cells: scanner a, b or none, each with lung and breast."""
    number = [n // 20 for n in range(240)]
    table = pd.DataFrame({"id": range(240), "slide": number, "label": [n % 2 for n in range(240)]})
    names = [f"{n:03d}.tiff" for n in number]
    return table.assign(image=names, domain=["lung" if n % 2 else "breast" for n in number])


def test_a_scheme_by_scanner_trains_on_one_and_leaves_out_cells_of_none():
    cells = crossed()
    used = cells_of_scheme(cells, "from_scanner_b", SCANNERS)
    assert used["domain"].value_counts().to_dict() == {"scanner_a": 100, "scanner_b": 100}
    card = load_card(CONFIG, "schemes", "from_scanner")
    drawn = draw_split(used, card, scheme="from_scanner_b", fraction="1.0", fold=0).roles
    role = cells.set_index("id").join(drawn.set_index("id")["role"])
    trains = role[role["role"].isin(["train", "validation"])]
    assert trains["slide"].between(5, 9).all()
    assert set(trains["domain"]) == {"lung", "breast"}
    assert (role["role"] == "test").sum() == 100 + 20
    assert role[role["slide"] > 9]["role"].isna().all()


def test_a_scheme_without_scanners_takes_the_cells_as_they_are():
    cells = crossed()
    assert cells_of_scheme(cells, "from_lung", {}) is cells


def test_scanners_that_coincide_with_domains_or_have_no_cells_are_refused():
    same = crossed().assign(domain=["a" if n < 100 else "b" for n in range(240)])
    with pytest.raises(DataError, match=r"each of \['a', 'b'\] is one domain: a scanner effect"):
        put_scanners(same, SCANNERS)
    with pytest.raises(DataError, match="fewer than two of .* have cells: a scanner effect"):
        put_scanners(crossed().head(60), SCANNERS)
