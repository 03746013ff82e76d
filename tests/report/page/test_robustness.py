import pandas as pd

from cryotome.evaluation.robustness.table import COLUMNS, CORRELATED
from cryotome.report.page.robustness import robustness


def write(g, sampled: bool) -> None:
    key = {"dataset": "midog2022", "confounder": "slide", "head": "linear_probe"}
    line = key | {"index": "CRoMa", "model": "gigapath", "value": 0.21, "low": 0.1, "high": 0.3}
    line |= {"chance": 0.01, "n": 4000, "slides": 354, "sampled": sampled, "seed": 0, "loss": 0.05}
    pd.DataFrame([line], columns=COLUMNS).to_csv(g.folder / "robustness.csv", index=False)
    other = key | {"index": "CRoMa", "models": 9, "spearman": -0.7, "low": -0.9, "high": -0.2}
    table = pd.DataFrame([other], columns=CORRELATED)
    table.to_csv(g.folder / "robustness_loss.csv", index=False)


def test_each_index_has_its_picture_with_its_numbers_and_the_correlation_its_line(g):
    write(g, sampled=False)
    section = robustness(g)
    index, loss = section.pictures
    assert "1 rows on 4,000 cells of 354 slides" in index.said
    assert [cell.text for cell in index.behind.lines[0]][1:] == ["0.210", "0.100", "0.300", "0.010"]
    assert loss.behind.lines[0][1].text == "0.050"
    (line,) = section.grids[0].lines
    assert [cell.text for cell in line][-3:] == ["9", "-0.700", "-0.900 to -0.200"]
    assert not any("drawn" in said for said in section.said)


def test_a_sampled_store_says_so_with_its_seed(g):
    write(g, sampled=True)
    (said,) = [said for said in robustness(g).said if "drawn" in said]
    assert said == "Of midog2022 cells were drawn, equally many of each large slide (seed 0)."


def test_a_study_without_it_has_no_such_part(g):
    assert not robustness(g)
