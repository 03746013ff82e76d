"""Import closure of a script: the files of the library that decide the numbers of a cheap rule."""

import re
from functools import cache
from pathlib import Path

LIBRARY = Path(__file__).parents[1]
# Read as text: parsing every module would slow each start of Snakemake by seconds.
IMPORT = re.compile(r"^ *from (cryotome[\w.]*) import (\([^)]*\)|[^(\n]*)", re.M)
# Not watched: what moves no number of a result, or has a step version of its own.
PLUMBING = frozenset(
    {
        "core.cards",
        "core.errors",
        "core.files",
        "core.charts",
        "core.plotting",
        "core.schemas",
        "core.step_versions",
        "core.store",
        "core.tables",
        "data.annotations.formats",
        "data.cells",
        "data.images",
        "data.windows",
        "encoders.colour_histogram",
        "encoders.embedders",
        "encoders.encoder",
        "encoders.inference",
        "encoders.weights",
        "runtime.environment",
        "runtime.failures",
        "runtime.job",
        "runtime.ledger",
        "runtime.log",
        "runtime.resume",
        "runtime.watchdog",
        "study.costs.disk",
        "study.costs.gflop",
        "study.costs.prices",
        "study.costs.resources",
        "study.facts",
        "study.geometry",
        "study.site",
        "study.statistical_unit",
        "study.study",
        "study.styles",
    }
)
# Scripts of which only direct imports are watched: another check would need the GPU again.
EXPENSIVE = frozenset({"check_precision"})


@cache
def watched_files(script: Path) -> tuple[Path, ...]:
    """Return a script and the modules that it imports, directly or not, without `PLUMBING`.

    Of a script in `EXPENSIVE` its direct imports alone.
    """
    found: set[str] = set()
    waiting = _watched_imports(script)
    while waiting:
        found |= waiting
        deeper = set() if script.stem in EXPENSIVE else waiting
        waiting = {name for module in deeper for name in _watched_imports(_file_of(module))} - found
    return (script, *sorted(map(_file_of, found)))


@cache
def _watched_imports(path: Path) -> set[str]:
    """Return the watched modules that a file imports, at its top or within its functions."""
    names = {
        f"{module}.{name.split()[0]}".removeprefix("cryotome.")
        for module, listed in IMPORT.findall(path.read_text(encoding="utf-8"))
        for name in listed.strip("()\n ").rstrip(",").split(",")
    }
    modules = {name if _file_of(name).exists() else name.rpartition(".")[0] for name in names}
    return {name for name in modules - PLUMBING if _file_of(name).exists()}


def _file_of(module: str) -> Path:
    return LIBRARY.joinpath(*module.split(".")).with_suffix(".py")
