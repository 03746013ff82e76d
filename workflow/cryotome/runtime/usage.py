"""Resources used by this process so far: time, memory, energy of a GPU."""

import os
import re
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

BYTES = 1 if sys.platform == "darwin" else 1024  # per unit of ru_maxrss


def process_age() -> float:
    """Return how long this process has run, s; 0 where the system does not report it."""
    with suppress(OSError, AttributeError):
        ticks = int(
            Path("/proc/self/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
        )
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def cpu_seconds() -> float:
    """Return the CPU time of this process and its ended children, s."""
    took = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in took)


def peak_mb() -> float:
    """Return the peak memory of this process or its largest child, MB.

    Linux counts the memory of the parent (Snakemake with its plan) in ru_maxrss of a new process;
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
    """Return the kind of this machine, without its name."""
    about = os.uname()
    return f"{about.sysname} {about.machine}, {os.cpu_count()} processors"


def gpu_usage() -> dict[str, Any]:
    """Return device, its UUID and `peak_gpu_mb`, where this process has computed on a GPU."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_initialized():
        with suppress(RuntimeError):  # a failed GPU does not answer
            about = torch.cuda.get_device_properties(0)
            peak = round(torch.cuda.max_memory_allocated(0) / 1e6, 1)
            return {"device": about.name, "uuid": f"GPU-{about.uuid}", "peak_gpu_mb": peak}
    return {}


def energy_counters() -> dict[str, int]:
    """Return the energy counter of each GPU of this machine, mJ, by its UUID.

    It counts the whole GPU, other jobs included; empty without a driver. A query takes
    milliseconds or more, so jobs without a GPU make none.
    """
    try:
        import pynvml
    except ImportError:  # a requirement on Linux only
        return {}
    found: dict[str, int] = {}
    with suppress(pynvml.NVMLError):  # no driver
        pynvml.nvmlInit()
        for number in range(pynvml.nvmlDeviceGetCount()):
            gpu = pynvml.nvmlDeviceGetHandleByIndex(number)
            uuid = pynvml.nvmlDeviceGetUUID(gpu)
            with suppress(pynvml.NVMLError):  # old GPUs have no counter
                found[uuid] = pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu)
    return found
