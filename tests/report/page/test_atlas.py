import base64

import pandas as pd

from cryotome.report.page import atlas as module
from cryotome.report.page.atlas import atlas


def test_sheets_are_in_the_page_and_lead_to_their_file(more):
    section = atlas(more)
    table = pd.read_csv(more.folder / "atlas/midog2022/sheets.csv")
    assert len(section.sheets) == len(table) == 5 + 4 * 5  # disagreement; errors of four rows
    first = section.sheets[0]
    assert first.group == "MIDOG 2022: where rows disagree"
    path = more.folder / table["file"].iloc[0]
    assert base64.b64decode(first.data.partition(",")[2]) == path.read_bytes()
    assert (more.folder / first.href).resolve() == path.resolve()


def test_sheets_beyond_the_budget_are_links(more, monkeypatch):
    size = sum(p.stat().st_size for p in more.folder.glob("atlas/midog2022/sheets/disagreement*"))
    monkeypatch.setattr(module, "BUDGET", size)
    sheets = atlas(more).sheets
    assert [bool(sheet.data) for sheet in sheets] == [True] * 5 + [False] * 20
    assert all(sheet.href for sheet in sheets)


def test_every_slide_has_a_file_for_qupath(more):
    (grid,) = atlas(more).grids
    line = dict(zip(grid.columns, grid.lines[0], strict=True))
    cell = line["GeoJSON for QuPath"]
    assert cell.text == "a.tiff.geojson"
    assert (more.folder / cell.href).exists()


def test_of_too_many_slides_those_with_most_errors_are_listed(more, monkeypatch):
    monkeypatch.setattr(module, "LISTED", 2)
    path = more.folder / "atlas/midog2022/slides.csv"
    three = pd.concat([pd.read_csv(path)] * 3)
    three.assign(slide=["a", "b", "c"], errors=[1, 0, 5]).to_csv(path, index=False)
    (grid,) = atlas(more).grids
    assert [line[0].text for line in grid.lines] == ["c", "a"]
    assert grid.caption.endswith(": the 2 of 3 with most errors")


def test_agreement_is_a_matrix_of_both_sides(more):
    (picture,) = atlas(more).pictures
    values = next(iter(picture.spec["datasets"].values()))
    assert len(values) == 4 * 3
    assert len(picture.behind.lines) == 6


def test_an_atlas_that_is_missing_names_its_command(g):
    section = atlas(g)
    assert [gap.file for gap in section.missing] == ["atlas/midog2022/cells.csv"]
    assert section.missing[0].command.endswith("invented/atlas/midog2022/cells.csv")
    assert not section.sheets
