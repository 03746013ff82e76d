from pathlib import Path

import pytest
import torch

from cryotome.runtime.devices import (
    describe,
    multiplies_bf16,
    peak_memory,
    pick_device,
    repeat_exactly,
    use_threads,
)

CPU = torch.device("cpu")


def test_the_processor_is_taken_when_asked_for():
    assert pick_device("cpu") == CPU


def test_threads_are_those_of_the_scheduler():
    before = torch.get_num_threads()
    use_threads(1)
    assert torch.get_num_threads() == 1
    assert describe(CPU) == "processor, 1 threads"
    use_threads(before)


def test_peak_memory_counts_what_was_held():
    block = torch.ones(100_000_000)
    assert 0.4 <= peak_memory(CPU) < 64
    del block


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux only")
def test_the_units_of_a_processor_are_those_that_the_kernel_lists():
    assert multiplies_bf16(CPU) == ("amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8"))


def test_a_processor_repeats_itself_without_being_told():
    repeat_exactly(CPU)
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.gpu
def test_a_gpu_is_described_and_told_to_repeat_itself():
    gpu = torch.device("cuda")
    assert " GB" in describe(gpu)
    assert pick_device("auto") == gpu
    assert peak_memory(gpu) >= 0
    repeat_exactly(gpu)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
