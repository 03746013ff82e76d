import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from accidents import TINY, tiny
from conftest import CONFIG, ROOT
from small_study import snakemake

from cryotome.cli import status
from cryotome.cli.status import JobHistory, measure_progress, report
from cryotome.runtime.failures import Failure
from cryotome.study.checks import checked_study
from cryotome.study.costs.gflop import Job
from cryotome.study.costs.prices import CostModel
from cryotome.study.study import Study

NOW = datetime.now(UTC)
PLAIN = {
    "rows": [{"model": "colour_histogram", "head": "ridge"}],
    "reference": {"model": "colour_histogram", "head": "ridge"},
    "figure2": [{"model": "colour_histogram", "head": "ridge"}],
}
WORK = """
import time
from types import SimpleNamespace
from cryotome.runtime.job import run_script

def main() -> None:
    print("at work", flush=True)
    time.sleep(300)

none = {"input": {}, "output": {}, "params": {}, "resources": {}}
wildcards = {"dataset": "tiny", "scheme": "random", "fraction": "1.0", "fold": "0"}
log = "results/logs/split_cells/tiny.random.fraction=1.0.fold=0.log"
snakemake = SimpleNamespace(rule="split_cells", threads=1, log=[log], wildcards=wildcards, **none)
run_script(main)
"""


def made(ended: str, *, ago: float = 0.0, wall: float = 10.0) -> dict:
    """Return an attempt that stopped so many seconds ago, or began then and has not stopped."""
    stop = NOW - timedelta(seconds=ago)
    if ended == "killed":
        return {"ended": ended, "started": stop.isoformat()}
    start = (stop - timedelta(seconds=wall)).isoformat()
    return {"ended": ended, "started": start, "stopped": stop.isoformat(), "wall_s": wall}


def job(fold: int) -> Job:
    return Job("split_cells", {"dataset": "demo_rois", "fold": str(fold)})


def key(fold: int) -> tuple[str, ...]:
    return status.job_key("split_cells", {"fold": str(fold), "dataset": "demo_rois"})


def standing(past: dict, *, planned: list[int], count: int = 6) -> status.Progress:
    jobs = [job(fold) for fold in range(count)]
    found = measure_progress(
        jobs, [job(fold) for fold in planned], past, NOW - timedelta(seconds=5)
    )
    return replace(found, now=NOW)


def test_every_state_a_job_may_be_in():
    failed = Failure("split_cells", {}, "no", "x.log")
    past = {
        key(1): JobHistory([made("ok", ago=1)]),  # ended since Snakemake was asked
        key(2): JobHistory([made("killed", ago=9)], alive=True),
        key(3): JobHistory([made("failed")], failure=failed),
        key(4): JobHistory([made("killed")], alive=False, failure=failed),
    }
    found = standing(past, planned=[1, 2, 3, 4, 5])
    assert list(found.states.values()) == ["done", "done", "running", "failed", "failed", "to do"]
    assert past[key(3)].why() == "no"
    assert past[key(4)].why().startswith("It was killed: out of memory")


def test_a_job_of_another_machine_lives_as_long_as_its_log_is_written():
    def one(silent: float) -> JobHistory:
        return JobHistory([made("killed", ago=9000)], alive=None, silent=silent)

    found = standing({key(0): one(60.0), key(1): one(7200.0)}, planned=[0, 1], count=2)
    assert list(found.states.values()) == ["running", "failed"]
    assert "silent for 2.0 h" in one(7200.0).why()


def test_a_job_that_was_mended_is_no_failure_any_more():
    past = {key(0): JobHistory([made("failed", ago=100), made("ok", ago=50)])}
    assert list(standing(past, planned=[], count=1).states.values()) == ["done"]
    assert list(standing(past, planned=[0], count=1).states.values()) == ["to do"]


def test_the_rate_is_that_of_the_last_minutes():
    past = {key(n): JobHistory([made("ok", ago=60.0 * n, wall=60.0)]) for n in range(1, 5)}
    past[key(5)] = JobHistory([made("ok", ago=7200)])
    count, span = standing(past, planned=[]).rate()
    assert count == 4
    assert span == pytest.approx(300, abs=1)


def study() -> Study:
    return checked_study(
        yaml.safe_load((CONFIG / "config.yaml").read_text(encoding="utf-8")), CONFIG
    )


def test_the_time_left_is_that_of_the_jobs_that_are_not_done():
    past = {
        key(0): JobHistory([made("ok", wall=100.0)]),
        key(1): JobHistory([made("ok", wall=200.0)]),
    }
    past[key(2)] = JobHistory([made("killed", ago=60.0)], alive=True)
    prices = CostModel(study(), on_gpu=False)
    seconds, assumed = standing(past, planned=[2, 3, 4], count=5).seconds_left(prices)
    assert seconds == pytest.approx(150 - 60 + 2 * 150, abs=1)
    assert assumed == 0


def test_rules_without_a_record_are_projected_as_a_plan_does():
    jobs = [
        Job("read_cells", {"dataset": "demo_rois"}),
        Job("copy_to_results", {"product": "table1.csv"}),
    ]
    found = measure_progress(jobs, jobs, {}, NOW)
    seconds, assumed = found.seconds_left(CostModel(study(), on_gpu=False))
    assert seconds == pytest.approx(1.0 + 3 * 392 / 5000 + 0.1)
    assert assumed == 1
    assert found.mean_seconds() == {}


def test_copies_alone_are_no_unfinished_work():
    planned = [Job("copy_to_results", {"product": "table1.csv"})]
    found = measure_progress([job(0), *planned], planned, {}, NOW)
    text = report(study(), found, CostModel(study(), on_gpu=False), locked=False)
    assert "All results exist. Copies of them in `results/` are of another study" in text


def test_a_finished_study_says_so():
    text = report(study(), standing({}, planned=[]), CostModel(study(), on_gpu=False), locked=False)
    assert text.endswith("All results exist.")
    assert [line.split() for line in text.splitlines() if line.startswith("split_cells")] == [
        ["split_cells", "6", "-", "-", "-", "-"]
    ]


def test_colours_are_for_terminals_alone(monkeypatch):
    found = standing({}, planned=[0])
    plain = report(study(), found, CostModel(study(), on_gpu=False), locked=True)
    assert "\033" not in plain
    assert "none of its jobs runs" in plain
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = report(study(), found, CostModel(study(), on_gpu=False), locked=True)
    assert "\033[32m        5\033[0m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert report(study(), found, CostModel(study(), on_gpu=False), locked=True) == plain


@pytest.fixture(scope="module")
def broken(tmp_path_factory) -> Path:
    """A clone whose run has failed at an image: cells are read, nothing else is made."""
    folder = tiny(tmp_path_factory.mktemp("status") / "clone")
    (folder / "config" / "config.yaml").write_text(yaml.dump(TINY | PLAIN), encoding="utf-8")
    (folder / "data" / "tiny" / "images" / "3.tiff").write_bytes(b"no image")
    target = "results/embeddings/tiny/paper-fp32/colour_histogram.h5"
    assert "gave no patches" in snakemake(folder, "--cores", "1", target, check=False)
    return folder


def asked(folder: Path, monkeypatch, capsys) -> tuple[dict[str, list[str]], str]:
    """Return the numbers of each rule, and all that is said."""
    monkeypatch.chdir(folder)
    status.main("demo")
    said = capsys.readouterr().out
    table = said.split("\n\n")[1].splitlines()
    return {line.split()[0]: line.split()[1:5] for line in table}, said


@pytest.mark.study
def test_half_a_study_a_failure_and_a_job_at_work(broken, monkeypatch, capsys):
    env = {"PYTHONPATH": str(ROOT / "workflow"), "PATH": os.environ["PATH"]}
    work = subprocess.Popen([sys.executable, "-c", WORK], cwd=broken, env=env,
                            stdout=subprocess.PIPE)  # fmt: skip
    assert work.stdout.readline() == b"at work\n"
    before = {path: path.stat().st_mtime_ns for path in broken.rglob("results/*/*/*")}
    lock = broken / ".snakemake" / "locks" / "0.input.lock"  # as a run under way has it
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("results/cells/tiny.csv", encoding="utf-8")
    rules, said = asked(broken, monkeypatch, capsys)
    assert rules["read_cells"] == ["1", "-", "-", "-"]
    assert rules["cut_patches"] == ["-", "-", "1", "-"]
    assert rules["split_cells"] == ["-", "1", "-", "-"]
    assert rules["embed"] == rules["probe"] == rules["score_row"] == ["-", "-", "-", "1"]
    assert rules["total"][:3] == ["1", "1", "1"]
    assert "\n  split_cells tiny, random, 1.0, 0: for " in said
    assert "\n  cut_patches tiny: 1 images of 'tiny' gave no patches" in said
    assert "[results/logs/cut_patches/tiny.log]\n    | " in said
    assert "Left: about " in said
    # nothing was started, nothing disturbed
    assert {path: path.stat().st_mtime_ns for path in broken.rglob("results/*/*/*")} == before
    assert [path.name for path in lock.parent.iterdir()] == ["0.input.lock"]
    work.kill()
    work.wait()
    rules, said = asked(broken, monkeypatch, capsys)
    assert rules["split_cells"] == ["-", "-", "1", "-"]
    assert "split_cells tiny, random, 1.0, 0: It was killed" in said


@pytest.mark.study
def test_a_view_on_the_terminal_is_not_torn_by_the_lines_of_jobs(broken):
    ask = ["--nolock", "--cores", "1", "--forcerun", "read_cells", "--", "results/cells/tiny.csv"]
    assert "tiny: 48 cells on 8 images" in snakemake(broken, *ask)
    assert "48 cells" not in snakemake(broken, "--logger", "rich", *ask)
    log = broken / "results" / "logs" / "read_cells" / "tiny.log"
    assert "tiny: 48 cells on 8 images" in log.read_text(encoding="utf-8")
