"""The Python interpreter: UTF-8 mode, its quoted path, and the start of programs."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from cryotome.core.errors import CryotomeError

UTF8 = "PYTHONUTF8"


def restart_in_utf8(workdir: str | Path | None = None) -> None:
    """Restart this program in Python's UTF-8 mode if the locale has another encoding.

    Tables, cards and file names are UTF-8 whatever the locale, but Python decodes names and
    prints in the encoding of the locale. Subprocesses inherit the mode by the environment. Also
    makes standard output and error escape characters that cannot be printed.

    Parameters
    ----------
    workdir
        Folder that this program has changed to (`snakemake --directory`), relative to the one
        it was started in.

    Raises
    ------
    CryotomeError
        The program cannot restart: an option of Python switches UTF-8 mode off, or the folder
        in which it was started is unknown.
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
    """Quote `sys.executable` for the shell: Snakemake writes it into commands unquoted.

    Only for a program that starts Python through a shell.
    """
    sys.executable = shlex.quote(sys.executable)


def run_program(main: Callable[[], object]) -> NoReturn:
    """Run a program of the command line in UTF-8 mode, and exit.

    The exit code is 1 if `main` returns False. Of a `CryotomeError` only the message is printed.
    """
    restart_in_utf8()
    try:
        sys.exit(int(main() is False))
    except CryotomeError as error:
        sys.exit(str(error))
