import ast
import importlib.util
import inspect
import re
import subprocess
import sys

import pytest
from conftest import ROOT

SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_every_script_is_documented_and_knows_nothing_of_snakemake(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert "snakemake" not in text.lower()
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert inspect.signature(module.main).return_annotation is None


def test_every_script_has_its_rule_and_every_rule_its_script():
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    named = set(re.findall(r'"\.\./scripts/(\w+)\.py"', rules))
    assert named == {path.stem for path in SCRIPTS}
    assert named <= set(re.findall(r"^rule (\w+)", rules, re.M))


@pytest.mark.parametrize("name", ["split", "score"])
def test_scripts_explain_themselves_by_hand(name):
    done = subprocess.run(
        [sys.executable, ROOT / "workflow" / "scripts" / f"{name}.py", "--help"],
        capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "workflow")}, check=True,
    )  # fmt: skip
    assert "--cells" in done.stdout
