import pandas as pd
import pytest
from PIL import Image

from cryotome.core.charts import specification
from cryotome.learners.endtoend.run import PANELS
from cryotome.learners.loop.curves import draw_curve, write_curve


@pytest.fixture
def curve():
    return pd.DataFrame(
        {
            "step": [10.0, 20.0, 30.0],
            "learning_rate": [1e-4, 8e-5, 1e-8],
            "training_loss": [0.7, 0.5, 0.2],
            "validation_loss": [0.69, 0.55, 0.61],
            "validation_auroc": [0.6, 0.8, 0.79],
        }
    )


def drawn(curve: pd.DataFrame, panels=PANELS, **said) -> list[list[tuple[dict, list[dict]]]]:
    """Return the layers of each panel, each with its specification and its data."""
    spec = specification(draw_curve(curve, panels, **{"title": "t", "synthetic": False} | said))
    return [
        [(one, spec["datasets"][(panel | one)["data"]["name"]]) for one in panel["layer"]]
        for panel in spec["vconcat"]
    ]


def test_the_look_that_is_kept_is_marked(curve):
    (lines, ring), (_, second), (rate,) = drawn(curve, kept=1)
    assert ring[0]["mark"]["type"] == "point"
    assert ring[1] == [{"step": 20.0, "value": 0.55, "label": "validation"}]
    assert second[1] == [{"step": 20.0, "value": 0.8, "label": ""}]
    assert [point["value"] for point in rate[1]] == curve["learning_rate"].tolist()
    assert [p["value"] for p in lines[1] if p["label"] == "training"] == [0.7, 0.5, 0.2]


def test_a_measure_without_a_value_has_no_panel(curve):
    """The AUROC of validation cells of one class."""
    losses, rate = drawn(curve.assign(validation_auroc=float("nan")), kept=1)
    assert len(losses) == 2
    assert [point["value"] for point in rate[0][1]] == curve["learning_rate"].tolist()


def test_a_synthetic_cohort_is_said_on_the_picture(curve):
    titles = [
        drawn(curve, synthetic=synthetic)[-1][0][0]["encoding"]["x"]["axis"]["title"]
        for synthetic in (True, False)
    ]
    assert titles == ["step, on synthetic tissue", "step"]


def test_table_and_picture_are_written(curve, tmp_path):
    said = {"title": "t", "synthetic": False}
    write_curve(curve, PANELS, tmp_path / "c.csv", tmp_path / "c.png", **said)
    told = pd.read_csv(tmp_path / "c.csv")
    assert not told.pop("synthetic").any()
    pd.testing.assert_frame_equal(told, curve, check_dtype=False)
    assert Image.open(tmp_path / "c.png").size > (300, 300)
