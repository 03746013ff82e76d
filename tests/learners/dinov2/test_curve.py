import numpy as np
import pandas as pd
import pytest
from tests.learners.loop.test_curves import drawn

from cryotome.learners.dinov2.curve import PANELS
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


def labelled(points: list[dict]) -> dict[str, list[float]]:
    """Return the values of each line by its name."""
    names = dict.fromkeys(point["label"] for point in points)
    return {name: [p["value"] for p in points if p["label"] == name] for name in names}


def test_every_loss_and_look_is_drawn_with_what_was_before(curve):
    (losses,), (looks, *dotted), (rate,) = drawn(curve, PANELS)
    assert list(labelled(losses[1]).values()) == [[2.0, 1.0]] * 4
    assert labelled(looks[1])["k-NN"] == [0.5, 0.6, 0.7]
    assert labelled(looks[1])["linear probe"] == [0.6, 0.7, 0.8]
    assert [layer["mark"]["type"] for layer, _ in dotted] == ["rule", "rule"]
    assert [points[0]["value"] for _, points in dotted] == [0.5, 0.6]
    assert labelled(rate[1]) == {"": [0, 1e-4, 9e-5]}


def test_without_labels_the_spread_alone_is_drawn(curve):
    (looks,) = drawn(curve.assign(knn=np.nan, probe=np.nan), PANELS)[1]
    assert list(labelled(looks[1])) == ["spread of embeddings"]


def test_synthetic_tissue_is_said_on_picture_and_table(curve, tmp_path):
    last = drawn(curve, PANELS, synthetic=True)[2][0][0]
    assert last["encoding"]["x"]["axis"]["title"] == "iteration, on synthetic tissue"
    table, picture = tmp_path / "c.csv", tmp_path / "c.png"
    write_curve(curve, PANELS, table, picture, title="t", synthetic=True)
    assert pd.read_csv(table)["synthetic"].all()
    assert picture.stat().st_size > 5000
