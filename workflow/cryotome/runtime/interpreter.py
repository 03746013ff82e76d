"""Python as this program needs it: in UTF-8 mode, and below a path that the shell can read."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cryotome.core.errors import CryotomeError

UTF8 = "PYTHONUTF8"


def restart_in_utf8(workdir: str | Path | None = None) -> None:
    """Start this program again in Python's UTF-8 mode where the locale has another encoding.

    Tables, cards and file names are UTF-8, whatever the locale; Python decodes names and prints
    in the encoding of the locale. The environment hands the mode to subprocesses. Returns
    where it is UTF-8 already; then printing never fails for a character.

    Parameters
    ----------
    workdir
        Where this program has moved (`snakemake --directory`), relative to where it was started.

    Raises
    ------
    CryotomeError
        The program cannot be started again: UTF-8 mode is switched off by an option of Python,
        or the folder it was started in is unknown.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if sys.getfilesystemencoding() == "utf-8":
        return
    start = Path(os.environ.get("PWD", ""))
    moved = workdir is not None and not (start.is_absolute() and _is_here(start / workdir))
    if os.environ.get(UTF8) == "1" or moved:
        raise CryotomeError(
            f"The locale's encoding is {sys.getfilesystemencoding()}, not UTF-8. "
            f"Set {UTF8}=1 in the environment and start again, without `-X utf8=0`, `-E` or `-I`."
        )
    if workdir is not None:
        os.chdir(start)
    os.environ[UTF8] = "1"
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _is_here(folder: Path) -> bool:
    return folder.is_dir() and folder.samefile(".")


def quote_executable() -> None:
    """Quote `sys.executable` for the shell: Snakemake writes it into commands as it stands.

    Only for a program that starts Python through a shell alone.
    """
    sys.executable = shlex.quote(sys.executable)


def run_program(main: Callable[[], object]) -> NoReturn:
    """Run a program of the command line in UTF-8 mode, and end it.

    The exit code is 1 where `main` returns False. A `CryotomeError` prints its sentence alone.
    """
    restart_in_utf8()
    try:
        sys.exit(int(main() is False))
    except CryotomeError as error:
        sys.exit(str(error))
