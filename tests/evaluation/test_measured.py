import pandas as pd
from tests.report.tables.test_roth2024 import scores

from cryotome.evaluation.measured import LONG, VALIDATION, read_counts, read_intervals
from cryotome.evaluation.measured import read_summaries as summaries


def test_only_the_mean_over_folds_is_a_summary(tmp_path):
    lines = [
        ("0", "tcga_crc", "auroc", 0.99, None, None, None),  # one fold is not the mean
        ("all", "tcga_crc", "auroc", 0.87, 0.04, 0.82, 0.92),
        ("validation", "tcga_crc", "auroc", 0.91, 0.01, None, None),
    ]
    path = scores(tmp_path, "patient_folds", "m", "abmil", lines)
    assert summaries([path])[["scheme", "value"]].to_numpy().tolist() == [["patient_folds", 0.87]]
    assert summaries([path], fold=VALIDATION)["value"].tolist() == [0.91]
    only = scores(tmp_path, "predefined", "m", "knn", [("0", "d", "f1", 0.9, None, 0.8, 1.0)])
    assert summaries([only])["value"].tolist() == [0.9]
    assert summaries([]).columns.tolist() == LONG


def test_intervals_become_measured_numbers(tmp_path):
    pd.DataFrame(
        [
            ("d", "random", "0.1", "all", "uni + linear_probe", 0.7, 0.6, 0.8),
            ("d", "from_*", "1.0", "out", "r + endtoend", 0.5, 0.4, 0.6),
        ],
        columns=["dataset", "scheme", "fraction", "tested", "row", "auroc", "low", "high"],
    ).to_csv(tmp_path / "intervals.csv", index=False)
    table = read_intervals(tmp_path / "intervals.csv")
    assert table.columns.tolist() == LONG
    keys = ["dataset", "scheme", "model", "head", "quantity", "fraction", "value", "low", "high"]
    assert table[keys].to_numpy().tolist() == [
        ["d", "random", "uni", "linear_probe", "auroc", 0.1, 0.7, 0.6, 0.8],
        ["d", "from_*", "r", "endtoend", "auroc_out", 1.0, 0.5, 0.4, 0.6],
    ]


def test_a_count_is_its_own_interval_whatever_its_table_calls_it(tmp_path):
    sizes = {"model": ["uni", "histogram"], "parameters": [5, None], "features": [2, 96]}
    named = {"parameters": "measured_parameters", "features": "measured_dim"}
    of_ganz = pd.DataFrame(sizes).rename(columns=named).assign(parameters=7)  # as the card says
    for table in (pd.DataFrame(sizes), of_ganz):
        table.to_csv(tmp_path / "sizes.csv", index=False)
        counts = read_counts(tmp_path / "sizes.csv")
        assert counts[["model", "quantity", "value", "low", "high"]].to_numpy().tolist() == [
            ["uni", "parameters", 5, 5, 5],
            ["uni", "features", 2, 2, 2],
            ["histogram", "features", 96, 96, 96],
        ]
