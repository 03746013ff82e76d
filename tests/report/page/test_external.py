import pandas as pd

from cryotome.evaluation.external import COLUMNS
from cryotome.report.page.external import external


def test_a_row_stands_with_its_auroc_its_loss_and_its_test(g):
    key = {"dataset": "midog2022", "scheme": "random", "fraction": 1.0, "external": "ccmct"}
    key |= {"row": "gigapath + linear_probe", "folds": 5, "n": 4000, "left_out": 12, "slides": 30}
    values = {"auroc": 0.7, "low": 0.65, "high": 0.75, "inside": 0.8, "drop": 0.1}
    values |= {"drop_low": 0.04, "drop_high": 0.16, "difference": 0.05, "p_slides_holm": 0.03}
    values |= {"difference_low": 0.01, "difference_high": 0.09, "verdict": "different"}
    table = pd.DataFrame([key | values], columns=COLUMNS)
    table.to_csv(g.folder / "external.csv", index=False)
    section = external(g)
    (picture,) = section.pictures
    assert "4,000 cells of another dataset; 12 cells that both have" in picture.said
    (line,) = picture.behind.lines
    shown = [cell.text for cell in line]
    assert shown[1:6] == ["0.700", "0.650 to 0.750", "0.800", "0.100", "0.040 to 0.160"]
    assert shown[6:8] == ["0.050", "0.010 to 0.090"]
    assert "different" in shown


def test_a_study_without_external_datasets_has_no_such_part(g):
    assert not external(g)
