"""Snakemake without its second of imports: each call is a fork of a process that has done them.

    code, said = call(folder, "-n", environment=os.environ)

A call has a process, folder, environment, modules and output of its own, as from a shell. What
is imported before the fork is Snakemake and packages, nothing of cryotome: a clone brings its own.
"""

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

PROGRAM = str(Path(sys.executable).parent / "snakemake")
LIMIT = 600  # seconds for one call
MODULES = [
    "snakemake.cli",
    "snakemake.api",
    "snakemake.workflow",
    "snakemake.dag",
    "snakemake.report",
    "argparse_dataclass",
    "h5py",
    "httpx2",
    "jinja2",
    "jsonschema",
    "numpy",
    "packaging.requirements",
    "pandas",
    "PIL.Image",
    "requests",
    "rich.console",
    "smart_open",
    "yaml",
]


@cache
def server() -> subprocess.Popen:
    """Start the process that calls are forked from; it ends with this one."""
    started = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        encoding="utf-8", env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    atexit.register(lambda: (started.stdin.close(), started.wait()))
    return started


def call(folder: Path, *arguments: str, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run snakemake in a folder; return its exit status and what it printed."""
    with tempfile.NamedTemporaryFile() as output:
        asked = {"folder": str(folder), "arguments": arguments, "output": output.name}
        line = json.dumps(asked | {"environment": dict(environment)})
        print(line, file=server().stdin, flush=True)
        code = int(server().stdout.readline())
        return code, output.read().decode()


def serve() -> None:
    """Import, then fork for every line of the input; print the exit status of each."""
    sys.path.pop(0)  # this folder
    for name in MODULES:
        importlib.import_module(name)
    for line in sys.stdin:
        if not (child := os.fork()):
            become(**json.loads(line))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def become(folder: str, arguments: list[str], environment: dict, output: str) -> None:
    """Turn this process into a call of snakemake."""
    import snakemake.cli

    for stream, path in ((0, os.devnull), (1, output)):
        os.dup2(os.open(path, os.O_RDWR), stream)
    os.dup2(1, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [PROGRAM, *arguments]
    signal.alarm(LIMIT)
    snakemake.cli.main()


if __name__ == "__main__":
    serve()
