"""What a machine has: versions, GPU and driver, locks, Slurm. Each finding says what to do."""

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

OK, FIX, NOT_NEEDED = "ok", "FIX", "--"  # in order; to be mended; not needed here
PYTHON = (3, 11)
# the oldest driver on Linux for each CUDA, by NVIDIA's table of minor version compatibility
DRIVERS = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
ASK_SMI = ["nvidia-smi", "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"]
ASK_SINFO = ["sinfo", "--noheader", "--format=%P|%a|%D|%G"]
REMEMBERED = 300  # s that squeue must remember an ended job: looks are up to 180 s apart


@dataclass(frozen=True)
class Check:
    """One line of the doctor: a mark, and what was found or what to do."""

    mark: str
    text: str

    def __str__(self) -> str:
        return f"{self.mark:<6}{self.text}"


def check_python() -> Check:
    """Look at the version of this Python."""
    mine = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON:
        wanted = ".".join(map(str, PYTHON))
        return Check(FIX, f"Python {mine}: delete .venv and run `make install PYTHON=…` with "
                             f"Python {wanted} or newer")  # fmt: skip
    return Check(OK, f"Python {mine}")


def check_requirements(path: Path) -> Check:
    """Hold every installed version against the pinned one."""
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
    """See whether torch and torchvision are built for each other, and load both."""
    needs = [Requirement(line) for line in requires("torchvision") or []]
    wanted = next(one.specifier for one in needs if one.name == "torch")
    pair = f"torch {version('torch')} and torchvision {version('torchvision')}"
    try:
        import torchvision.ops  # noqa: F401 — loads its compiled part, which fits one torch only
    except (ImportError, OSError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        return Check(FIX, f"{pair} do not load together ({said}): `make install` afresh")
    if not wanted.contains(version("torch"), prereleases=True):
        return Check(FIX, f"{pair}: torchvision wants torch {wanted}: `make install` afresh")
    return Check(OK, f"{pair}; torch built for {_build()}")


def _build() -> str:
    import torch

    return f"CUDA {torch.version.cuda}" if torch.version.cuda else "the processor alone"


def check_openslide() -> Check:
    """Name the version of OpenSlide that opens whole slides."""
    import openslide

    return Check(OK, f"OpenSlide {openslide.__library_version__}")


def check_gpu(devices: int, *, needed: bool) -> Iterator[Check]:
    """Hold GPUs and their driver against the torch build.

    Parameters
    ----------
    devices
        How many `/dev/nvidia*` this machine has.
    needed
        Whether the study can compute nowhere but on a GPU of this machine.
    """
    import torch

    said, why = query_slurm(ASK_SMI)
    with warnings.catch_warnings():  # of an old driver, which is said here in full
        warnings.simplefilter("ignore")
        available = torch.cuda.is_available()
    if not said and not devices and not available:
        way = "run with --profile slurm, or on a machine with a GPU; --config device=cpu insists"
        found = Check(FIX, f"GPU: none here ({why}): {way}")
    elif why:
        found = Check(FIX, f"GPU: {devices} in /dev, but {why}: install or load its driver")
    else:
        found = assess_gpu(said, torch.version.cuda, available=available)
    if found.mark == FIX and not needed:
        found = Check(NOT_NEEDED, f"{found.text} (the study can do without)")
    yield found
    yield _bf16(available)


def assess_gpu(said: str, cuda: str | None, *, available: bool) -> Check:
    """Judge what `nvidia-smi` says.

    Parameters
    ----------
    said
        A line a GPU: driver, name, memory.
    cuda
        The CUDA that torch is built for, None for the processor alone.
    available
        Whether torch can use a GPU.
    """
    rows = [[part.strip() for part in line.split(",")] for line in said.strip().splitlines()]
    driver, gpus = rows[0][0], "; ".join(f"{name}, {memory}" for _, name, memory in rows)
    found = f"GPU: {gpus}; driver {driver}"
    if cuda is None:
        return Check(FIX, f"{found}, but torch is built for the processor alone: delete .venv "
                             "and `make install`, which takes the CUDA build on Linux")  # fmt: skip
    least = DRIVERS.get(cuda.split(".")[0])
    if least and Version(driver) < Version(least):
        return Check(
            FIX, f"{found}, older than {least}, which torch's CUDA {cuda} needs: update the driver"
        )
    if not available:
        return Check(
            FIX,
            f"{found}, torch for CUDA {cuda}, and yet torch sees no GPU: look at "
            f"CUDA_VISIBLE_DEVICES ({os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')}) and at "
            "the permissions of /dev/nvidia*",
        )
    return Check(OK, f"{found}; torch for CUDA {cuda}")


def _bf16(available: bool) -> Check:
    import torch

    from cryotome.runtime.devices import describe, multiplies_bf16

    device = torch.device("cuda" if available else "cpu")
    if multiplies_bf16(device):
        return Check(OK, f"bf16: {describe(device)}, multiplies it in units of its own")
    return Check(
        NOT_NEEDED, f"bf16: {describe(device)}, has no units for it: views in fp32 are faster"
    )


def check_locks(folder: Path) -> Check:
    """See whether a folder's file system renames over a file and keeps locks."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as place:
        first, second = Path(place) / "first", Path(place) / "second"
        for file in (first, second):
            file.touch()
        try:
            first.rename(second)
        except OSError as error:
            return Check(FIX, f"{folder.resolve()} does not rename ({error.strerror}): "
                                 f"let {folder} be a link to another file system")  # fmt: skip
        with second.open("r+b") as one, second.open("r+b") as other:  # NFS asks for writing
            try:
                fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                text = f"{folder}: may be written, but has no locks ({error.strerror}): "
                return Check(NOT_NEEDED, f"{text}never let two runs work in it at once")
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return Check(OK, f"{folder}: may be written; locks and renames work")
    return Check(FIX, f"{folder.resolve()}: two processes get one lock: let {folder} be a link "
                         "to another file system")  # fmt: skip


def ask_slurm() -> tuple[list[list[str]], str]:
    """Return name, state, nodes and GPUs of each partition, and why they are not known."""
    said, why = query_slurm(ASK_SINFO)
    if not why:
        _, why = query_slurm(["squeue", "--noheader", "--me"])
    return [line.strip().split("|") for line in said.strip().splitlines()], why


def check_slurm(rows: list[list[str]], why: str, cluster: Cluster) -> Check:
    """Say what Slurm offers.

    Parameters
    ----------
    rows, why
        From `ask_slurm`.
    cluster
        Where this site wants its jobs.
    """
    if why:
        return Check(NOT_NEEDED, f"Slurm: {why}; only --profile slurm needs it")
    names = {name.rstrip("*"): state for name, state, *_ in rows}
    gpus = sorted({gres.split("(")[0] for *_, gres in rows if "gpu" in gres})
    text = f"Slurm: partitions {', '.join(sorted(names))}; GPUs {', '.join(gpus) or 'none'}"
    said = f"{cluster.partition},{cluster.gpu_partition}"
    chosen = [name for name in said.split(",") if name]
    for name in chosen:
        if names.get(name) != "up":
            return Check(FIX, f"{text}; partition {name!r} is not up or not there: another one")
    default = next((name[:-1] for name, *_ in rows if name.endswith("*")), "none")
    text += f"; jobs go to {' and '.join(chosen) or f'the default ({default})'}"
    return Check(OK, text + f", account {cluster.account or 'the default'}")


def check_memory_of_jobs() -> Check:
    """Say whether Slurm remembers ended jobs until Snakemake has asked for them."""
    if not query_slurm(["sacct", "--noheader"])[1]:
        return Check(OK, "Slurm: sacct tells what became of a job")
    said, why = query_slurm(["scontrol", "show", "config"])
    age = re.search(r"MinJobAge\s*=\s*(\d+)", said)
    if why or not age:
        return Check(NOT_NEEDED, f"Slurm: how long it remembers ended jobs is not known ({why})")
    text = f"Slurm: no accounting; squeue remembers ended jobs for {age[1]} s"
    if int(age[1]) >= REMEMBERED:
        return Check(OK, text)
    return Check(FIX, f"{text}: too short to be seen; ask for MinJobAge={REMEMBERED} or more")
