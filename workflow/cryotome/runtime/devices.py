"""What a job computes on: device, threads, precision, memory."""

import ctypes
import os
import resource
import sys

import torch

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2  # of glibc's mallopt
KEEP = {MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: (1 << 31) - 1, TOP_PAD: 256 << 20}  # bytes


def pick_device(setting: str) -> torch.device:
    """Return the device for `device:` of the config: `cpu`, or the GPU where there is one."""
    found = setting != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if found else "cpu")


def use_threads(threads: int) -> None:
    """Let torch use as many processor threads as the scheduler granted, and keep its memory.

    A network frees and asks for the same gigabyte at every step. glibc by default hands large
    blocks back to the kernel, and the page faults of taking them anew cost about a twentieth
    of a training (docs/reference/performance.md).
    """
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in KEEP.items():
            libc.mallopt(option, value)


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device has units that multiply bf16 matrices: GPUs of today, AMX on a processor."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def repeat_exactly(device: torch.device) -> None:
    """Let a GPU use algorithms only that give the same bits again, before it is first used.

    A training that was broken off must end in the weights of one that was not.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False


def peak_memory(device: torch.device) -> float:
    """Return the most memory that this process has held on a device so far, GB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def describe(device: torch.device) -> str:
    """Return a device's name and size in words."""
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{about.name}, {about.total_memory / 1e9:.0f} GB"
    return f"processor, {torch.get_num_threads()} threads"
