import numpy as np
import pandas as pd

from cryotome.report.figures.costs import draw_costs
from cryotome.study.styles import model_styles, row_styles

ROWS = [("uni", "ridge"), ("r50", "endtoend"), ("hist", "ridge"), ("old", "ridge")]
ABOUT = {
    "labels": {f"{model} + {head}": f"The {model}" for model, head in ROWS},
    "datasets": {"d": "Tissue: figure against look-alike"},
    "notice": "synthetic",
}
LOOKS = row_styles(ROWS, model_styles([model for model, _ in ROWS], {}))
ABOUT["looks"] = {row: vars(look) for row, look in LOOKS.items()}


def table(**changes: list) -> pd.DataFrame:
    told = {
        "dataset": "d",
        "gpu_hours": [0.6, 6.0, 0.0, np.nan],
        "core_hours": [1.0, 2.0, 3.0, np.nan],
        "missing": [0, 2, 0, 3],
        "killed": 0,
        "in_mean": [0.8, 0.9, 0.6, 0.7],
        "out_mean": [0.7, 0.6, 0.5, 0.7],
    }
    frame = pd.DataFrame(ROWS, columns=["model", "head"])
    return frame.assign(**(told | changes))


def points(axis) -> list[tuple]:
    """Return place and marker of each row that is drawn."""
    return [
        (round(float(line.get_xdata()[0]), 6), float(line.get_ydata()[0]), line.get_marker())
        for line in axis.lines
        if line.get_marker() != "None"
    ]


def test_rows_stand_at_their_gpu_hours_and_those_without_a_gpu_left_of_them():
    inside, outside = draw_costs(table(), ABOUT).axes
    assert points(inside) == [(0.6, 0.8, "o"), (6.0, 0.9, ">"), (0.2, 0.6, "s")]
    assert points(outside) == [(0.6, 0.7, "o"), (6.0, 0.6, ">"), (0.2, 0.5, "s")]
    assert inside.get_xscale() == "log"
    assert inside.get_xlabel() == "GPU-hours\ntoo few records: The old"


def test_where_no_gpu_ran_it_is_core_hours():
    inside, _ = draw_costs(table(gpu_hours=[0.0, 0.0, 0.0, np.nan]), ABOUT).axes
    assert points(inside) == [(1.0, 0.8, "o"), (2.0, 0.9, ">"), (3.0, 0.6, "o")]
    assert inside.get_xlabel().startswith("processor core-hours (no GPU ran)")


def test_a_row_is_not_said_to_need_no_gpu_where_the_records_of_the_gpu_may_lack():
    inside, _ = draw_costs(table(missing=[0, 2, 1, 3]), ABOUT).axes
    assert points(inside) == [(0.6, 0.8, "o"), (6.0, 0.9, ">")]
    assert inside.get_xlabel() == "GPU-hours\ntoo few records: The hist, The old"


def test_a_killed_attempt_makes_it_a_bound():
    inside, _ = draw_costs(table(killed=[1, 0, 0, 0]), ABOUT).axes
    assert points(inside)[0] == (0.6, 0.8, ">")


def test_a_dataset_without_domains_has_one_panel():
    inside, other = draw_costs(table(out_mean=4 * [np.nan]), ABOUT).axes
    assert inside.get_title() == "Tissue: figure against look-alike\nall test cells"
    assert not other.axison


def test_a_ledger_without_any_record_still_gives_a_picture():
    none = dict.fromkeys(("gpu_hours", "core_hours"), 4 * [np.nan])
    figure = draw_costs(table(**none, missing=[2, 3, 2, 3]), ABOUT)
    assert points(figure.axes[0]) == []
    assert "too few records: The uni, The r50, The hist and 1 more" in figure.axes[0].get_xlabel()
    assert figure.texts[-1].get_text() == "SYNTHETIC"
