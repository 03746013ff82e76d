import re
from html.parser import HTMLParser

import numpy as np
import pytest
from atlas_by_hand import by_hand, voted
from PIL import Image

from cryotome.report.atlas.cell_pages import COLUMNS, model_of, write_cell_pages
from cryotome.report.atlas.neighbours import Neighbour
from cryotome.report.atlas.sheets import make_sheets


class Patches:
    """In place of a store: each cell in its own grey."""

    def __init__(self, store) -> None:
        self.side = 32

    def read(self, cells):
        return {cell: np.full((32, 32, 3), 30 * cell, np.uint8) for cell in cells}


class Near:
    """Cell 5 is the neighbour of all, by model `a`."""

    models = ("a",)

    def find(self, model, cells):
        assert model == "a"
        return {cell: [Neighbour(5, 0.75)] for cell in cells}


@pytest.fixture(autouse=True)
def _patches(monkeypatch):
    for module in ("sheets", "cell_pages"):
        monkeypatch.setattr(f"cryotome.report.atlas.{module}.PatchSource", Patches)


def pages_of(atlas, tmp_path, near=None):
    near = near or Near()
    shown = make_sheets(atlas, tmp_path / "p.h5", tmp_path / "sheets")
    return write_cell_pages(atlas, shown, tmp_path / "p.h5", tmp_path / "sheets", near)


def test_every_patch_of_a_sheet_has_its_part_with_scores_votes_and_neighbours(tmp_path):
    table = pages_of(voted(), tmp_path)
    assert list(table.columns) == COLUMNS
    text = (tmp_path / "sheets/errors.left.a.h.html").read_text(encoding="utf-8")
    mine = table[table["file"] == "errors.left.a.h.jpg"]
    assert set(re.findall(r'id="cell-(\d+)"', text)) == set(mine["id"].astype(str))
    part = text.split('id="cell-0"')[1].split("</section>")[0]
    for said in (
        "Model a + h",
        "0.900",
        "wrong",
        "cosine 0.750",
        "cell 5, 2.tiff",
        "mitotic figure",
    ):
        assert said in part
    assert "first look-alike; second look-alike; third mitotic figure" in part
    assert part.count("<img") == 2


def test_places_are_shares_of_the_sheet(tmp_path):
    table = pages_of(by_hand(), tmp_path)
    for file, part in table.groupby("file"):
        with Image.open(tmp_path / "sheets" / str(file)) as sheet:
            sides = part[["width", "height"]].to_numpy() * np.array(sheet.size)
        assert (sides.round() == 168).all()
    ends = table["left"] + table["width"], table["top"] + table["height"]
    assert (ends[0] <= 1).all() and (ends[1] <= 1).all()


def test_pages_are_closed_and_need_no_network_and_no_script(tmp_path):
    pages_of(by_hand(synthetic="synthetic demo cohort"), tmp_path)

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            assert tag != "script"
            found = dict(attrs)
            for address in (found.get("src"), found.get("href")):
                assert not re.match(r"(https?:)?//", address or "")

    for path in (tmp_path / "sheets").glob("*.html"):
        text = path.read_text(encoding="utf-8")
        Reader().feed(text)
        assert "Synthetic demo cohort." in text


def test_neighbours_are_those_of_the_sheets_model_or_of_the_first_with_a_store(tmp_path):
    assert model_of({"model": "b"}, ["a", "b"]) == "b"
    assert model_of({"model": ""}, ["a", "b"]) == "a"
    assert model_of({"model": "x"}, []) == ""
    none = Near()
    none.models = ()
    pages_of(by_hand(), tmp_path, none)
    text = (tmp_path / "sheets/errors.left.a.h.html").read_text(encoding="utf-8")
    assert "there are no neighbours" in text and "cosine 0" not in text
