import pytest
from invented_states import write_state

from cryotome.evaluation.changes import (
    MOVED,
    UNKNOWN,
    WITHIN,
    changed_origin,
    compare_states,
    concordance,
    state_of,
)
from cryotome.evaluation.history import latest, read_history, record


def state(results, **skill):
    record(results, write_state(results, **skill))
    return state_of(results, latest(read_history(results)))


def test_equal_states_have_no_change(tmp_path):
    assert compare_states(state(tmp_path / "a"), state(tmp_path / "b"), draws=50).empty


def test_a_planted_gain_has_moved_and_new_noise_has_not(tmp_path):
    before = state(tmp_path)
    after = state(tmp_path, seed=1, poor=3.0)
    found = compare_states(before, after, draws=400).set_index("row")
    assert len(found) == 3
    poor = found.loc["poor + ridge"]
    assert poor["verdict"] == MOVED and poor["low"] > 0.1
    assert poor["low"] < poor["difference"] < poor["high"]
    assert found.loc["good + ridge", "verdict"] == WITHIN


def test_what_changed_is_named(tmp_path):
    (line,) = [one for one in state(tmp_path).lines.values() if one["row"] == "good + ridge"]
    other = line | {"weights": "others", "versions": ["numpy 2"], "commit": "abc"}
    assert changed_origin(line, other) == ["weights", "commit abc", "numpy 2"]
    assert changed_origin(line, line) == []


def test_without_predictions_nobody_can_tell(tmp_path):
    before, after = state(tmp_path / "a"), state(tmp_path / "b", poor=3.0)
    for path in (tmp_path / "a/history").iterdir():
        path.unlink()
    for path in (tmp_path / "a/predictions").rglob("*.csv"):
        path.unlink()
    found = compare_states(before, after, draws=50)
    assert found["verdict"].tolist() == [UNKNOWN] and found["low"].isna().all()


def test_the_order_of_rows_is_compared(tmp_path):
    before, after = state(tmp_path / "a"), state(tmp_path / "b", poor=3.0)
    assert concordance(before, before)["tau"].tolist() == [1.0]
    line = concordance(before, after).iloc[0]
    assert line["rows"] == 3
    assert line["tau"] == pytest.approx(-1 / 3)  # good, third, poor become poor, good, third
