import ast
import importlib.util
import inspect
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

SCRIPTS = sorted((ROOT / "workflow" / "scripts").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_every_script_is_documented_and_knows_nothing_of_snakemake(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text))
    assert "snakemake" not in text.lower()
    spec = importlib.util.spec_from_file_location(f"script_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert inspect.signature(module.main).return_annotation is None


def test_every_script_has_its_rule_and_every_rule_its_script():
    rules = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "workflow" / "rules").glob("*.smk")
    )
    own = dict(
        re.findall(r'^rule (\w+):(?:(?!^rule ).)*?"\.\./scripts/(\w+)\.py"', rules, re.M | re.S)
    )
    looped = {"make_demo_slides"}  # one rule per synthetic cohort, named after it
    assert all(rule == script for rule, script in own.items())
    assert set(own) | looped == {path.stem for path in SCRIPTS}


@pytest.mark.parametrize("name", ["split_cells", "score_row"])
def test_scripts_explain_themselves_by_hand(name):
    done = subprocess.run(
        [sys.executable, ROOT / "workflow" / "scripts" / f"{name}.py", "--help"],
        capture_output=True, encoding="utf-8", env={"PYTHONPATH": str(ROOT / "workflow")}, check=True,
    )  # fmt: skip
    assert "--cells" in done.stdout


def test_a_list_of_files_may_be_empty_by_hand(placed, tmp_path):
    """A split by cells needs no windows, one without shared pixels does."""
    from conftest import CONFIG, windows_of

    from cryotome.core.cards import load_card, without_notes

    placed.to_csv(tmp_path / "cells.csv", index=False)
    windows_of(placed, side=32, margin=4).to_csv(tmp_path / "windows.csv", index=False)
    (tmp_path / "audit.csv").write_text("id,other,left_out,other_left_out\n", encoding="utf-8")
    for scheme, windows in (("random", []), ("no_overlap", [tmp_path / "windows.csv"])):
        split = tmp_path / scheme / "fraction=1.0" / "fold=0.csv"
        card = without_notes(load_card(CONFIG, "schemes", scheme))
        arguments = {
            "cells": [tmp_path / "cells.csv"], "audit": [tmp_path / "audit.csv"], "windows": windows, "listed": [],
            "split": [split], "about": [split.with_suffix(".json")], "recipe": ["1"],
            "card": [card], "drops": [""], "scheme": [scheme], "fraction": ["1.0"], "fold": ["0"],
        }  # fmt: skip
        words = [word for name, values in arguments.items() for word in (f"--{name}", *values)]
        subprocess.run(
            [sys.executable, ROOT / "workflow" / "scripts" / "split_cells.py", *words],
            env={"PYTHONPATH": str(ROOT / "workflow")}, check=True, capture_output=True,
        )  # fmt: skip
        assert split.read_text(encoding="utf-8").startswith("id,role\n0,")


def test_table1_counts_a_network_of_own_code(tmp_path):
    """Whoever brings code sees in Table 1 what was built from it, as of any library's network."""
    import json

    from tests.encoders.test_own_code import CARD, CODE

    from cryotome.core.tables import read_csv

    code, table = tmp_path / "mine.py", tmp_path / "table1.csv"
    code.write_text(CODE, encoding="utf-8")
    card = yaml.safe_load(CARD) | {"module": f"{code}:build", "input": 32}
    given = {"table": table, "cards": json.dumps({"mine": card}), "study": "own"}
    given |= {"resolutions": json.dumps({"mine": True}), "weights_dir": tmp_path}
    words = [str(word) for name, value in given.items() for word in (f"--{name}", value)]
    subprocess.run(
        [sys.executable, ROOT / "workflow" / "scripts" / "table1.py", *words],
        env={"PYTHONPATH": str(ROOT / "workflow")}, check=True,
    )  # fmt: skip
    line = read_csv(table).iloc[0]
    # a convolution of 8 px: 3 * 64 * 4 + 4; a linear layer: 4 * 4 + 4
    assert (line["measured_parameters"], line["measured_dim"]) == (792, 4)
    assert line["measured_gflops"] == 0.0  # under 0.05
