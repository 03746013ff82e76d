"""The client of the warm start is Python where no server answers, and for all but a script."""

import subprocess
import sys
from pathlib import Path

import pytest

from cryotome.runtime import warm_client


@pytest.mark.parametrize("more", [[], ["-s"]])
def test_without_a_server_the_script_runs_all_the_same(tmp_path, more):
    script = tmp_path / "one two.py"
    script.write_text("import sys; print(sys.argv, sys.flags.isolated)", encoding="utf-8")
    program = Path(warm_client.__file__)
    command = [sys.executable, "-IS", program, tmp_path / "none", sys.executable, *more, script]
    ran = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    assert ran.stdout.strip() == f"{[str(script)]} 0"


def test_the_exit_code_of_the_script_is_the_clients(tmp_path):
    script = tmp_path / "three.py"
    script.write_text("raise SystemExit(3)", encoding="utf-8")
    command = [
        sys.executable,
        "-IS",
        warm_client.__file__,
        tmp_path / "none",
        sys.executable,
        script,
    ]
    assert subprocess.run(command, check=False).returncode == 3
