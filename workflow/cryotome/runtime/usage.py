"""What a process has taken so far: time, memory, a GPU's energy. Imports nothing heavy."""

import os
import re
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BYTES = 1 if sys.platform == "darwin" else 1024  # of the unit in which memory peaks are counted


def process_age() -> float:
    """Return for how long this process has run, seconds; 0 where the system does not say."""
    with suppress(OSError, AttributeError):
        ticks = int(
            Path("/proc/self/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
        )
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def cpu_seconds() -> float:
    """Return the seconds of processor cores of this process and of its children that ended."""
    took = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in took)


def peak_mb() -> float:
    """Return the most memory that this process, or its largest child, has held, MB.

    Linux counts to a new process what the one that started it held, Snakemake with its plan;
    `VmHWM` is its own.
    """
    mine, children = (
        resource.getrusage(who).ru_maxrss * BYTES
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    with suppress(OSError):
        if found := re.search(
            r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="utf-8")
        ):
            mine = int(found[1]) * 1024
    return max(mine, children) / 1e6


def processor() -> str:
    """Return the model of the processor."""
    with suppress(OSError):
        if found := re.search(
            r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8")
        ):
            return found[1].strip()
    return os.uname().machine


def machine_kind() -> str:
    """Return what kind of machine this is, without its name."""
    about = os.uname()
    return f"{about.sysname} {about.machine}, {os.cpu_count()} processors"


def gpu_usage() -> dict[str, Any]:
    """Return device, its UUID and `peak_gpu_mb`, where this process has computed on a GPU."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        with suppress(RuntimeError):  # a GPU that has failed the job does not answer
            about = torch.cuda.get_device_properties(0)
            peak = round(torch.cuda.max_memory_allocated(0) / 1e6, 1)
            return {"device": about.name, "uuid": f"GPU-{about.uuid}", "peak_gpu_mb": peak}
    return {}


def energy_counters() -> dict[str, int]:
    """Return the energy that each GPU of this machine has counted so far, mJ, by its UUID.

    It is the whole GPU's: what other jobs on it take is counted, too. Empty where no driver
    tells. Asking takes milliseconds and more, so jobs without a GPU do not ask.
    """
    try:
        import pynvml
    except ImportError:  # it is pinned on Linux alone
        return {}
    found: dict[str, int] = {}
    with suppress(pynvml.NVMLError):  # no driver
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            gpu = pynvml.nvmlDeviceGetHandleByIndex(number)
            uuid = pynvml.nvmlDeviceGetUUID(gpu)
            with suppress(pynvml.NVMLError):  # an old GPU that does not count
                found[uuid] = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    return found
