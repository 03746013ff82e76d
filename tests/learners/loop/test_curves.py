import pandas as pd
import pytest
from PIL import Image

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


def test_the_look_that_is_kept_is_marked(curve):
    losses, ranked, rate = draw_curve(curve, title="t", synthetic=False).axes
    kept = next(line for line in losses.lines if line.get_label() == "kept")
    assert kept.get_xydata().tolist() == [[20.0, 0.55]]
    assert ranked.lines[-1].get_xydata().tolist() == [[20.0, 0.8]]
    assert rate.lines[0].get_ydata().tolist() == curve["learning_rate"].tolist()


def test_a_synthetic_cohort_is_said_on_the_picture(curve):
    text = draw_curve(curve, title="t", synthetic=True).axes[-1].get_xlabel()
    assert "synthetic tissue" in text


def test_table_and_picture_are_written(curve, tmp_path):
    write_curve(curve, tmp_path / "c.csv", tmp_path / "c.png", title="t", synthetic=False)
    told = pd.read_csv(tmp_path / "c.csv")
    assert not told.pop("synthetic").any()
    pd.testing.assert_frame_equal(told, curve, check_dtype=False)
    assert Image.open(tmp_path / "c.png").size > (300, 300)
