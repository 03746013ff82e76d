import pandas as pd
from chart_specs import marked, panels, rows_of, title_of
from tests.report.figures.test_roth2024_hours import FACTS

from cryotome.report.figures.roth2024_checkpoints import draw_figure2, figure2_data


def test_figure2_marks_what_validation_chooses_and_not_the_peak_of_the_test():
    keys = {"quantity": "balanced_accuracy", "head": "knn", "low": 0.5, "high": 0.99}
    models = ["base", "tuned_at_10", "tuned"]
    tested = pd.DataFrame({"model": models, "value": [0.7, 0.8, 0.9], "dataset": "crc", **keys})
    held = pd.DataFrame({"model": models, "value": [0.7, 0.85, 0.8], "dataset": "train", **keys})
    table = figure2_data(tested, held, FACTS)
    assert table["iteration"].tolist() == [0, 10, 20]
    assert table["chosen"].tolist() == [False, True, False]
    own = figure2_data(tested, held.assign(dataset="crc"), FACTS)  # who validates, tests elsewhere
    assert not own["chosen"].any()
    figure = draw_figure2(table, FACTS)
    (panel,) = panels(figure)
    assert title_of(panel) == ["a) patch classification"]
    assert rows_of(figure, marked(panel, "point")[1])["iteration"].tolist() == [10]  # the ring
