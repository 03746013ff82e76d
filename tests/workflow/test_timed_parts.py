"""Parts of a measurement: one that fails, dies or hangs is named, and the next one runs."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import ROOT


@pytest.fixture
def timed(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import timed_parts

    return timed_parts


def test_a_part_that_fails_dies_or_hangs_stops_no_other(timed, tmp_path, capsys):
    def good(rehearse):
        return [timed.Row("what", "3 patches/s", {"rate": 3, "toy": rehearse})]

    def fails(rehearse):
        raise ValueError("no room\nmore")

    def leaves(rehearse):
        raise SystemExit("gone")

    def dies(rehearse):
        os.kill(os.getpid(), signal.SIGKILL)

    def hangs(rehearse):
        child = subprocess.Popen(["sleep", "60"])
        (tmp_path / "child").write_text(str(child.pid), encoding="utf-8")
        time.sleep(60)

    parts = [
        timed.Part("first", 5, good),  # whose time the next three use
        timed.Part("fails", 0, fails),
        timed.Part("leaves", 0, leaves),
        timed.Part("dies", 0, dies),
        timed.Part("hangs", 1, hangs),
        timed.Part("last", 20, good),
    ]
    began = time.monotonic()
    outcomes = timed.run_all(parts, tmp_path, rehearse=False)
    assert time.monotonic() - began < 30
    found = {outcome.part: (outcome.state, outcome.why.split(";")[0]) for outcome in outcomes}
    assert found == {
        "first": ("done", ""),
        "fails": ("failed", "ValueError: no room"),
        "leaves": ("failed", "SystemExit: gone"),
        "dies": ("failed", "ended with -9"),
        "hangs": ("out of time", found["hangs"][1]),
        "last": ("done", ""),
    }
    assert found["hangs"][1].startswith("not done after ")
    assert "ValueError: no room" in (tmp_path / "fails.log").read_text(encoding="utf-8")
    child = int((tmp_path / "child").read_text(encoding="utf-8"))
    state = Path(f"/proc/{child}/stat")  # killed with its parent
    assert (
        not state.exists() or state.read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    )
    said = capsys.readouterr().out
    assert "fails: failed in " in said and "  what: 3 patches/s" in said
    written = timed.table(outcomes, "Head.").splitlines()
    assert written[:4] == ["Head.", "", "| what | result |", "| --- | --- |"]
    assert "| what | 3 patches/s |" in written
    assert any(line.startswith("| **fails** | failed: ValueError: no room;") for line in written)


def test_a_rehearsed_part_knows_it_and_each_has_the_same_time(timed, tmp_path, monkeypatch):
    monkeypatch.setattr(timed, "REHEARSED", 20)
    part = timed.Part("a b", 0, lambda rehearse: [timed.Row("x", str(rehearse))])
    (outcome,) = timed.run_all([part], tmp_path, rehearse=True)
    assert (outcome.state, outcome.rows) == ("done", [timed.Row("x", "True")])
    assert [path.name for path in tmp_path.iterdir()] == ["a_b.log"]
