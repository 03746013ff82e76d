import pandas as pd
import pytest
from chart_specs import marked, panels, rows_of, title_of
from conftest import CONFIG
from some_facts import some

from cryotome.report.figures.roth2024_hours import draw_figure1, figure1_data, published_hours
from cryotome.study.facts import RothFacts
from cryotome.study.styles import model_styles

FACTS = some(
    RothFacts,
    columns={
        "patches": {"balanced_accuracy": ("crc", "balanced_accuracy")},
        "slides": {"cohort": ("tcga", "auroc"), "external": ("cptac", "auroc")},
    },
    datasets={"crc": "CRC-VAL", "tcga": "TCGA", "cptac": "CPTAC"},
    published_names={"tuned": "dinov2_s_nct_published"},
    checkpoints={"patches": {0: "base", 10: "tuned_at_10", 20: "tuned"}},
    notice="synthetic demo cohort",
    synthetic_columns={"patches": ["balanced_accuracy"], "slides": ["cohort", "external"]},
    styles=model_styles(["base", "tuned"], {}),
)


@pytest.fixture(scope="module")
def hours() -> dict[str, float]:
    texts = pd.read_csv(CONFIG / "published/roth2024_text.csv", dtype=str, keep_default_na=False)
    return published_hours(texts)


def test_printed_hours_are_sums_over_gpus(hours):
    assert hours["ctranspath"] == 12_000
    assert hours["retccl"] == 32 * 300
    assert hours["dinov2_s_nct_published"] == 2
    assert hours["dinov2_s_tcga_published"] == 72
    assert "dinov2_vits14" not in hours


def test_figure1_lays_measured_and_printed_points_beside_each_other(hours):
    lines = {
        "model": ["base", "tuned"],
        "title": ["Base", "Tuned"],
        "head": "knn",
        "balanced_accuracy": [0.88, 0.93],
        "balanced_accuracy_low": [0.87, 0.92],
        "balanced_accuracy_high": [0.89, 0.94],
        "balanced_accuracy_published": [None, 0.94],
    }
    costs = {"tuned": {"hours": 0.5, "unit": "GPU-hours"}}
    table = figure1_data([pd.DataFrame(lines)], costs, hours, FACTS)
    assert table["title"].tolist() == ["Base", "Tuned", "Tuned, as printed"]
    assert table["hours"].fillna(-1).tolist() == [-1, 0.5, 2]
    assert table["source"].tolist() == ["published", "measured", "published"]
    assert table["value"].tolist() == [0.88, 0.93, 0.94]
    figure = draw_figure1(table, FACTS)
    (panel,) = panels(figure)
    assert title_of(panel) == ["patches: CRC-VAL"]
    assert figure["title"]["text"] == "SYNTHETIC DEMO COHORT"
    drawn = rows_of(figure, marked(panel, "point")[0])
    assert drawn["number"].tolist() == ["measured", "measured", "printed"]
    assert drawn["at"].tolist()[1:] == [0.5, 2] and drawn["at"][0] < 0.1  # without tissue: left
