import pytest
from invented_states import write_state

from cryotome.cli.compare import main, read_state
from cryotome.core.errors import StoreError
from cryotome.evaluation.history import record


def test_a_rerun_is_silent_and_a_planted_change_is_found(tmp_path, capsys):
    for name, skill in (("a", {}), ("b", {}), ("c", {"poor": 3.0})):
        record(tmp_path / name, write_state(tmp_path / name, **skill))
    main(str(tmp_path / "a"), str(tmp_path / "b"))
    assert capsys.readouterr().out == (
        "Nothing changed: 3 rows have equal numbers and predictions.\n"
    )
    main(str(tmp_path / "a"), str(tmp_path / "c"))
    said = capsys.readouterr().out
    assert "moved: poor + ridge (d, random, 1.0, all): AUROC" in said
    assert "1 of 3 rows moved beyond the draw of slides, 1 changed at all." in said
    assert "order of 3 rows, d, random, 1.0, all: Kendall's tau -0.33" in said


def test_an_earlier_state_of_one_folder_is_taken_from_its_history(tmp_path, monkeypatch):
    record(tmp_path, write_state(tmp_path))
    monkeypatch.setattr("cryotome.evaluation.history.commit", lambda: "feed")
    record(tmp_path, write_state(tmp_path, poor=3.0))
    now, then = (read_state(f"{tmp_path}{when}", "", tmp_path / "x") for when in ("", "@feed"))
    assert now == then
    with pytest.raises(StoreError, match="has no state 'no such'; its states are of"):
        read_state(f"{tmp_path}@no such", "", tmp_path / "x")


def test_a_place_without_a_history_and_an_unknown_study_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"has no history.jsonl, and is no bundle\. Every run"):
        read_state(str(tmp_path), "", tmp_path / "x")
    record(tmp_path, write_state(tmp_path))
    with pytest.raises(StoreError, match="has the studies s. Name one of them.*no 'other'"):
        read_state(str(tmp_path), "other", tmp_path / "x")
