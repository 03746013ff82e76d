"""GPUs are leased, none twice: with pretend devices, real processes and the kernel's locks."""

import errno
import fcntl
import itertools
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from accidents import checkout
from conftest import ROOT
from small_study import snakemake

from cryotome.core.errors import CryotomeError
from cryotome.runtime.cluster import VARIABLES
from cryotome.runtime.gpu_lease import FOLDER, VISIBLE, lease_gpus, visible_devices

HOLD = f"""
import os, sys, time
sys.path.insert(0, {str(ROOT / "workflow")!r})
from pathlib import Path
from cryotome.runtime.gpu_lease import lease_gpus
if uid := int(sys.argv[4]):
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
with lease_gpus(int(sys.argv[2]), Path(sys.argv[1])):
    begun = time.time()
    print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
    sys.stdin.readline() if sys.argv[3] == "wait" else time.sleep(float(sys.argv[3]))
    print(begun, time.time(), flush=True)
"""


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    ours = ("CRYOTOME_DEVICE", "CRYOTOME_JOBS_PER_GPU", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS")
    for name in (*ours, *(name for names in VARIABLES.values() for name in names)):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(VISIBLE, "0,1,2")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases"


@pytest.fixture
def start(folder):
    """Start processes that hold GPUs; none outlives its test."""
    begun = []

    def job(count=1, hold="wait", uid=0, **environ):
        arguments = [str(folder), str(count), hold, str(uid)]
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, *arguments], encoding="utf-8", env=os.environ | environ,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        begun.append(process)
        return process

    yield job
    for process in begun:
        process.kill()
        process.communicate()


def given(process) -> str:
    return process.stdout.readline().strip()


def let_go(process) -> str:
    return process.communicate("\n", timeout=30)[1]


def test_devices_are_those_that_cuda_would_see(tmp_path):
    def said(text):
        return visible_devices({VISIBLE: text})

    assert said("0,2") == ["0", "2"]
    assert said("GPU-8932f937, MIG-GPU-8932f937/1/0") == ["GPU-8932f937", "MIG-GPU-8932f937/1/0"]
    assert said("") == said("-1") == said("NoDevFiles") == []
    assert said("1,-1,0") == ["1"]
    assert said("1,1") == ["1"]
    for name in ("nvidia0", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert visible_devices({}, tmp_path) == ["0", "1"]  # a container may be given the fourth only


def test_three_jobs_have_three_gpus_and_a_fourth_waits_until_one_ends(start):
    jobs = [start() for _ in range(3)]
    devices = list(map(given, jobs))
    assert sorted(devices) == ["0", "1", "2"]
    fourth = start()
    assert fourth.stderr.readline() == "Waiting for 1 of the GPUs 0,1,2: other jobs hold them.\n"
    assert let_go(jobs[1]).startswith("GPU ")
    assert given(fourth) == devices[1]
    assert let_go(fourth) == f"GPU {devices[1]} of 0,1,2 is this job's.\n"


def test_a_killed_job_frees_its_gpu_at_once(start, monkeypatch):
    monkeypatch.setenv(VISIBLE, "1")
    holder = start()
    assert given(holder) == "1"
    waiting = start()
    assert waiting.stderr.readline().startswith("Waiting for 1 of the GPUs 1:")
    os.kill(holder.pid, signal.SIGKILL)
    began = time.monotonic()
    assert given(waiting) == "1"
    assert time.monotonic() - began < 3


def test_a_job_takes_all_its_gpus_or_none(start):
    """Five jobs want two of three each: never two at a time, and none waits for ever."""
    jobs = [start(count=2, hold="0.2") for _ in range(5)]
    times = []
    for job in jobs:
        out, said = job.communicate(timeout=60)
        devices, span = out.splitlines()
        assert len(devices.split(",")) == 2, said
        times.append(tuple(map(float, span.split())))
    times.sort()
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times))


def test_more_gpus_than_there_are_are_given_as_far_as_they_go(start):
    assert given(start(count=8)) == "0,1,2"


def test_jobs_that_may_share_go_to_the_least_busy_gpu_first(start):
    shared = {VISIBLE: "0,1", "CRYOTOME_JOBS_PER_GPU": "2"}
    jobs = []
    for device in ("0", "1", "0", "1"):
        jobs.append(start(**shared))
        assert given(jobs[-1]) == device
    fifth = start(**shared)
    assert fifth.stderr.readline().startswith("Waiting for 1 of the GPUs 0,1")
    assert let_go(jobs[1]) == "GPU 1 of 0,1 is this job's, shared by up to 2 jobs.\n"
    assert given(fifth) == "1"


def test_a_job_that_shares_is_never_put_beside_one_that_does_not(start):
    shares, alone = {"CRYOTOME_JOBS_PER_GPU": "2"}, {"CRYOTOME_JOBS_PER_GPU": "1"}
    one = start(**shares, **{VISIBLE: "0,1"})
    assert given(one) == "0"
    other = start(**alone, **{VISIBLE: "0,1"})
    assert given(other) == "1"
    third = start(**shares, **{VISIBLE: "1,0"})
    assert given(third) == "0"


def test_gpus_may_be_named_by_what_they_are(start):
    names = "MIG-GPU-8932f937/1/0,GPU-5ac5582f"
    jobs = [start(**{VISIBLE: names}) for _ in range(2)]
    assert sorted(map(given, jobs)) == ["GPU-5ac5582f", "MIG-GPU-8932f937/1/0"]


def test_a_job_without_gpus_sees_none_and_puts_back_what_was_said(folder):
    with lease_gpus(0, folder):
        assert os.environ[VISIBLE] == ""
    assert os.environ[VISIBLE] == "0,1,2"
    assert not folder.exists()


def test_a_machine_without_gpus_gives_none_and_waits_for_none(folder, monkeypatch):
    monkeypatch.setenv(VISIBLE, "")
    with lease_gpus(1, folder):
        assert os.environ[VISIBLE] == ""
    assert not folder.exists()


def test_several_jobs_within_one_allocation_of_slurm_get_a_gpu_each(folder, monkeypatch):
    """`salloc --gres=gpu:3` and `--profile local`: Slurm shows all three to each of our jobs."""
    monkeypatch.setenv("SLURM_JOB_GPUS", "4,5,6")
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    with lease_gpus(1, folder):
        mine = os.environ[VISIBLE]
        os.environ[VISIBLE] = "0,1,2"
        with lease_gpus(1, folder):
            assert {mine, os.environ[VISIBLE]} == {"0", "1"}
        monkeypatch.setenv("SLURM_JOB_ID", "78")  # whose GPU 0 is another one
        os.environ[VISIBLE] = "0,1,2"
        with lease_gpus(1, folder):
            assert os.environ[VISIBLE] == "0"


@pytest.mark.parametrize("scheduler", VARIABLES)
def test_device_0_of_another_job_of_any_scheduler_is_another_one(folder, monkeypatch, scheduler):
    for name in VARIABLES[scheduler]:
        monkeypatch.setenv(name, "77")
    monkeypatch.setenv(VISIBLE, "0")
    with lease_gpus(1, folder):
        for name in VARIABLES[scheduler]:
            monkeypatch.setenv(name, "78")
        monkeypatch.setenv(VISIBLE, "0")
        with lease_gpus(1, folder):
            assert os.environ[VISIBLE] == "0"


def test_where_the_scheduler_chose_no_device_its_jobs_share_the_leases(folder, monkeypatch):
    """PBS without its GPU hook: every job sees all devices, under the same numbers."""
    monkeypatch.delenv(VISIBLE)
    monkeypatch.setattr("cryotome.runtime.gpu_lease.visible_devices", lambda environ: ["0", "1"])
    monkeypatch.setenv("PBS_JOBID", "77.server")
    with lease_gpus(1, folder):
        mine = os.environ[VISIBLE]
        monkeypatch.setenv("PBS_JOBID", "78.server")
        monkeypatch.delenv(VISIBLE)
        with lease_gpus(1, folder):
            assert {mine, os.environ[VISIBLE]} == {"0", "1"}
        monkeypatch.setenv(VISIBLE, mine)


def test_what_a_scheduler_chose_is_left_alone(folder, monkeypatch):
    monkeypatch.setenv("CRYOTOME_DEVICE", "per_job")
    for count in (0, 1):
        with lease_gpus(count, folder):
            assert os.environ[VISIBLE] == "0,1,2"
    assert not folder.exists()


def test_users_share_the_locks_whoever_made_the_files(start, folder):
    if os.getuid():
        pytest.skip("only root can be another user")
    for place in (folder.parent, *folder.parent.parents):
        if place != Path(place.anchor) and place.stat().st_uid == 0 and place != Path("/tmp"):
            place.chmod(0o755)
    folder.parent.chmod(0o1777)
    holder = start(uid=65534, **{VISIBLE: "0"})
    assert given(holder) == "0"
    about = folder.stat()
    assert (about.st_uid, about.st_mode & 0o7777) == (65534, 0o1777)
    assert {(p.stat().st_uid, p.stat().st_mode & 0o777) for p in folder.iterdir()} == {
        (65534, 0o666)
    }
    mine = start(**{VISIBLE: "0"})
    assert mine.stderr.readline().startswith("Waiting for 1 of the GPUs 0:")
    third = start(uid=12345, **{VISIBLE: "0"})
    assert third.stderr.readline().startswith("Waiting for 1 of the GPUs 0:")
    let_go(holder)
    assert "0" in {given(mine)}


def test_a_link_where_a_lock_should_be_is_not_followed(folder, tmp_path):
    folder.mkdir()
    (folder / "0").symlink_to(tmp_path / "precious")
    with (
        pytest.raises(
            CryotomeError,
            match=r"cannot hold the leases .* When no job runs, delete it: it must be",
        ),
        lease_gpus(1, folder),
    ):
        raise AssertionError
    assert not (tmp_path / "precious").exists()
    (tmp_path / "link").symlink_to(folder)
    with (
        pytest.raises(CryotomeError, match="cannot hold the leases"),
        lease_gpus(1, tmp_path / "link"),
    ):
        raise AssertionError


def test_the_holder_of_a_gpu_is_named(start):
    holder = start(**{VISIBLE: "0"})
    assert given(holder) == "0"
    waits = start(**{VISIBLE: "0"})
    assert waits.stderr.readline().startswith("Waiting for 1 of the GPUs 0:")
    user = pwd.getpwuid(os.getuid()).pw_name
    assert waits.stderr.readline() == f"Held by process {holder.pid} of user {user}.\n"


def test_a_gate_that_is_held_is_said_and_its_holder_named(start, folder):
    folder.mkdir()
    with open(folder / "gate", "w", encoding="utf-8") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        waits = start()
        assert waits.stderr.readline() == f"Waiting for {folder}/gate: other jobs hold it.\n"
        assert f"Held by process {os.getpid()} of user " in waits.stderr.readline()
    assert given(waits) == "0"


def test_a_lock_that_was_removed_while_it_was_taken_is_taken_anew(folder, monkeypatch):
    """Or the next job makes the file again, and two hold GPU 0."""
    folder.mkdir()
    flock, removed = fcntl.flock, []

    def remove_once(file, how):
        flock(file, how)
        if (folder / "0").exists() and not removed:
            (folder / "0").unlink()
            removed.append(file)

    monkeypatch.setattr(fcntl, "flock", remove_once)
    monkeypatch.setenv(VISIBLE, "0")
    with lease_gpus(1, folder):
        assert removed
        with open(folder / "0", encoding="utf-8") as again, pytest.raises(BlockingIOError):
            flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_whose_maker_may_remove_locks_is_refused(folder):
    if os.getuid():
        pytest.skip("only root can give a folder away")
    folder.mkdir()
    for owner, mode in ((1234, 0o777), (1234, 0o755)):
        os.chown(folder, owner, owner)
        folder.chmod(mode)
        with (
            pytest.raises(CryotomeError, match=r"user 1234 and is not sticky .*CRYOTOME_LEASES"),
            lease_gpus(1, folder),
        ):
            raise AssertionError
    folder.chmod(0o1777)
    with lease_gpus(1, folder):
        assert os.environ[VISIBLE] == "0"


def test_a_folder_of_ones_own_that_others_may_write_to_becomes_sticky(folder):
    folder.mkdir()
    folder.chmod(0o777)
    with lease_gpus(1, folder):
        assert folder.stat().st_mode & 0o7777 == 0o1777


def test_another_place_may_be_named(folder, monkeypatch):
    monkeypatch.setenv("CRYOTOME_LEASES", str(folder))
    with lease_gpus(1):
        assert {path.name for path in folder.iterdir()} == {
            "gate",
            "0",
            "0.0",
            "1",
            "1.0",
            "2",
            "2.0",
        }


def test_a_file_system_without_locks_is_said_and_the_job_goes_on(folder, monkeypatch, capsys):
    def refuse(file, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with lease_gpus(1, folder):
        assert os.environ[VISIBLE] == "0,1,2"
    assert capsys.readouterr().err == (
        f"{folder} has no locks (No locks available): several jobs may use one GPU.\n"
    )


def test_a_lock_that_is_used_looks_used(folder):
    """Who tidies up temporary files by age must not take a lock away that is held."""
    with lease_gpus(1, folder):
        pass
    os.utime(folder / "0", (0, 0))
    with lease_gpus(1, folder):
        assert (folder / "0").stat().st_mtime > time.time() - 60


RECORD = """
import functools, os, time

def recorded(main):
    @functools.wraps(main)
    def run_and_write(*args, **named):
        begun, saw = time.time(), os.environ["CUDA_VISIBLE_DEVICES"]
        time.sleep(1)
        main(*args, **named)
        with open("record", "a") as file:
            file.write(f"%s {saw or 'none'} {begun} {time.time()}\\n")
    return run_and_write

main = recorded(main)

if __name__"""


@pytest.mark.study
def test_a_workstation_gives_each_gpu_job_a_device_of_its_own(tmp_path):
    """Five stores with `--profile local`, ten cores and two pretend GPUs."""
    folder, names = checkout(tmp_path / "c"), [f"GPU-{os.getpid()}-{k}" for k in "ab"]
    for path in (folder / "workflow/scripts").glob("*.py"):
        path.write_text(
            path.read_text(encoding="utf-8").replace("\nif __name__", RECORD % path.stem),
            encoding="utf-8",
        )
    card = (folder / "config/models/colour_histogram.yaml").read_text(encoding="utf-8")
    for k in range(5):  # a card with `gflops` is a network that asks for a GPU
        (folder / f"config/models/m{k}.yaml").write_text(f"{card}gflops: 0.1\n", encoding="utf-8")
    stores = [f"results/embeddings/demo_slides/paper-fp32/m{k}.h5" for k in range(5)]
    ask = ["--profile", "local", "--cores", "10"]
    try:
        snakemake(folder, *ask, "--", *stores, **{VISIBLE: ",".join(names)})
    finally:
        for place in FOLDER.glob(f"GPU-{os.getpid()}-*"):
            place.unlink()
    lines = [line.split() for line in (folder / "record").read_text(encoding="utf-8").splitlines()]
    assert {saw for rule, saw, *_ in lines if rule != "embed"} == {"none"}
    spans: dict[str, list[tuple[float, float]]] = {}
    for rule, saw, begun, ended in lines:
        if rule == "embed":
            spans.setdefault(saw, []).append((float(begun), float(ended)))
    assert sorted(spans) == names
    assert sum(map(len, spans.values())) == 5
    for times in map(sorted, spans.values()):
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(times))
    first, second = (min(times) for times in spans.values())
    assert first[0] < second[1]
    assert second[0] < first[1]  # both at once
    logs = "".join(
        path.read_text(encoding="utf-8") for path in (folder / "results/logs/embed").iterdir()
    )
    assert logs.count(f" of {','.join(names)} is this job's.\n") == 5
    assert "Waiting" not in logs  # no more jobs were begun than there are GPUs


@pytest.mark.parametrize(
    ("visible", "jobs", "gpus"), [("", 1, 0), ("GPU-pretend,2", 1, 2), ("0,1", 3, 6)]
)
def test_a_plain_run_asks_for_as_many_gpus_as_are_visible(tmp_path, visible, jobs, gpus):
    folder = checkout(tmp_path / "c")
    with open(folder / "Snakefile", "a", encoding="utf-8") as file:
        file.write(
            "print('GPUs:', *[n.value for k, n in workflow.global_resources.items() if k == 'gpu'])"
        )
    ask = ["-n", "--cores", "8", "--config", f"jobs_per_gpu={jobs}", "--"]
    store = "results/embeddings/demo_slides/paper-fp32/vit_tiny_random.h5"
    said = snakemake(folder, *ask, store, **{VISIBLE: visible})
    assert f"GPUs:{f' {gpus}' if gpus else ''}\n" in said
    assert (" gpu=1," in said) == (gpus > 0)
