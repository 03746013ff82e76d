import errno
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT

from cryotome.cli import machine
from cryotome.cli.machine import FIX, NOT_NEEDED, OK
from cryotome.runtime.slurm import Cluster

SMI = "570.86.10, NVIDIA H100 80GB HBM3, 81559 MiB\n570.86.10, NVIDIA L4, 23034 MiB\n"


def program(folder: Path, name: str, body: str) -> None:
    """Put an executable of that name first on PATH."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def only(tmp_path, monkeypatch):
    """A PATH that holds nothing but what a test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_this_python_is_new_enough():
    found = machine.check_python()
    assert found == machine.Check(OK, "Python " + ".".join(map(str, sys.version_info[:3])))
    assert str(found).startswith("ok    Python 3.")


def test_an_old_python_is_to_be_mended(monkeypatch):
    monkeypatch.setattr(machine, "PYTHON", (9, 1))
    found = machine.check_python()
    assert found.mark == FIX
    assert "make install PYTHON=…` with Python 9.1 or newer" in found.text


def test_differing_versions_are_named_and_markers_count(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text(
        "numpy==0.1 \\\n    --hash=sha256:00\nnothing-such==1.0 \\\n    --hash=sha256:00\n"
        "winonly==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
        f"packaging=={machine.version('packaging')}\n",
        encoding="utf-8",
    )
    found = machine.check_requirements(path)
    assert found.mark == FIX
    assert (
        f"2 of 3 differ from requirements.txt: numpy {machine.version('numpy')} instead of ==0.1, nothing-such missing instead of ==1.0. "
        in found.text
    )


def test_the_real_requirements_are_read_whole():
    found = machine.check_requirements(ROOT / "requirements.txt")
    count = int(found.text.split(" as pinned")[0].split()[-1] if found.mark == OK else 150)
    assert count > 100


def test_torch_and_torchvision_load_together():
    found = machine.check_torch()
    assert (found.mark, "torchvision" in found.text, "built for" in found.text) == (OK, True, True)


def test_openslide_is_named():
    assert machine.check_openslide().text.startswith("OpenSlide 4.")


def test_a_machine_without_a_gpu_needs_one_or_does_not(only):
    needed, _ = machine.check_gpu(0, needed=True)
    assert needed.mark == FIX
    assert "none here (no nvidia-smi on PATH): run with --profile slurm" in needed.text
    spare, bf16 = machine.check_gpu(0, needed=False)
    assert (spare.mark, bf16.text.startswith("bf16: processor")) == (NOT_NEEDED, True)


def test_a_driver_that_does_not_answer_is_to_be_mended(only, monkeypatch):
    program(only, "nvidia-smi", "echo 'NVIDIA-SMI has failed because it could not' >&2; exit 9")
    found, _ = machine.check_gpu(1, needed=True)
    assert found.mark == FIX
    assert "GPU: 1 in /dev, but nvidia-smi fails: NVIDIA-SMI has failed" in found.text
    program(only, "nvidia-smi", "exec /bin/sleep 60")
    monkeypatch.setattr("cryotome.runtime.slurm.TIMEOUT", 0.2)
    found, _ = machine.check_gpu(1, needed=True)
    assert "nvidia-smi does not answer within 0.2 s" in found.text


def test_what_nvidia_smi_says_is_held_against_this_torch(only):
    program(only, "nvidia-smi", f"/bin/cat <<'END'\n{SMI}END")
    found, _ = machine.check_gpu(2, needed=True)
    said = "GPU: NVIDIA H100 80GB HBM3, 81559 MiB; NVIDIA L4, 23034 MiB; driver 570.86.10"
    assert (found.mark, found.text.startswith(said)) == (FIX, True)  # too old, or no CUDA build


@pytest.mark.parametrize(
    ("cuda", "available", "mark", "said"),
    [
        ("12.8", True, OK, "driver 570.86.10; torch for CUDA 12.8"),
        ("13.2", False, FIX, "driver 570.86.10, older than 580.65.06, which torch's CUDA 13.2 needs"),
        ("12.8", False, FIX, "torch sees no GPU: check CUDA_VISIBLE_DEVICES (7)"),
        (None, False, FIX, "but torch is built for the processor alone: delete .venv"),
    ],
)  # fmt: skip
def test_driver_and_torch_build_are_judged_together(cuda, available, mark, said, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    found = machine.assess_gpu(SMI, cuda, available=available)
    assert (found.mark, said in found.text) == (mark, True), found.text


def test_locks_and_renames_work_where_tests_run_and_leave_nothing(tmp_path):
    assert machine.check_locks(tmp_path).mark == OK
    assert list(tmp_path.iterdir()) == []


def test_a_file_system_whose_locks_hold_nobody_off_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.fcntl, "flock", lambda *_: None)  # as some mounts answer
    found = machine.check_locks(tmp_path)
    assert (found.mark, "two processes can hold one lock" in found.text) == (FIX, True)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named_and_does(tmp_path, monkeypatch, number):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(machine.fcntl, "flock", refuse)
    found = machine.check_locks(tmp_path)
    assert found.mark == NOT_NEEDED
    assert f"writable, but without locks ({os.strerror(number)}): never" in found.text


def test_a_file_system_that_does_not_rename_will_not_do(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(machine.Path, "rename", refuse)
    found = machine.check_locks(tmp_path)
    assert (found.mark, "cannot rename (Operation not permitted)" in found.text) == (FIX, True)


PARTITIONS = "cpu*|up|12|(null)\ngpu|up|3|gpu:a100:4(S:0-1)\nold|down|1|(null)"


ANYWHERE = Cluster("", "", "", "", "")


@pytest.mark.parametrize(
    ("sacct", "age", "mark", "said"),
    [
        ("exit 0", 2, OK, "sacct reports"),
        ("exit 1", 300, OK, "squeue lists ended jobs for 300 s"),
        ("exit 1", 200, FIX, "for 200 s: too short for Snakemake"),
    ],
)
def test_ended_jobs_must_be_remembered(only, sacct, age, mark, said):
    program(only, "sacct", sacct)
    program(only, "scontrol", f"echo 'MinJobAge               = {age} sec'")
    found = machine.check_job_history()
    assert (found.mark, said in found.text) == (mark, True)


def cluster(folder: Path) -> None:
    program(folder, "sinfo", f"/bin/cat <<'END'\n{PARTITIONS}\nEND")
    program(folder, "squeue", "exit 0")


@pytest.mark.parametrize(
    ("wanted", "mark", "said"),
    [
        ({}, OK, "jobs go to the default (cpu), account the default"),
        ({"partition": "gpu", "account": "mine"}, OK, "jobs go to gpu, account mine"),
        ({"partition": "cpu", "gpu_partition": "gpu"}, OK, "jobs go to cpu and gpu, account"),
        ({"partition": "old"}, FIX, "partition 'old' is down or missing"),
        ({"gpu_partition": "gpus"}, FIX, "partition 'gpus' is down or missing"),
    ],
)
def test_partitions_and_their_gpus_are_listed(only, wanted, mark, said):
    cluster(only)
    found = machine.check_slurm(*machine.ask_slurm(), replace(ANYWHERE, **wanted))
    assert found.text.startswith("Slurm: partitions cpu, gpu, old; GPUs gpu:a100:4; ")
    assert (found.mark, said in found.text) == (mark, True)


def test_slurm_that_is_absent_or_silent_is_not_needed(only):
    found = machine.check_slurm(*machine.ask_slurm(), ANYWHERE)
    assert found == machine.Check(
        NOT_NEEDED, "Slurm: no sinfo on PATH; only --profile slurm needs it"
    )
    cluster(only)
    program(only, "squeue", "echo 'slurm_load_jobs error: Unable to contact' >&2; exit 1")
    found = machine.check_slurm(*machine.ask_slurm(), ANYWHERE)
    assert "squeue fails: slurm_load_jobs error: Unable to contact" in found.text
