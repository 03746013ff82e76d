import ast

import pytest
from conftest import ROOT

from cryotome.core import import_closure
from cryotome.core.import_closure import EXPENSIVE, LIBRARY, PLUMBING, watched_files

SCRIPTS = ROOT / "workflow" / "scripts"
FILES = [*SCRIPTS.glob("*.py"), *(p for p in LIBRARY.rglob("*.py") if p.stem != "__init__")]


def file_of(module):
    return LIBRARY.joinpath(*module.split(".")).with_suffix(".py")


def imports_by_ast(path):
    """Return the library modules that a file imports, as Python's own parser reads it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "cryotome":
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removeprefix("cryotome.")
                found.add(name if file_of(name).exists() else name.rpartition(".")[0])
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("cryotome") for alias in node.names), path
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_imports_are_those_that_python_sees(path):
    assert import_closure._watched_imports(path) == imports_by_ast(path) - PLUMBING


def test_the_closure_goes_through_all_modules_but_plumbing(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from cryotome.core.files import sha256\n"
        "def main():\n"
        "    from cryotome.learners.probes.probe import (\n        CHUNK,\n        Fold,\n    )\n",
        encoding="utf-8",
    )
    first, *files = watched_files(script)
    names = {file.relative_to(LIBRARY).with_suffix("").as_posix() for file in files}
    assert first == script
    assert {"learners/probes/probe", "learners/probes/linear", "learners/probes/lbfgs"} <= names
    assert not {name.replace("/", ".") for name in names} & PLUMBING


def test_of_an_expensive_script_direct_imports_alone_are_watched():
    assert [path.stem for path in watched_files(SCRIPTS / "check_precision.py")] == [
        "check_precision", "precision_check",
    ]  # fmt: skip


def test_what_is_not_watched_exists():
    for module in PLUMBING:
        assert file_of(module).exists(), module
    for script in EXPENSIVE:
        assert (SCRIPTS / f"{script}.py").exists()
