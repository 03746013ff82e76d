"""UTF-8 whatever the locale, and a Python below a path with a space."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from cryotome.core.errors import CryotomeError
from cryotome.runtime.interpreter import quote_executable, restart_in_utf8, run_program

SCRIPT = """
import os, sys
from pathlib import Path
from cryotome.runtime.interpreter import restart_in_utf8
where = sys.argv[2] if sys.argv[2:] else None
if where and "PYTHONUTF8" not in os.environ:
    os.chdir(where)
restart_in_utf8(where)
print(sys.argv[1], sys.flags.utf8_mode, os.getcwd(), "\\u2713")
"""


def run(folder: Path, *words: str, options: tuple[str, ...] = (), **changes: str):
    """Run the script in a locale that is not UTF-8, started in `folder`."""
    (folder / "script.py").write_text(SCRIPT, encoding="utf-8")
    plain = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PWD": str(folder)}
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONUTF8", "LOCPATH")}
    environment |= plain | {"PYTHONPATH": str(ROOT / "workflow")} | changes
    return subprocess.run(
        [sys.executable, *options, "script.py", *words],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8",
    )  # fmt: skip


def test_a_program_in_another_locale_starts_again_in_utf8(tmp_path, monkeypatch):
    # C alone switches Python to UTF-8 by itself; not so where that is switched off
    monkeypatch.delenv("PYTHONUTF8", raising=False)
    done = run(tmp_path, "größe", PYTHONUTF8="0")
    assert done.stdout == f"größe 1 {tmp_path} ✓\n", done.stderr


def test_where_it_is_utf8_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "utf-8")
    monkeypatch.setattr(os, "execv", lambda *a: pytest.fail("started again"))
    restart_in_utf8()


def test_printing_never_fails_for_a_character(tmp_path):
    done = run(tmp_path, "x", PYTHONIOENCODING="ascii", PYTHONUTF8="1")
    assert done.stdout == f"x 1 {tmp_path} \\u2713\n", done.stderr


def test_a_program_that_moved_starts_again_where_it_was_started(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    calls = []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setattr(os, "execv", lambda program, words: calls.append((os.getcwd(), words)))
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.chdir(tmp_path / "elsewhere")
    restart_in_utf8("elsewhere")
    assert calls == [(str(tmp_path), [sys.executable, *sys.orig_argv[1:]])]
    assert os.environ["PYTHONUTF8"] == "1"


def test_what_cannot_be_started_again_says_what_to_set(tmp_path, monkeypatch):
    done = run(tmp_path, "x", options=("-X", "utf8=0"), PYTHONUTF8="1")
    assert "encoding is ascii, not UTF-8. Set PYTHONUTF8=1 in the environment" in done.stderr
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("PWD", "/")
    with pytest.raises(Exception, match="encoding is iso8859-1"):
        restart_in_utf8("no such folder")


@pytest.mark.parametrize("path", ["/a b/python", "/it's/python", "/$HOME/(x)/python"])
def test_the_shell_finds_python_below_any_path(monkeypatch, path):
    monkeypatch.setattr(sys, "executable", path)
    quote_executable()
    said = subprocess.run(f"printf %s {sys.executable}", shell=True, capture_output=True)
    assert said.stdout.decode() == path


def test_an_ordinary_path_stays(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/usr/bin/python3")
    quote_executable()
    assert sys.executable == "/usr/bin/python3"


@pytest.mark.parametrize(("result", "code"), [(None, 0), (True, 0), (Path("a"), 0), (False, 1)])
def test_a_program_ends_with_what_it_returns(result, code):
    with pytest.raises(SystemExit) as end:
        run_program(lambda: result)
    assert end.value.code == code


def test_an_error_of_the_user_ends_a_program_with_its_message_alone():
    def main() -> None:
        raise CryotomeError("Set the key.")

    with pytest.raises(SystemExit, match="Set the key"):
        run_program(main)
