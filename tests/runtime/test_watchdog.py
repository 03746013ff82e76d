"""Every test here runs a process of its own, for the watch ends it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

HEAD = """
import ctypes, os, sys, threading, time
from pathlib import Path
from cryotome.runtime.watchdog import paused, watchdog

def work():
"""
TAIL = """
if __name__ == "__main__":
    with open("log", "w") as log, watchdog(Path("told").write_text, log):
        Path("begun").touch()
        work()
    print("came to its end")
"""


def heed():
    """Undo what nohup, or a shell that goes on, does to signals."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def start(folder, work, patience=1000, first=heed):
    indented = "\n".join(f"    {line}" for line in work.splitlines())
    (folder / "script.py").write_text(HEAD + indented + "\n" + TAIL, encoding="utf-8")
    kept = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "CRYOTOME_PATIENCE": str(patience)}
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=folder, env=kept, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=first,
    )  # fmt: skip
    while not (folder / "begun").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    return process


def end(process, seconds=20):
    said, errors = process.communicate(timeout=seconds)
    return process.returncode, said + errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_process_with_its_reason(tmp_path, number):
    process = start(tmp_path, "time.sleep(30)")
    begun = time.monotonic()
    process.send_signal(number)
    code, said = end(process)
    assert time.monotonic() - begun < 5
    assert code == 128 + number
    why = (tmp_path / "told").read_text(encoding="utf-8")
    assert why.startswith(f"It was stopped by a signal ({number.name}): preempted, over its time")
    assert "Run the same command again: it resumes from the finished work." in why
    assert why in said


def test_a_signal_ends_a_process_that_computes_in_native_code(tmp_path):
    work = """
import numpy as np
wide = np.ones((6000, 6000))
Path("computing").touch()
wide @ wide @ wide @ wide @ wide @ wide
"""
    process = start(tmp_path, work)
    while not (tmp_path / "computing").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    begun = time.monotonic()
    process.terminate()
    code, _ = end(process)
    assert code == 143
    assert time.monotonic() - begun < 5


def test_a_signal_ends_the_children_too(tmp_path):
    work = """
import multiprocessing
child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=[60])
child.start()
Path("child").write_text(str(child.pid))
child.join()
"""
    process = start(tmp_path, work)
    while not (tmp_path / "child").exists():
        time.sleep(0.01)
    time.sleep(0.5)
    process.terminate()
    assert end(process)[0] == 143
    time.sleep(0.2)
    command = Path(f"/proc/{(tmp_path / 'child').read_text(encoding='utf-8')}/cmdline")
    assert (
        not command.exists() or command.read_text(encoding="utf-8") == ""
    )  # gone, or nobody's zombie


def test_a_signal_that_the_user_ignores_is_ignored(tmp_path):
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process = start(tmp_path, "time.sleep(1)", first=None)
    signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    assert end(process) == (0, "came to its end\n")


HANGS = {
    "a read that never returns": "os.read(os.pipe()[0], 1)",
    "a lock that nobody frees": "lock = threading.Lock()\nlock.acquire()\nlock.acquire()",
}


@pytest.mark.parametrize("hang", HANGS)
def test_a_process_without_progress_is_ended_and_its_stacks_are_kept(tmp_path, hang):
    code, said = end(start(tmp_path, HANGS[hang], patience=1))
    assert code == 70
    assert (
        (tmp_path / "told")
        .read_text(encoding="utf-8")
        .startswith("It made no progress for 1 s: no computing")
    )
    assert "A disk or a network that does not answer" in said
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert 'script.py", line' in log
    assert "in work" in log


def test_native_code_that_keeps_pythons_lock_is_ended_too(tmp_path):
    code, _ = end(start(tmp_path, "ctypes.PyDLL(None).sleep(60)", patience=0.5))
    assert code == 1
    assert "in work" in (tmp_path / "log").read_text(encoding="utf-8")


WORKS = {
    "computing": "end = time.monotonic() + 2.5\nwhile time.monotonic() < end: pass",
    "reading": "for _ in range(25):\n    os.read(os.open('script.py', os.O_RDONLY), 1)\n    time.sleep(0.1)",
    "waiting on purpose": "with paused():\n    time.sleep(2.5)",
}


@pytest.mark.parametrize("work", WORKS)
def test_a_process_that_gets_on_is_left_alone(tmp_path, work):
    assert end(start(tmp_path, WORKS[work], patience=1)) == (0, "came to its end\n")


def test_a_process_that_was_stopped_for_long_is_left_alone(tmp_path):
    process = start(
        tmp_path,
        "for _ in range(30):\n    print('on', file=sys.stderr, flush=True)\n    time.sleep(0.1)",
        patience=1,
    )
    process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    process.send_signal(signal.SIGCONT)
    assert end(process)[0] == 0
