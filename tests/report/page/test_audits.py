import pandas as pd
from conftest import ROOT
from page_study import study_of, write_audits

from cryotome.report.page.audits import audits, dropped, leaks
from cryotome.report.page.summary import run
from cryotome.study.facts import MEANING
from cryotome.study.gather_facts import page_facts

FOUND = pd.DataFrame(
    [
        ("duplicate", 2, 1, True, False),
        ("near", 4, 3, True, False),
        ("near", 6, 5, True, True),  # contradicting: none stays
        ("border", 7, -1, True, False),  # goes for another reason
    ],
    columns=["finding", "id", "other", "left_out", "other_left_out"],
)


def test_cells_go_for_the_findings_whose_policy_drops_them():
    policies = {"duplicate": "keep", "near": "drop", "near_px": 25, "border": "keep"}
    assert dropped(FOUND, policies) == {"near": {4, 5, 6}}
    assert dropped(FOUND, policies | {"duplicate": "drop", "border": "drop"}) == {
        "duplicate": {2},
        "near": {4, 5, 6},
        "border": {7},
    }


def line_of(grid, place=0):
    return dict(zip(grid.columns, [cell.text for cell in grid.lines[place]], strict=True))


def test_what_the_audit_found_stands_beside_the_counts_of_each_dataset(g):
    assert audits(g) == []  # nothing has been audited
    write_audits(g.results, study_of(4, ["midog2022"]))
    (grid,) = audits(g)
    line = line_of(grid)
    assert line["Cells read"] == "1,200"
    assert line["In no split"] == "0"
    assert line["Why"] == "nothing is dropped"
    assert line["Exact duplicates kept"] == "2"
    assert line["Equal patches of two labels"] == "1"
    assert line["Near pairs"] == "2, 1 of them contradicting"
    assert line["Other findings"] == "1 windows across the border"


def test_cells_that_were_dropped_are_counted_with_their_reason(g):
    write_audits(g.results, study_of(4, ["midog2022"]))
    path = g.results / "audits" / "midog2022.csv"
    table = pd.read_csv(path)
    twins = table["finding"] == "duplicate"
    table.assign(left_out=twins).to_csv(path, index=False)
    g.facts.cards["midog2022"].policies["duplicate"] = "drop"
    (grid,) = audits(g)
    line = line_of(grid)
    assert (line["In no split"], line["Why"]) == ("2", "2 exact duplicates")
    assert line["Exact duplicates kept"] == "0"


def test_an_audit_that_found_nothing_says_so(g):
    write_audits(g.results, study_of(4, ["midog2022"]))
    path = g.results / "audits" / "midog2022.csv"
    pd.read_csv(path)[:0].to_csv(path, index=False)
    (grid,) = audits(g)
    said = line_of(grid)
    assert said["Exact duplicates kept"] == said["Equal patches of two labels"] == "0"
    assert said["Other findings"] == "none"


def test_test_cells_that_training_has_seen_are_counted_by_scheme(g):
    assert leaks(g) == []  # no split has been audited
    write_audits(g.results, study_of(4, ["midog2022"]))
    (grid,) = leaks(g)
    assert len(grid.lines) == len(g.facts.blocks) == 6
    line = line_of(grid)
    assert line["Test cells"] == "240"
    assert line["Pixel-equal to a training cell"] == "3 (1.2 %)"  # 1 to 5 in five folds
    assert line["Share pixels with a training cell"] == "62 (25.8 %)"
    cell = grid.lines[0][grid.columns.index("Pixel-equal to a training cell")]
    assert cell.href.endswith("splits/midog2022/random/fraction%3D1.0/fold%3D0.leakage.csv") or (
        "fold=0.leakage.csv" in cell.href
    )
    assert [each.caption for each in run(g).grids[1:3]] == [audits(g)[0].caption, grid.caption]


def test_what_is_said_of_slides_that_nobody_knows_is_no_number(g):
    write_audits(g.results, study_of(4, ["midog2022"]))
    for path in g.results.glob("splits/midog2022/random/*/*.leakage.csv"):
        table = pd.read_csv(path).astype({"cells": "Int64"})
        table.loc[table["measure"] == "on_training_slide", ["cells", "share"]] = pd.NA
        table.to_csv(path, index=False)
    (grid,) = leaks(g)
    assert line_of(grid)["On a slide that trains"] == "slides not known"


def test_the_page_knows_every_policy_of_the_audit():
    card = page_facts(study_of(2, ["midog2022"])).cards["midog2022"]
    assert set(MEANING) - {"enlarged"} <= set(card.policies)  # which is only reported
    assert (ROOT / "config" / "datasets" / f"{card.source_dataset}.yaml").exists()
