import pandas as pd

from cryotome.report.page.leaderboard import leaderboard


def shown(grid):
    return [
        {name: cell.text for name, cell in zip(grid.columns, line, strict=True)}
        for line in grid.lines
    ]


def test_rows_are_sorted_by_auroc_and_controls_stand_last(g):
    intervals = pd.read_csv(g.folder / "intervals.csv")
    (grid,) = leaderboard(g).grids
    lines = shown(grid)
    pooled = intervals[(intervals["scheme"] == "random") & (intervals["tested"] == "all")]
    top = pooled[pooled["fraction"] == pooled["fraction"].max()]
    assert len(lines) == len(top)
    real = [line for line in lines if line["Encoder"] != "control"]
    assert [line["AUROC"] for line in real] == sorted(
        (line["AUROC"] for line in real), reverse=True
    )
    assert lines[: len(real)] == real
    crossed = intervals[(intervals["scheme"] == "from_*") & (intervals["tested"] == "out")]
    assert {line["One domain: out"] for line in lines} == {f"{v:.3f}" for v in crossed["auroc"]}


def test_ranks_letters_and_costs_stand_beside_where_they_are_known(more):
    table = pd.read_csv(more.folder / "intervals.csv")
    top = table[(table["scheme"] == "random") & (table["tested"] == "all")]
    top = top[top["fraction"] == top["fraction"].max()]
    ranked = top[["dataset", "scheme", "fraction", "tested", "row", "auroc"]]
    ranked = ranked.assign(rank=1.0, rank_low=1.0, rank_high=3.0, first=0.5, group="ab", note="")
    ranked.to_csv(more.folder / "row_ranks.csv", index=False)
    (grid,) = leaderboard(more).grids
    line = shown(grid)[0]
    assert line["Rank, 95 %"] == "1 (1 to 3)" and line["Not told apart"] == "ab"
    assert line["Core-hours"] or line["GPU-hours"]


def test_a_study_of_single_domains_alone_has_no_such_table(g):
    table = pd.read_csv(g.folder / "intervals.csv")
    table[table["scheme"].str.startswith("from_")].to_csv(g.folder / "intervals.csv", index=False)
    assert not leaderboard(g)
