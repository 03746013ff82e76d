"""Partitions of Slurm, read from a program that answers as sinfo does, and where jobs go."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from cryotome.runtime.slurm import (
    ANYTHING,
    KEYS,
    Cluster,
    Granted,
    clamp_resources,
    cluster_of,
    partition_limits,
)

WHOLE = Cluster("lab", "cpu", "gpu", "a100", "--qos=long")
NOWHERE = Cluster("", "", "", "", "")


@pytest.fixture
def sinfo(tmp_path, monkeypatch):
    """Let `sinfo` be a script with these lines."""

    def say(*lines: str) -> None:
        program = tmp_path / "sinfo"
        program.write_text("#!/bin/sh\n" + "\n".join(lines) + "\n", encoding="utf-8")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return say


def test_the_environment_wins_over_the_sites_file(monkeypatch):
    for name in KEYS.values():
        monkeypatch.delenv(name, raising=False)
    said = {"slurm_account": "file", "slurm_partition": "short"}
    monkeypatch.setenv("SLURM_ACCOUNT", "environment")
    assert cluster_of(said) == Cluster("environment", "short", "", "", "")


def test_a_job_with_a_gpu_goes_to_its_own_partition():
    assert WHOLE.resources(on_gpu=True) == {
        "slurm_account": "lab", "slurm_partition": "gpu", "gpu_model": "a100", "slurm_extra": "--qos=long",
    }  # fmt: skip
    assert WHOLE.resources(on_gpu=False)["slurm_partition"] == "cpu"
    assert "gpu_model" not in WHOLE.resources(on_gpu=False)
    assert NOWHERE.resources(on_gpu=True) == {}


def test_rules_get_what_their_jobs_say():
    """`embed` asks for a GPU where a network computes, and for none where colours are counted."""
    embed = SimpleNamespace(resources={"gpu": None})
    WHOLE.place(embed, lambda wildcards: wildcards == "network")
    assert embed.resources["slurm_partition"]("network") == "gpu"
    assert embed.resources["slurm_partition"]("colours") == "cpu"
    assert embed.resources["gpu_model"]("colours") is None
    score = SimpleNamespace(resources={"slurm_partition": "said by hand"})
    WHOLE.place(score, lambda wildcards: True, kept=["slurm_partition"])
    assert score.resources["slurm_partition"] == "said by hand"
    assert score.resources["slurm_account"]("any") == "lab"
    score = SimpleNamespace(resources={})
    WHOLE.place(score, lambda wildcards: True)
    assert score.resources["slurm_partition"]("any") == "cpu"
    assert "gpu_model" not in score.resources


def test_limits_are_minutes_and_memory_and_the_default_partition_has_no_name_too(sinfo):
    sinfo(
        "echo 'cpu* 7-00:00:00 64000'",
        "echo 'cpu* 7-00:00:00 512000'",
        "echo 'gpu 12:30:00 192000'",
    )
    cpu, gpu = Granted(10080, 512_000), Granted(750, 192_000)
    assert partition_limits() == {"cpu": cpu, "": cpu, "gpu": gpu}
    assert clamp_resources(NOWHERE) == {False: cpu, True: cpu}
    assert clamp_resources(WHOLE) == {False: cpu, True: gpu}
    both = clamp_resources(Cluster("", "cpu,gpu", "", "", ""))
    assert both == {False: cpu, True: cpu}
    assert clamp_resources(Cluster("", "elsewhere", "", "", ""))[True] == ANYTHING


def test_a_slurm_that_does_not_answer_limits_nothing(sinfo, tmp_path, monkeypatch):
    sinfo("exit 1")
    assert partition_limits() == {}
    monkeypatch.setenv("PATH", str(Path(tmp_path) / "empty"))
    assert partition_limits() == {}
    assert clamp_resources(NOWHERE) == {False: ANYTHING, True: ANYTHING}
