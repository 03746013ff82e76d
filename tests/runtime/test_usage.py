import subprocess
import sys
import time

import pytest
from conftest import ROOT

from cryotome.runtime import usage


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", f"from cryotome.runtime import usage\n{code}"],
        env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True, encoding="utf-8", check=True,
    ).stdout  # fmt: skip


def test_a_process_is_as_old_as_its_start_and_not_as_its_first_question():
    born = time.monotonic()
    said = python("import time; time.sleep(0.5); print(usage.process_age())")
    assert 0.5 <= float(said) <= time.monotonic() - born + 0.05


def test_the_cores_of_children_that_ended_are_counted():
    work = "import time\nwhile time.process_time() < 0.6: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    assert 0.6 <= float(python(f"{code}\nprint(usage.cpu_seconds())")) < 1.6


def test_the_peak_is_the_processs_own_and_not_that_of_who_started_it():
    """Linux hands the peak of a large Snakemake on to the small jobs that it starts."""
    held = bytearray(400_000_000)
    assert float(python("print(usage.peak_mb())")) < 100
    assert len(held) == 400_000_000
    assert 400 < float(python("x = bytearray(400_000_000)\nprint(usage.peak_mb())")) < 500


def test_memory_of_a_child_counts_where_it_is_the_larger():
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'bytearray(300_000_000)'])"
    )
    assert 300 < float(python(f"{code}\nprint(usage.peak_mb())")) < 400


def test_the_machine_is_described_without_its_name():
    import socket

    assert socket.gethostname() not in usage.machine_kind().split()
    assert usage.machine_kind().endswith(" processors")
    assert usage.processor()


def test_a_process_that_computes_on_no_gpu_says_nothing_of_one_and_imports_no_torch():
    code = "print(usage.gpu_usage()); import sys; print('torch' in sys.modules)"
    assert python(code).split() == ["{}", "False"]


def test_a_gpu_counts_its_energy_in_millijoules():
    counted = usage.energy_counters()
    if not counted:
        pytest.skip("no NVIDIA driver that counts energy is here")
    assert all(uuid.startswith("GPU-") for uuid in counted)
    time.sleep(1)
    spent = usage.energy_counters()
    watts = [(spent[uuid] - counted[uuid]) / 1000 for uuid in counted]  # over a second
    assert all(5 < watt < 2000 for watt in watts)
