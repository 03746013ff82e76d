"""Jobs of a run on this machine are forked from a process that has imported their packages."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT
from small_study import snakemake

from cryotome.runtime import warm_start
from cryotome.runtime.warm_start import ADDRESS, ENOUGH, WITH_TORCH

SCRIPTS = ROOT / "workflow/scripts"
TELL = """
import sys
loaded = {name: name in sys.modules for name in ("pandas", "torch", "cryotome")}
import json, os, tempfile, threadpoolctl
threads = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
if torch := sys.modules.get("torch"):
    threads.add(torch.get_num_threads())
said = {"loaded": loaded, "threads": sorted(threads), "folder": os.getcwd(), "argv": sys.argv,
        "colour": os.environ["COLOUR"], "parent": os.getppid(), "pid": os.getpid(),
        "temporary": tempfile.gettempdir(), "ignores": [], "open": os.listdir("/proc/self/fd")}
print(json.dumps(said), flush=True)
"""


@contextmanager
def server(folder: Path, *, torch: bool = False, more: tuple[str, ...] = ()):
    """Start a server in a folder; yield its process."""
    with warm_start.listen(str(folder), sys.executable, torch=torch, more=more) as process:
        try:
            yield process
        finally:
            process.stdin.close()
            assert process.wait(60) in (0, -signal.SIGKILL)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def client(folder: Path, name: str, text: str, **variables: str) -> subprocess.Popen:
    """Start a client for a script, as Snakemake names it."""
    script = folder.parent / f"tmp0.{name}.py"
    script.write_text(text, encoding="utf-8")
    about = os.environ | {"COLOUR": "red", "OMP_NUM_THREADS": "1"} | variables
    program = Path(warm_start.__file__).with_name("warm_client.py")
    command = [sys.executable, "-IS", program, folder / ADDRESS, sys.executable, script]
    return subprocess.Popen(
        command, env=about, cwd=folder.parent, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """Folder of a server, which removes it."""
    folder = tmp_path / "server"
    folder.mkdir()
    return folder


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_script_has_its_packages_and_all_that_its_client_was_started_with(place, tmp_path):
    with server(place) as process:
        job = client(place, "score_row", TELL, COLOUR="blue", OMP_NUM_THREADS="2", TMPDIR="/var")
        said = json.loads(job.communicate()[0])
    assert said["loaded"] == {"pandas": True, "torch": False, "cryotome": False}
    assert (said["parent"], said["colour"], said["threads"]) == (process.pid, "blue", [2])
    assert (said["folder"], said["temporary"]) == (str(tmp_path), "/var")
    assert said["argv"] == [str(tmp_path / "tmp0.score_row.py")]
    assert len(said["open"]) == 4  # three streams and the listing itself
    assert not place.exists()


def test_scripts_with_torch_have_a_server_of_their_own_that_ends_with_the_first(place):
    with server(place, torch=True) as process:
        ask(place, None).close()
        jobs = [client(place, "embed", TELL, OMP_NUM_THREADS=f"{n}") for n in (1, 2)]
        said = [job.communicate() for job in jobs]
        first, second = (json.loads(out) for out, _ in said)
        assert [error for _, error in said] == ["", ""]  # libraries end in peace
        light = json.loads(client(place, "score_row", TELL).communicate()[0])
    assert first["loaded"]["torch"] and second["loaded"]["torch"] and not light["loaded"]["torch"]
    assert (first["threads"], second["threads"]) == ([1], [2])
    assert first["parent"] == second["parent"] != process.pid == light["parent"]
    assert not alive(first["parent"])


def test_a_run_that_draws_groups_has_the_package_that_draws_them(place):
    text = "import sys, threading; print('sklearn' in sys.modules, threading.active_count())"
    with server(place, more=(warm_start.SPLITTER,)):
        assert client(place, "split_cells", text).communicate()[0] == "True 1\n"


def test_without_the_second_server_scripts_with_torch_import_it_themselves(place):
    with server(place):
        said = json.loads(client(place, "embed", TELL).communicate()[0])
    assert not said["loaded"]["torch"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("raise SystemExit(3)", 3),
        ("raise SystemExit", 0),
        ("raise SystemExit('why')", 1),
        ("1 / 0", 1),
        ("import os; os.kill(os.getpid(), 9)", -9),
    ],
)
def test_a_client_ends_as_its_script_does(place, text, code):
    with server(place):
        job = client(place, "score_row", text)
        error = job.communicate()[1]
    assert job.returncode == code
    assert ("ZeroDivisionError" in error) == ("/" in text)


WAIT = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_what_a_script_leaves_for_its_end_is_done(place, tmp_path):
    text = """
import atexit, sys, tempfile
kept = tempfile.TemporaryDirectory(dir=".", prefix="kept")
atexit.register(lambda: open("done", "w").write("whole"))
sys.stdout.write("no line break")
"""
    with server(place):
        job = client(place, "score_row", text)
        assert job.communicate() == ("no line break", "")
    assert (tmp_path / "done").read_text(encoding="utf-8") == "whole"
    assert not list(tmp_path.glob("kept*"))


def test_a_signal_to_the_client_reaches_the_script(place):
    with server(place):
        job = client(place, "score_row", WAIT)
        job.stdout.readline()
        job.terminate()
        assert job.wait(60) == 7


def test_a_killed_client_takes_its_script_along(place):
    with server(place):
        job = client(place, "score_row", WAIT)
        pid = int(job.stdout.readline())
        job.kill()
        wait_for(lambda: not alive(pid))
        job.communicate()


def ask(place, script):
    """Ask as a client does, and return the open connection."""
    asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    asked.connect(str(place / ADDRESS))
    if script:
        said = [str(script), str(place.parent), "COLOUR=red", "PATH=/bin"]
        with open(os.devnull, "wb") as nowhere:
            socket.send_fds(asked, ["\0".join(said).encode()], [nowhere.fileno()] * 3)
    return asked


def test_clients_that_are_killed_at_any_moment_harm_no_other_job(place, tmp_path):
    waiting, short = tmp_path / "tmp0.waiting.py", tmp_path / "no_rule"
    waiting.write_text("import time; time.sleep(60)", encoding="utf-8")
    short.write_text("", encoding="utf-8")
    with server(place) as process:
        other = client(place, "score_row", "import time; time.sleep(3)")
        for script in (None, waiting, short) * 10:
            ask(place, script).close()
        for _ in range(10):  # the script and its client end at once
            asked = ask(place, short)
            asked.recv(64)
            asked.close()
        assert other.wait(60) == 0
        assert json.loads(client(place, "score_row", TELL).communicate()[0])
        assert process.poll() is None


def test_a_killed_server_takes_its_scripts_along_and_later_ones_start_without_it(place):
    with server(place) as process:
        job = client(place, "score_row", WAIT)
        pid = int(job.stdout.readline())
        process.kill()
        assert "killed" in job.communicate()[1]
        wait_for(lambda: not alive(pid))
        assert job.returncode == 1
        said = json.loads(client(place, "score_row", TELL).communicate()[0])
    assert not said["loaded"]["pandas"]


def test_a_script_that_runs_when_snakemake_ends_is_not_disturbed(place, tmp_path):
    text = "import os, time\nprint(1, flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with server(place) as process:
        job = client(place, "score_row", text)
        job.stdout.readline()
        process.stdin.close()
        wait_for(lambda: not place.exists())
        assert process.poll() is None and job.poll() is None
        (tmp_path / "go").touch()
        assert job.wait(60) == 0


def test_scripts_that_import_torch_are_known():
    """One process imports every script, those with torch last."""
    names = sorted(path.stem for path in SCRIPTS.glob("*.py"))
    text = f"""
import importlib, sys
sys.path[:0] = [{str(SCRIPTS)!r}, {str(ROOT / "workflow")!r}]
for name in {[name for name in names if f".{name}" not in WITH_TORCH]}:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
"""
    assert {f".{name}" for name in names} > WITH_TORCH
    subprocess.run([sys.executable, "-c", text], check=True)


SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(ROOT / "workflow")!r})
from cryotome.runtime.interpreter import quote_executable
from cryotome.runtime.warm_start import start_server

quote_executable()
N = int(config["jobs"])

rule all:
    input: expand("{{n}}.txt", n=range(N))

rule one:
    output: "{{n}}.txt"
    params: card='{{"split_by": "' + config["by"] + '"}}'
    script: config["script"]

onstart:
    start_server(workflow, gpu=False)
""".replace("{{", "{").replace("}}", "}")


@pytest.mark.parametrize(
    ("jobs", "script", "by", "has"),
    [
        (ENOUGH, "one.py", "slides", "pandas"),
        (ENOUGH, "split_cells.py", "cells", "pandas"),
        (ENOUGH, "split_cells.py", "slides", "pandas sklearn"),
        (2, "split_cells.py", "slides", ""),
    ],
)
def test_a_run_of_many_jobs_starts_a_server_with_what_they_import(tmp_path, jobs, script, by, has):
    (tmp_path / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    text = """
import sys
with open(snakemake.output[0], "w") as file:
    print(*[name for name in ("pandas", "sklearn") if name in sys.modules], end="", file=file)
"""
    (tmp_path / script).write_text(text, encoding="utf-8")
    config = [f"jobs={jobs}", f"script={script}", f"by={by}"]
    snakemake(tmp_path, "--cores", "2", "--config", *config)
    said = {path.read_text(encoding="utf-8") for path in tmp_path.glob("*.txt")}
    assert said == {has}
