"""Checks of a machine: versions, GPU and driver, file locks, Slurm."""

import fcntl
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from cryotome.runtime.slurm import Cluster, query_slurm

OK, FIX, NOT_NEEDED = "ok", "FIX", "--"  # passed; must be fixed; not needed by this study
NOTED = "note"  # nothing to fix, but to know
PYTHON = (3, 11)
# the oldest driver on Linux for each CUDA, by NVIDIA's table of minor version compatibility
DRIVERS = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
ASK_SMI = ["nvidia-smi", "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"]
ASK_SINFO = ["sinfo", "--noheader", "--format=%P|%a|%D|%G"]
MIN_JOB_AGE = 300  # s that squeue must list an ended job: Snakemake asks every 180 s or less


@dataclass(frozen=True)
class Check:
    """The result of a check: a mark, and what was found or what to do."""

    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:<6}{self.text}"


def check_python() -> Check:
    """Check the version of this Python."""
    mine = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        return Check(FIX, f"Python {mine}: delete .venv and run `make install PYTHON=…` with "
                             f"Python {wanted} or newer")  # fmt: skip
    return Check(OK, f"Python {mine}")


def check_requirements(path: Path) -> Check:
    """Compare every installed version with the pinned one."""
    lines = [line.split(" \\")[0] for line in path.read_text(encoding="utf-8").splitlines()]
    pinned = [Requirement(line) for line in lines if line[:1].isalnum()]
    mine = [one for one in pinned if one.marker is None or one.marker.evaluate()]
    differing = []
    for one in mine:
        found = _installed(one.name)
        if not found or not one.specifier.contains(found, prereleases=True):
            differing.append(f"{one.name} {found or 'missing'} instead of {one.specifier}")
    if differing:
        return Check(
            FIX,
            f"versions: {len(differing)} of {len(mine)} differ from {path.name}: "
            f"{', '.join(differing)}. Delete .venv/installed and `make install`",
        )
    return Check(OK, f"versions: all {len(mine)} as pinned in {path.name}")


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def check_torch() -> Check:
    """Check that torch and torchvision fit each other, and load both."""
    needs = [Requirement(line) for line in requires("torchvision") or []]
    wanted = next(one.specifier for one in needs if one.name == "torch")
    pair = f"torch {version('torch')} and torchvision {version('torchvision')}"
    try:
        import torchvision.ops  # noqa: F401 — loads the compiled part, built for one torch only
    except (ImportError, OSError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        return Check(FIX, f"{pair} do not load together ({first}): `make install` again")
    if not wanted.contains(version("torch"), prereleases=True):
        return Check(FIX, f"{pair}: torchvision needs torch {wanted}: `make install` again")
    return Check(OK, f"{pair}; torch built for {_build()}")


def _build() -> str:
    import torch

    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "the processor alone"


def check_openslide() -> Check:
    """Report the version of OpenSlide."""
    import openslide

    return Check(OK, f"OpenSlide {openslide.__library_version__}")


def check_gpu(devices: int, *, needed: bool) -> Iterator[Check]:
    """Check the GPUs and their driver against the build of torch.

    Parameters
    ----------
    devices
        Number of `/dev/nvidia*`.
    needed
        Whether the study can only run on a GPU of this machine.
    """
    import torch

    output, why = query_slurm(ASK_SMI)
    with warnings.catch_warnings():  # of an old driver, which is reported below
        warnings.simplefilter("ignore")
        available = torch.cuda.is_available()
    if not output and not devices and not available:
        way = "run with --profile slurm, or on a machine with a GPU; --config device=cpu insists"
        found = Check(FIX, f"GPU: none here ({why}): {way}")
    elif why:
        found = Check(FIX, f"GPU: {devices} in /dev, but {why}: install or load its driver")
    else:
        found = assess_gpu(output, torch.version.cuda, available=available)
    if found.mark == FIX and not needed:
        found = Check(NOT_NEEDED, found.text.replace("GPU", "GPU, not needed by this study", 1))
    yield found
    yield _bf16(available)


def assess_gpu(output: str, cuda: str | None, *, available: bool) -> Check:
    """Compare the output of `nvidia-smi` with the build of torch.

    Parameters
    ----------
    output
        A line per GPU: driver, name, memory.
    cuda
        The CUDA that torch is built for, None without CUDA.
    available
        Whether torch can use a GPU.
    """
    rows = [[part.strip() for part in line.split(",")] for line in output.strip().splitlines()]
    driver, gpus = rows[0][0], "; ".join(f"{name}, {memory}" for _, name, memory in rows)
    found = f"GPU: {gpus}; driver {driver}"
    if cuda is None:
        return Check(FIX, f"{found}, but torch is built for the processor alone: delete .venv "
                             "and `make install`, which takes the CUDA build on Linux")  # fmt: skip
    oldest = DRIVERS.get(cuda.split(".")[0])
    if oldest and Version(driver) < Version(oldest):
        return Check(
            FIX, f"{found}, older than {oldest}, which torch's CUDA {cuda} needs: update the driver"
        )
    if not available:
        return Check(
            FIX,
            f"{found}, torch for CUDA {cuda}, but torch sees no GPU: check "
            f"CUDA_VISIBLE_DEVICES ({os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}) and "
            "the permissions of /dev/nvidia*",
        )
    return Check(OK, f"{found}; torch for CUDA {cuda}")


def _bf16(available: bool) -> Check:
    import torch

    from cryotome.runtime.devices import describe, multiplies_bf16

    device = torch.device("cuda" if available else "cpu")
    if multiplies_bf16(device):
        return Check(OK, f"bf16: {describe(device)}, in hardware")
    return Check(NOT_NEEDED, f"bf16: {describe(device)}, not in hardware: views in fp32 are faster")


def check_locks(folder: Path) -> Check:
    """Check that a folder's file system renames over a file and has locks."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as place:
        first, second = Path(place) / "first", Path(place) / "second"
        for file in (first, second):
            file.touch()
        try:
            first.rename(second)
        except OSError as error:
            return Check(FIX, f"{folder.resolve()} cannot rename ({error.strerror}): "
                                 f"let {folder} be a link to another file system")  # fmt: skip
        with (
            second.open("r+b") as one,
            second.open("r+b") as other,
        ):  # NFS locks files open for writing
            try:
                fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                text = f"{folder}: writable, but without locks ({error.strerror}): "
                return Check(NOT_NEEDED, f"{text}never run twice in it at the same time")
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return Check(OK, f"{folder}: writable; locks and renames work")
    return Check(FIX, f"{folder.resolve()}: two processes can hold one lock: let {folder} be "
                         "a link to another file system")  # fmt: skip


def ask_slurm() -> tuple[list[list[str]], str]:
    """Return name, state, nodes and GPUs of each partition, and why they are unknown."""
    output, why = query_slurm(ASK_SINFO)
    if not why:
        _, why = query_slurm(["squeue", "--noheader", "--me"])
    return [line.strip().split("|") for line in output.strip().splitlines()], why


def check_slurm(rows: list[list[str]], why: str, cluster: Cluster) -> Check:
    """Check the partitions of this site.

    Parameters
    ----------
    rows, why
        From `ask_slurm`.
    cluster
        Partitions and account of this site.
    """
    if why:
        return Check(NOT_NEEDED, f"Slurm: {why}; only --profile slurm needs it")
    names = {name.rstrip("*"): state for name, state, *_ in rows}
    gpus = sorted({gres.split("(")[0] for *_, gres in rows if "gpu" in gres})
    text = f"Slurm: partitions {', '.join(sorted(names))}; GPUs {', '.join(gpus) or 'none'}"
    chosen = [name for name in f"{cluster.partition},{cluster.gpu_partition}".split(",") if name]
    for name in chosen:
        if names.get(name) != "up":
            return Check(FIX, f"{text}; partition {name!r} is down or missing: choose another")
    default = next((name[:-1] for name, *_ in rows if name.endswith("*")), "none")
    text += f"; jobs go to {' and '.join(chosen) or f'the default ({default})'}"
    return Check(OK, text + f", account {cluster.account or 'the default'}")


def check_job_history() -> Check:
    """Check that Slurm lists ended jobs until Snakemake has asked for their state."""
    if not query_slurm(["sacct", "--noheader"])[1]:
        return Check(OK, "Slurm: sacct reports how a job ended")
    output, why = query_slurm(["scontrol", "show", "config"])
    age = re.search(r"MinJobAge\s*=\s*(\d+)", output)
    if why or not age:
        return Check(NOT_NEEDED, f"Slurm: how long it lists ended jobs is unknown ({why})")
    text = f"Slurm: no accounting; squeue lists ended jobs for {age[1]} s"
    if int(age[1]) >= MIN_JOB_AGE:
        return Check(OK, text)
    return Check(FIX, f"{text}: too short for Snakemake; ask for MinJobAge={MIN_JOB_AGE} or more")
