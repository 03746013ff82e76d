import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from invented_states import write_state

from cryotome.core.files import sha256
from cryotome.evaluation.history import FILE, kept_file, latest, present_state, read_history, record


def test_a_finished_study_adds_a_line_a_row_and_a_rerun_none(tmp_path):
    facts = write_state(tmp_path)
    assert record(tmp_path, facts) == 3
    assert record(tmp_path, facts) == 0
    lines = read_history(tmp_path)
    assert [line["row"] for line in lines] == ["good + ridge", "poor + ridge", "third + ridge"]
    first = lines[0]
    assert (first["weights"], first["fraction"], first["scheme"]) == ("good", "1.0", "random")
    assert sorted(first["predictions"]) == ["random/0", "random/1"]
    for digest in first["predictions"].values():
        assert sha256(kept_file(tmp_path, digest)) == digest


def test_a_row_whose_numbers_changed_adds_its_line_alone(tmp_path):
    record(tmp_path, write_state(tmp_path))
    assert record(tmp_path, write_state(tmp_path, poor=3.0)) == 1
    lines = read_history(tmp_path)
    assert [line["row"] for line in lines[3:]] == ["poor + ridge"]
    assert len(latest(lines)) == 3
    old, new = (line for line in lines if line["row"] == "poor + ridge")
    for line in (old, new):  # the predictions of both states are kept
        assert all(kept_file(tmp_path, digest).exists() for digest in line["predictions"].values())


@pytest.mark.parametrize("spoilt", ["missing", "newer"])
def test_a_study_that_is_not_finished_has_no_state(tmp_path, spoilt):
    facts = write_state(tmp_path)
    path = next((tmp_path / "predictions").rglob("fold=0.csv"))
    path.unlink() if spoilt == "missing" else os.utime(path, (2e9, 2e9))
    assert present_state(tmp_path, facts) == []
    assert record(tmp_path, facts) == 0


def test_a_line_that_a_kill_cut_off_is_skipped_and_written_again(tmp_path):
    facts = write_state(tmp_path)
    record(tmp_path, facts)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-20])
    assert len(read_history(tmp_path)) == 2
    assert record(tmp_path, facts) == 1
    assert len(read_history(tmp_path)) == 3


def test_two_writers_at_once_write_each_line_once(tmp_path):
    write_state(tmp_path)
    code = "import sys; from pathlib import Path; from invented_states import facts_of\n"
    code += "from cryotome.evaluation.history import record; p = Path(sys.argv[1])\n"
    code += "record(p, facts_of(p))"
    env = os.environ | {"PYTHONPATH": f"{ROOT / 'workflow'}:{ROOT / 'tests/tools'}"}
    jobs = [subprocess.Popen([sys.executable, "-c", code, tmp_path], env=env) for _ in range(2)]
    assert [job.wait() for job in jobs] == [0, 0]
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["row"] for line in lines}) == len(lines) == 3
