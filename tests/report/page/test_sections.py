from dataclasses import replace

from cryotome.report.page.sections import (
    Section,
    cells_of,
    named,
    panel,
    place_of,
    row_cell,
    where_cells,
)


def test_every_scheme_is_said_in_words(g):
    said = [cells_of("midog2022", scheme, g) for scheme in (
        "random", "from_*", "from_canine_lung", "except_canine_lung", "except_canine_lung_matched",
    )]  # fmt: skip
    assert said == [
        "random cells",
        "trained on each single domain",
        "trained on canine lung cancer",
        "trained on all but canine lung cancer",
        "trained on all but canine lung cancer, equal training size",
    ]
    line = {"dataset": "midog2022", "scheme": "random"}
    assert [cell.text for cell in where_cells(line, g)] == ["MIDOG 2022", "random cells"]


def test_scanners_are_named_as_their_card_does(g):
    scanners = {"midog2022": {"histech": {"title": "3D Histech", "where": {}}}}
    g = replace(g, facts=replace(g.facts, scanners=scanners))
    said = [
        cells_of("midog2022", f"{one}histech", g) for one in ("from_scanner_", "except_scanner_")
    ]
    assert said == ["trained on 3D Histech", "trained on all but 3D Histech"]
    assert cells_of("midog2022", "from_scanner_*", g) == "trained on each single scanner"
    places = [("random", "scanner_histech"), ("from_scanner_*", "out"), ("from_*", "out")]
    assert [place_of({"dataset": "midog2022", "scheme": s, "tested": t}, g) for s, t in places] == [
        "cells of 3D Histech", "other scanners", "out of domain",
    ]  # fmt: skip


def test_rows_have_their_name_and_their_mark(g):
    cell = row_cell("gigapath + linear_probe", g)
    assert cell.text == "Prov-GigaPath + linear probe"
    assert cell.look.colour == "#0061c7"
    assert row_cell("unknown + linear_probe", g).look is None
    table = named(g.table("table2.csv"), g)
    assert table["key"].iloc[0] == "gigapath + linear_probe"
    assert table["row"].iloc[0] == "Prov-GigaPath + linear probe"


def test_a_part_without_anything_is_left_out(g):
    assert not Section("a", "A")
    assert Section("a", "A", ["said"])
    assert panel("midog2022", g, "more") == "MIDOG 2022, more"
