import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from cryotome.runtime import ledger

JOB = """
import os, signal, sys, time
from types import SimpleNamespace
from cryotome.runtime import ledger
from cryotome.core.errors import CryotomeError
from cryotome.runtime.job import run_script

def main() -> None:
    {does}

none = {{"input": {{}}, "output": {{}}, "params": {{}}, "resources": {{}}}}
log = "results/logs/embed/d.uni.log"
snakemake = SimpleNamespace(rule="embed", threads=2, log=[log], wildcards={{"model": "uni"}}, **none)
run_script(main)
"""
LEDGER = "results/ledger/embed/d.uni.jsonl"


def start(folder: Path, does: str) -> subprocess.Popen:
    """Start a job that does this, as Snakemake starts one."""
    env = {"PYTHONPATH": str(ROOT / "workflow"), "CRYOTOME_RUN": "r1", "PATH": os.environ["PATH"]}
    return subprocess.Popen(
        [sys.executable, "-c", JOB.format(does=does)], cwd=folder, env=env,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # nohup ignores it
    )  # fmt: skip


def begun(folder: Path) -> subprocess.Popen:
    """Start a job that goes on for long, and wait until it is at work."""
    job = start(folder, "print('at work', flush=True); time.sleep(100)")
    assert job.stdout.readline() == b"at work\n"
    return job


def test_a_job_leaves_what_it_took(tmp_path):
    does = "ledger.report_throughput(patches=300, seconds=1.5); ledger.report_throughput(patches=100, seconds=0.5); time.sleep(0.3)"
    assert start(tmp_path, does).wait() == 0
    (made,) = ledger.attempts(tmp_path / LEDGER)
    told = ("rule", "wildcards", "run", "attempt", "ended", "threads", "items", "unit", "per_s")
    assert [made[name] for name in told] == [
        "embed", {"model": "uni"}, "r1", 1, "ok", 2, 400, "patches", 200.0,
    ]  # fmt: skip
    assert 0.3 < made["wall_s"] < 60
    assert 0 < made["cpu_s"] < 30
    assert 5 < made["peak_mb"] < 500
    assert made["gpu_s"] == 0
    assert made["started"] < made["stopped"]
    assert made["started"].endswith("+00:00")
    assert not {"energy_kj", "peak_gpu_mb"} & set(made)


def test_a_job_that_fails_and_one_that_mends_it_are_two_attempts(tmp_path):
    assert start(tmp_path, "raise CryotomeError('no')").wait() == 1
    assert start(tmp_path, "pass").wait() == 0
    assert start(tmp_path, "pass").wait() == 0  # made again, for an input has changed
    made = ledger.attempts(tmp_path / LEDGER)
    assert [(one["ended"], one["attempt"]) for one in made] == [("failed", 1), ("ok", 2), ("ok", 1)]
    assert ledger.attempts_for_result(made) == made[2:]
    assert ledger.attempts_for_result(made[:2]) == made[:2]
    assert ledger.attempts_for_result(made[:1]) == []


def test_a_killed_job_is_known_to_have_been_and_nothing_is_said_of_what_it_took(tmp_path):
    job = begun(tmp_path)
    (made,) = ledger.attempts(tmp_path / LEDGER)
    assert ledger.is_alive(tmp_path / LEDGER, made) is True
    job.kill()
    job.wait()
    (made,) = ledger.attempts(tmp_path / LEDGER)
    assert made["ended"] == "killed"
    assert "wall_s" not in made
    assert ledger.is_alive(tmp_path / LEDGER, made) is False
    assert start(tmp_path, "pass").wait() == 0
    ends = [(one["ended"], one["attempt"]) for one in ledger.attempts(tmp_path / LEDGER)]
    assert ends == [("killed", 1), ("ok", 2)]


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT])
def test_a_job_that_is_told_to_stop_still_says_what_it_took(tmp_path, blow):
    job = begun(tmp_path)
    job.send_signal(blow)
    assert job.wait() == 128 + blow
    (made,) = ledger.attempts(tmp_path / LEDGER)
    assert made["ended"] == "failed"
    assert made["wall_s"] > 0


def test_of_a_job_on_another_machine_nothing_is_known(tmp_path):
    path = tmp_path / LEDGER
    path.parent.mkdir(parents=True)
    path.write_text(
        json.dumps({"started": "2026", "run": "r1", "boot": "another"}) + "\n", encoding="utf-8"
    )
    (made,) = ledger.attempts(path)
    assert ledger.is_alive(path, made) is None


def test_a_torn_line_hides_no_other(tmp_path):
    assert start(tmp_path, "pass").wait() == 0
    with open(tmp_path / LEDGER, "a", encoding="utf-8") as file:
        file.write('{"rule": "em')  # the disk was full
    assert start(tmp_path, "pass").wait() == 0
    assert [one["ended"] for one in ledger.attempts(tmp_path / LEDGER)] == ["ok", "ok"]


def test_a_full_disk_breaks_no_job(tmp_path):
    """Files may have no byte: as on a full disk, no line can be written."""
    does = "print('done', flush=True)"
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    limit += "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)"
    code = JOB.format(does=does).replace("def main()", f"{limit}\ndef main()")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.stdout == "done\n"
    assert ledger.attempts(tmp_path / LEDGER) == []


def test_a_folder_that_cannot_be_made_breaks_no_job(tmp_path):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "ledger").write_text("a file is in the way", encoding="utf-8")
    assert start(tmp_path, "pass").wait() == 0


def test_an_attempt_costs_a_job_less_than_5_ms(tmp_path):
    log = tmp_path / "results/logs/embed/d.log"

    def once() -> float:
        start = time.process_time()
        with ledger.record_attempt(log, "embed", {"dataset": "d"}, 1) as attempt:
            attempt.start_gpus(0)
        return time.process_time() - start

    assert min(once() for _ in range(20)) < 0.005


def test_a_gpu_is_held_from_its_lease_on_and_not_while_it_is_waited_for(tmp_path):
    with ledger.record_attempt(tmp_path / "results/logs/embed/d.log", "embed", {}, 1) as attempt:
        time.sleep(1)  # waits for its turn
        attempt.start_gpus(1)
        time.sleep(0.1)
    (made,) = ledger.attempts(tmp_path / "results/ledger/embed/d.jsonl")
    assert 0.1 <= made["gpu_s"] < 1 < made["wall_s"]


@pytest.mark.parametrize(
    "odd", ["[" * 100_000, "[]", '{"started": [], "run": ""}', '{"started": 1' + "0" * 5000]
)
def test_a_line_that_is_none_of_ours_hides_no_other(tmp_path, odd):
    """100,000 brackets ended every further attempt of the job with a RecursionError."""
    path = tmp_path / "a.jsonl"
    path.write_text(odd + '\n{"started": "x", "run": "r", "ended": "ok"}\n', encoding="utf-8")
    assert [one["ended"] for one in ledger.attempts(path)] == ["ok"]
