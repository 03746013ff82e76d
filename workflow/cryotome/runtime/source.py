"""Source: the commit, the step versions and the packages of the code that runs."""

import platform
import subprocess
from contextlib import suppress
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from cryotome.core import step_versions

CLONE = Path(__file__).resolve().parents[3]
PACKAGES = ["numpy", "pandas", "scikit-learn", "scipy", "snakemake", "statsmodels"]
GIT = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]


def commit(clone: Path = CLONE) -> str:
    """Return the commit of a clone, with `-dirty` after changes; empty where git knows none."""
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(GIT, cwd=clone, capture_output=True, check=True, encoding="utf-8")
        return said.stdout.strip()
    return ""


def versions() -> dict[str, str]:
    """Return the versions that decide a table: of cryotome, Python, packages and steps."""
    found = {"cryotome": import_module("cryotome").__version__, "python": platform.python_version()}
    found |= {name: version(name) for name in PACKAGES}
    steps = {name: value for name, value in vars(step_versions).items() if name.isupper()}
    return found | {f"step {name}": str(value) for name, value in steps.items()}
