import pytest
from tests.report.figures.test_raters import table  # noqa: F401
from tests.study.test_study import study

from cryotome.report.page.raters import raters
from cryotome.report.page.results import StudyResults
from cryotome.study.gather_facts import page_facts


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "results" / "studies" / "amibr_raters"
    folder.mkdir(parents=True)
    return StudyResults(folder, page_facts(study("amibr_raters")))


def shown(table, measure, cells, row, against, column="value"):  # noqa: F811
    keys = ["measure", "cells", "row", "against"]
    return table.set_index(keys).loc[(measure, cells, row, against), column]


def test_rows_and_readers_have_a_line_each_and_the_ceiling_a_sentence(made, table):  # noqa: F811
    table.to_csv(made.folder / "raters.csv", index=False)
    section = raters(made)
    agreement, _ = section.pictures
    lines = {line[0].text: [cell.text for cell in line] for line in agreement.behind.lines}
    assert len(lines) == 5
    value = shown(table, "kappa", "all", "second", "other raters")
    assert lines["rater: second"][1] == f"{value:.3f}"
    assert lines["rater: second"][agreement.behind.columns.index("Kappa with second")] == ""
    heads = agreement.behind.columns
    value = shown(table, "kappa", "all", "colour_histogram + ridge_cv", "third")
    assert lines[made.facts.labels["colour_histogram + ridge_cv"]][
        heads.index("Kappa with third")
    ] == (f"{value:.3f}")
    best = shown(table, "auroc", "all", "ceiling", "label")
    assert f"a model may reach at most AUROC {best:.3f} (" in section.said[1]
    assert "drawn from a pool" in section.said[1]
    assert "held against the majority of the other raters" in section.said[0]


def test_disputed_cells_have_their_number_and_their_own_columns(made, table):  # noqa: F811
    table.to_csv(made.folder / "raters.csv", index=False)
    _, apart = raters(made).pictures
    n = shown(table, "auroc", "disputed", "colour_histogram + ridge_cv", "label", "n")
    assert f"and on {n:,} of which not" in apart.said
    assert len(apart.behind.lines) == 2
    assert {"AUROC, unanimous", "AUROC, disputed", "Balanced accuracy, all"} <= {
        *apart.behind.columns
    }


def test_the_part_is_missing_with_its_command(made):
    (gap,) = [gap for gap in raters(made).missing if gap.file.endswith(".csv")]
    assert gap.command.endswith("results/studies/amibr_raters/raters.csv")


def test_a_study_without_raters_has_no_such_part(g):
    assert not raters(g)
