import pandas as pd

from cryotome.core.charts import specification
from cryotome.report.page.comparisons import difference_panel, differences, ranks
from cryotome.study.styles import model_styles


def test_differences_can_be_chosen_by_cells_and_begin_out_of_domain(g):
    section = differences(g)
    picture = section.pictures[0]
    (choice,) = [p for p in picture.spec["params"] if p["name"] == "block"]
    assert "out of domain" in choice["value"]
    assert choice["value"] in choice["bind"]["options"]
    assert len(choice["bind"]["options"]) == len(
        pd.read_csv(g.folder / "comparisons.csv").groupby(["scheme", "fraction", "tested"])
    )
    assert [gap.file for gap in section.missing] == ["row_ranks.csv", "ranks.csv"]


def test_rows_are_ranked_with_intervals_and_letters(g):
    line = pd.read_csv(g.folder / "comparisons.csv").iloc[0]
    found = line[["dataset", "scheme", "fraction", "tested", "row"]].to_dict()
    found |= {"auroc": 0.8, "rank": 1.0, "rank_low": 1.0, "rank_high": 2.5, "first": 0.93}
    pd.DataFrame([found | {"group": "ab", "note": ""}]).to_csv(
        g.folder / "row_ranks.csv", index=False
    )
    (grid,) = differences(g).grids
    assert [cell.text for cell in grid.lines[0]][2:] == ["0.800", "1.0", "1.0 to 2.5", "93 %", "ab"]


def test_rows_that_do_not_differ_are_joined_in_the_ranks(g):
    spans = pd.read_csv(g.folder / "intervals.csv")
    crossed = spans[spans["scheme"].str.match("from_[a-z]") & (spans["tested"] == "in")]
    mean = crossed.pivot_table(index="scheme", columns="row", values="auroc")
    ranked = mean.rank(axis=1, ascending=False).mean().rename("mean_rank").reset_index()
    ranked = ranked.assign(tested="in", blocks=5, friedman_p=0.01, note="")
    ranked.to_csv(g.folder / "ranks.csv", index=False)
    (picture,) = ranks(g)
    assert "critical difference" in picture.title
    assert picture.spec["layer"][0]["mark"]["type"] == "rule"  # the bars
    few = ranked.assign(note="3 training domains: a critical difference needs 5")
    few.to_csv(g.folder / "ranks.csv", index=False)
    (picture,) = ranks(g)
    assert "critical difference" not in picture.title
    assert "needs 5" in picture.said


def test_datasets_without_slides_are_paired_over_images_and_the_page_says_so(g):
    assert "Paired over slides" in differences(g).said[0]
    g.facts.unknown_slides.append("midog2022")
    section = differences(g)
    said = " ".join([*section.said, section.pictures[0].said])
    assert "over images, slides not known" in said
    assert "over slides" not in said


def test_rows_below_each_other_have_a_band_about_zero_and_only_what_is_chosen():
    table = pd.DataFrame({"key": ["a", "b"], "row": ["A", "B"], "difference": [0.1, 0.2],
                          "low": [0.0, 0.1], "high": [0.2, 0.3], "block": "one"})  # fmt: skip
    spec = specification(difference_panel(table, model_styles("ab", {}), 0.02, ["B", "A"]))
    assert [layer["mark"]["type"] for layer in spec["layer"]] == ["rect", "rule", "rule", "point"]
    band = next(iter(spec["datasets"].values()))
    assert band == [{"from": -0.02, "to": 0.02, "level": 0.0}]
    assert spec["layer"][3]["encoding"]["y"]["sort"] == ["B", "A"]
    assert spec["layer"][3]["transform"] == [{"filter": "datum.block == block"}]
