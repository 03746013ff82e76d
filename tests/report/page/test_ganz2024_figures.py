import pandas as pd

from cryotome.report.page.ganz2024_figures import figure1, figure2


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
