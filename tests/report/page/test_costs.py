import pandas as pd

from cryotome.report.page.costs import cost


def test_every_row_says_what_it_took(more):
    rows, rules = cost(more).grids
    line = dict(zip(rows.columns, [cell.text for cell in rows.lines[1]], strict=True))
    assert line["GPU-hours"] == "1.5"
    assert line["Peak GPU memory, MB"] == "9,000"
    assert line["Energy, kWh"] == "0.40"
    assert [cell.text for cell in rules.lines[0]][:3] == ["embed", "1", "90"]


def test_auroc_stands_against_gpu_hours_in_and_out_of_domain(more):
    inside, outside = cost(more).pictures
    assert inside.title == "AUROC against GPU-hours, MIDOG 2022, in domain"
    floor, points, *_ = outside.spec["layer"]
    assert points["encoding"]["x"]["scale"]["type"] == "log"
    assert "tooltip" in points["encoding"] and "tooltip" not in floor["encoding"]
    assert len(inside.behind.lines) == 4


def test_where_no_gpu_ran_it_is_core_hours_and_energy_is_left_out(more):
    path = more.folder / "costs.csv"
    pd.read_csv(path).assign(gpu_hours=0.0, energy_kwh=None).to_csv(path, index=False)
    section = cost(more)
    assert "core-hours" in section.pictures[0].title
    assert "Energy, kWh" not in section.grids[0].columns


def test_what_is_missing_is_said(g):
    assert [gap.file for gap in cost(g).missing] == ["costs.csv", "ledger.csv"]
