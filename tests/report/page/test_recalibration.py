import pandas as pd
from tests.report.figures.test_recalibration import invented_table

from cryotome.report.page.recalibration import recalibration


def write(g):
    rows = ["gigapath + linear_probe", "virchow + linear_probe"]
    table = invented_table().assign(dataset="midog2022")
    table["row"] = table["row"].map(dict(zip(table["row"].unique(), rows, strict=True)))
    table.to_csv(g.folder / "recalibration.csv", index=False)
    place = {"dataset": "midog2022", "scheme": "from_*", "fraction": 0.1, "where": "out"}
    place |= {"method": "logistic", "labels_spent": 50, "measure": "ece_by_model", "rows": 6}
    orders = pd.DataFrame([place | {"rho": -0.1, "low": -0.6, "high": 0.4}])
    orders.to_csv(g.folder / "recalibration_orders.csv", index=False)


def test_every_measure_and_method_has_a_picture_and_its_changes_a_table(g):
    write(g)
    section = recalibration(g)
    names = [picture.title for picture in section.pictures]
    assert len(names) == (3 + 1) + (1 + 2 * 2 + 1)
    away = "MIDOG 2022, trained on each single domain, out of domain"
    assert f"{away}, AUROC, as scored" in names
    most = "slope and intercept, 50 labelled cells of the target"
    assert f"{away}, calibration error of a model, {most}" in names
    changes, orders = section.grids
    lines = [[cell.text for cell in line] for line in changes.lines]
    assert {line[3] for line in lines} == {"Brier score", "calibration error of a model"}
    mine = next(line for line in lines if line[2] == most)
    assert mine[4:10] == ["0.100", "0.050 to 0.200", "0.030", "-0.020", "-0.030 to -0.010", "2,050"]
    (line,) = orders.lines
    shown = [cell.text for cell in line]
    assert shown[1:6] == [most, "calibration error of a model", "10 %", "-0.10", "-0.60 to 0.40"]


def test_a_study_without_recalibration_has_no_such_part(g):
    assert not recalibration(g)
