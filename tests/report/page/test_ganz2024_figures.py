import pandas as pd

from cryotome.report.page.ganz2024_figures import _ceiling, figure1, figure2


def test_figure_1_has_a_panel_a_dataset_and_a_table_behind_it(g):
    (picture,) = figure1(g).pictures
    assert picture.name == "figure1-midog2022-random"
    assert len(picture.behind.lines) == 4 * 4
    tips = picture.spec["layer"][3]["encoding"]["tooltip"]
    assert [tip["title"] for tip in tips] == [
        "Row", "Share", "Training cells", "Mean", "SD over folds", "Interval", "Published",
    ]  # fmt: skip
    assert "4 rows; on all cells" in picture.said


def test_training_cells_are_counted_in_the_split(g):
    place = g.results / "splits/midog2022/random/fraction=0.1"
    place.mkdir(parents=True)
    roles = ["train"] * 3 + ["test"] * 2
    pd.DataFrame({"id": range(5), "role": roles}).to_csv(place / "fold=0.csv", index=False)
    behind = figure1(g).pictures[0].behind
    column, share = behind.columns.index("n"), behind.columns.index("fraction")
    assert {line[column].rule for line in behind.lines if line[column].text} == {"split_cells"}
    counted = {line[column].text for line in behind.lines if line[share].value == 0.1}
    assert counted == {"3"}


def test_figure_2_has_a_matrix_for_each_of_its_rows(g):
    pictures = figure2(g).pictures
    assert len(pictures) == 2
    assert len(pictures[0].behind.lines) == 25
    assert "on the own domain" in pictures[0].said


def test_one_share_gives_points_by_row_between_chance_and_ceiling(g):
    path = g.folder / "figure1.csv"
    table = pd.read_csv(path)
    table[table["fraction"] == 1.0].to_csv(path, index=False)
    section = figure1(g)
    (picture,) = section.pictures
    chance, ceiling, spans, points = picture.spec["layer"]
    assert section.title == "Figure 1: all rows"
    data = picture.spec["datasets"]
    levels = [data[one["data"]["name"]][0]["level"] for one in (chance, ceiling)]
    assert levels == [0.5, 1.0]
    assert spans["encoding"]["x"]["field"] == "from_slides"
    rows = pd.DataFrame(data[points["data"]["name"]] if "data" in points else data[picture.spec["data"]["name"]])  # fmt: skip
    best = rows.sort_values("mean", ascending=False)["row"].tolist()
    assert points["encoding"]["y"]["sort"] == best
    known = pd.read_csv(g.folder / "intervals.csv").query("tested == 'all' and fraction == 1.0")
    assert sorted(rows["from_slides"]) == sorted(known["low"])
    assert picture.static.startswith("<svg")


def test_the_ceiling_is_that_of_the_raters_where_they_are_known(g):
    line = {"dataset": "midog2022", "scheme": "random", "fraction": 1.0, "tested": "all"}
    line |= {"who": "ceiling", "row": "ceiling", "measure": "auroc", "against": "label"}
    pd.DataFrame([line | {"cells": "all", "value": 0.93}]).to_csv(g.folder / "raters.csv")
    assert _ceiling(g, "midog2022", "random") == 0.93
    assert _ceiling(g, "midog2022", "slide_grouped") == 1.0
