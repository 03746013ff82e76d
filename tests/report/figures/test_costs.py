import numpy as np
import pandas as pd
from chart_specs import marked, panels, rows_of, title_of, words
from some_facts import some

from cryotome.core.charts import save_chart
from cryotome.report.figures.costs import BOUND, FREE, WHOLE, draw_costs
from cryotome.study.facts import RowFacts
from cryotome.study.styles import model_styles, row_styles

ROWS = [("uni", "ridge"), ("r50", "endtoend"), ("hist", "ridge"), ("old", "ridge")]
FACTS = some(
    RowFacts,
    labels={f"{model} + {head}": f"The {model}" for model, head in ROWS},
    styles=row_styles(ROWS, model_styles([model for model, _ in ROWS], {})),
    datasets={"d": "Tissue: figure against look-alike"},
    notice="synthetic",
)


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


def points(figure, column: str = "in_mean", panel: int = 0) -> list[tuple]:
    """Return place and kind of each row that is drawn."""
    (layer,) = marked(panels(figure)[panel], "point")
    assert layer["encoding"]["y"]["field"] == column
    assert layer["encoding"]["fillOpacity"]["condition"]["test"] == f"datum.kind == '{WHOLE}'"
    rows = rows_of(figure, layer)
    if rows.empty:
        return []
    return list(zip(rows["x"].round(6), rows[column], rows["kind"], strict=True))


def below(figure, panel: int = 0) -> str:
    """Return what stands below a panel."""
    (layer,) = marked(panels(figure)[panel], "point")
    return " ".join(layer["encoding"]["x"]["title"])


def test_rows_stand_at_their_gpu_hours_and_those_without_a_gpu_left_of_them():
    figure = draw_costs(table(), FACTS)
    assert points(figure) == [(0.6, 0.8, WHOLE), (6.0, 0.9, BOUND), (0.2, 0.6, FREE)]
    outside = points(figure, "out_mean", panel=1)
    assert outside == [(0.6, 0.7, WHOLE), (6.0, 0.6, BOUND), (0.2, 0.5, FREE)]
    x, y = (marked(panels(figure)[0], "point")[0]["encoding"][n]["scale"] for n in "xy")
    assert x["type"] == "log"
    other = marked(panels(figure)[1], "point")[0]["encoding"]["y"]["scale"]
    assert y["domain"] == other["domain"]  # heights can be compared
    assert below(figure) == "GPU-hours too few records: The old"
    assert f"hollow, → {BOUND}" in words(figure) and f"hollow: {FREE}" in words(figure)


def test_where_no_gpu_ran_it_is_core_hours():
    figure = draw_costs(table(gpu_hours=[0.0, 0.0, 0.0, np.nan]), FACTS)
    assert points(figure) == [(1.0, 0.8, WHOLE), (2.0, 0.9, BOUND), (3.0, 0.6, WHOLE)]
    assert below(figure).startswith("processor core-hours (no GPU ran)")


def test_a_row_is_not_said_to_need_no_gpu_where_the_records_of_the_gpu_may_lack():
    figure = draw_costs(table(missing=[0, 2, 1, 3]), FACTS)
    assert points(figure) == [(0.6, 0.8, WHOLE), (6.0, 0.9, BOUND)]
    assert below(figure) == "GPU-hours too few records: The hist, The old"


def test_a_killed_attempt_makes_it_a_bound():
    figure = draw_costs(table(killed=[1, 0, 0, 0]), FACTS)
    assert points(figure)[0] == (0.6, 0.8, BOUND)


def test_a_dataset_without_domains_has_one_panel():
    (panel,) = panels(draw_costs(table(out_mean=4 * [np.nan]), FACTS))
    assert title_of(panel) == ["Tissue: figure against look-alike", "all test cells"]


def test_a_ledger_without_any_record_still_gives_a_picture():
    none = dict.fromkeys(("gpu_hours", "core_hours"), 4 * [np.nan])
    figure = draw_costs(table(**none, missing=[2, 3, 2, 3]), FACTS)
    assert points(figure) == []
    assert "too few records: The uni, The r50, The hist and 1 more" in below(figure)
    assert figure["title"]["text"] == "SYNTHETIC"


def test_a_study_without_rows_has_a_figure_without_a_legend(tmp_path):
    facts = some(RowFacts, labels={}, styles={}, datasets={}, notice="")
    save_chart(draw_costs(table().head(0), facts), tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
