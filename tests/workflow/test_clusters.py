"""A study through the generic executor, a plain shell as its scheduler: the tables of a local run."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import accidents
import pytest
import yaml
from conftest import ROOT
from small_study import plan, snakemake

pytestmark = pytest.mark.study
PROFILE = ["--profile", "profiles/generic"]
OFTEN = ["--latency-wait", "5", "--seconds-between-status-checks", "1"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accidents.tiny(tmp_path_factory.mktemp("generic"))


def test_jobs_submitted_through_a_shell_make_the_same_tables_byte_for_byte(clone, tiny_study):
    """From annotations over an embedding, a probe and a training to tables and a figure."""
    tables = [f"results/{name}.csv" for name in ("table1", "intervals", "published", "figure1")]
    said = snakemake(clone, *PROFILE, *OFTEN, "--retries", "0", "--", *tables)
    steps = "".join(re.findall(r"^(Submitted|Finished)", said, re.M))
    assert 8 <= steps.count("Submitted") < 20, said
    assert "SubmittedSubmitted" in steps  # several at once
    made, reference = accidents.numbers(clone), accidents.numbers(tiny_study)
    assert len(made) > 20
    assert {name for name, found in made.items() if reference[name] != found} == set()
    for table in tables:
        assert (clone / table).read_bytes() == (tiny_study / table).read_bytes()
    assert plan(clone, *PROFILE, "--", *tables) == {}


def test_every_job_has_what_a_submit_command_names(clone):
    """Also where its rule says nothing of a GPU; on the submitting host none is needed."""
    command = "echo {threads} {resources.mem_mb} {resources.runtime} {resources.gpu}"
    (clone / "config" / "other.yaml").write_text(
        yaml.dump(accidents.TINY | {"study": "other", "device": "auto"}), encoding="utf-8"
    )
    ask = [*PROFILE, "--configfile", "config/other.yaml", "--forceall"]
    said = snakemake(clone, "-n", *ask, "--cluster-generic-submit-cmd", command)
    jobs = re.findall(r"^rule (\w+):.*?^    resources: (.*?)$", said, re.M | re.S)
    gpus = {rule: re.search(r"gpu=(\d)", resources)[1] for rule, resources in jobs}
    assert gpus["train_endtoend"] == "1"
    assert gpus["read_cells"] == "0"
    assert not [resources for _, resources in jobs if "slurm" in resources]


def test_a_job_that_is_killed_is_noticed_and_its_children_end(clone, tmp_path):
    """Also where nothing could write its exit status: the scheduler's kill for memory or time."""
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\nsleep 60 &\necho $! > child\nwait\n", encoding="utf-8")
    script.chmod(0o755)

    def say(name: str, *words: str) -> str:
        command = [clone / "profiles" / "generic" / f"{name}.sh", *words]
        return subprocess.run(
            command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()

    def wait_for(found: Callable[[], object]) -> None:
        end = time.monotonic() + 30
        while not found():
            assert time.monotonic() < end
            time.sleep(0.05)

    number = say("submit", str(script))
    wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").stat().st_size)
    assert say("status", number) == "running"
    say("cancel", number)
    wait_for(lambda: say("status", number) == "failed")
    child = Path("/proc", (tmp_path / "child").read_text(encoding="utf-8").strip(), "stat")
    wait_for(lambda: not child.exists() or ") Z " in child.read_text(encoding="utf-8"))
    script.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    number = say("submit", str(script))
    wait_for(lambda: say("status", number) == "failed")
    script.write_text("#!/bin/sh\ntrue\n", encoding="utf-8")
    number = say("submit", str(script))
    wait_for(lambda: say("status", number) == "success")


def test_the_profile_has_the_groups_of_slurms():
    slurm, generic = (
        (ROOT / "profiles" / name / "config.yaml").read_text(encoding="utf-8")
        for name in ("slurm", "generic")
    )
    assert yaml.safe_load(slurm)["groups"]["probe"] == "row"
    assert '?slurm["groups"]' in generic
