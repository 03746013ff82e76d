import pandas as pd

from cryotome.evaluation.benchmark import COLUMNS, OURS, THEIRS
from cryotome.report.page.benchmark import benchmark


def test_rows_and_published_ones_stand_in_one_table(g):
    key = {"dataset": "midog2022", "scheme": "random", "models": 5}
    values = {"auroc": 0.7, "auroc_sd": 0.01, "auroc_low": 0.6, "auroc_high": 0.8}
    lines = [
        key | {"whose": THEIRS, "model": "uni", "head": "theirs", "note": "from random weights"},
        key | {"whose": OURS, "model": "gigapath", "head": "linear_probe"} | values,
    ]
    pd.DataFrame(lines, columns=COLUMNS).to_csv(g.folder / "benchmark.csv", index=False)
    section = benchmark(g)
    (grid,) = section.grids
    assert grid.columns[:4] == ["Row", "Whose", "Models", "AUROC"]
    theirs, ours = ([cell.text for cell in line] for line in grid.lines)
    assert theirs[0] == "uni + theirs" and "from random weights" in theirs
    assert ours[1:5] == ["this study", "5", "0.700 ± 0.010", "0.600 to 0.800"]
    assert grid.lines[1][3].href and not grid.lines[0][3].href
    assert "same test cells" in section.said[0]


def test_a_study_without_a_published_test_set_has_no_such_part(g):
    assert not benchmark(g)
