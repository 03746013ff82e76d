"""Device, threads, precision and memory of a job."""

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
    """Set the number of torch's processor threads, and let glibc keep freed memory.

    A network frees and allocates the same gigabyte at every step. By default glibc returns large
    blocks to the kernel, and the page faults of allocating them again cost about 5 % of a training
    (docs/reference/performance.md).
    """
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        for option, value in KEEP.items():
            libc.mallopt(option, value)


def set_up_device(setting: str, threads: int, *, exact: bool = False) -> torch.device:
    """Return the device of a training, with `threads` beside it; `exact`: see `repeat_exactly`."""
    use_threads(threads)
    device = pick_device(setting)
    if exact:
        repeat_exactly(device)
    return device


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device multiplies bf16 matrices in hardware: recent GPUs, processors with AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def repeat_exactly(device: torch.device) -> None:
    """Restrict a GPU to deterministic algorithms; called before its first use.

    An interrupted and resumed training must end in the same weights as one without a break.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.benchmark = False


def peak_memory(device: torch.device) -> float:
    """Return the peak memory of this process on a device so far, GB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def describe(device: torch.device) -> str:
    """Return the name and size of a device as text."""
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        return f"{about.name}, {about.total_memory / 1e9:.0f} GB"
    return f"processor, {torch.get_num_threads()} threads"
