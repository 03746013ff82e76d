import numpy as np
import pandas as pd
import pytest

from cryotome.learners.dinov2.curve import draw_finetuning
from cryotome.learners.dinov2.student_teacher import LOSSES
from cryotome.learners.loop.curves import write_curve


@pytest.fixture
def curve():
    looks = {
        "iteration": [0.0, 10, 20],
        "learning_rate": [0, 1e-4, 9e-5],
        "spread": [0.5, 0.4, 0.6],
    }
    looks |= {name: [np.nan, 2.0, 1.0] for name in LOSSES}
    return pd.DataFrame(looks | {"knn": [0.5, 0.6, 0.7], "probe": [0.6, 0.7, 0.8]})


def test_every_loss_and_look_is_drawn_with_what_was_before(curve):
    losses, looks, rate = draw_finetuning(curve, title="t", synthetic=False).axes
    assert [line.get_ydata()[-1] for line in losses.lines] == [1.0] * 4
    labelled = {line.get_label(): list(line.get_ydata()) for line in looks.lines}
    assert labelled["k-NN"] == [0.5, 0.6, 0.7]
    assert labelled["linear probe"] == [0.6, 0.7, 0.8]
    dotted = [line.get_ydata()[0] for line in looks.lines if line.get_linestyle() == ":"]
    assert dotted == [0.5, 0.6]
    assert rate.lines[0].get_ydata().tolist() == [0, 1e-4, 9e-5]


def test_without_labels_the_spread_alone_is_drawn(curve):
    bare = curve.assign(knn=np.nan, probe=np.nan)
    looks = draw_finetuning(bare, title="t", synthetic=False).axes[1]
    assert [line.get_label() for line in looks.lines] == ["spread of embeddings"]


def test_synthetic_tissue_is_said_on_picture_and_table(curve, tmp_path):
    assert (
        "synthetic tissue" in draw_finetuning(curve, title="t", synthetic=True).axes[2].get_xlabel()
    )
    table, picture = tmp_path / "c.csv", tmp_path / "c.png"
    write_curve(curve, table, picture, title="t", synthetic=True, draw=draw_finetuning)
    assert pd.read_csv(table)["synthetic"].all()
    assert picture.stat().st_size > 5000
