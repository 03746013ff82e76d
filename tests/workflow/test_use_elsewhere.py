"""The workflow as a module of another one, with a config and a folder of its own."""

import pytest
import yaml
from conftest import ROOT
from small_study import plan, snakemake
from tests.workflow.test_own_config import LEAST

SNAKEFILE = f"""
configfile: "mine.yaml"

module cryotome:
    snakefile: {str(ROOT / "Snakefile")!r}
    config: config["cryotome"]

use rule * from cryotome

rule mine:
    default_target: True
    input: "results/table2.csv"
    output: "first_line.txt"
    shell: "head -n 1 {{input}} > {{output}}"
"""


@pytest.fixture
def outer(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE, encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(
        yaml.dump({"cryotome": LEAST | {"folds": 2}}), encoding="utf-8"
    )
    return tmp_path


def test_another_workflow_plans_ours_with_its_own_config(outer):
    planned = plan(outer)
    assert planned["mine"] == planned["table2"] == 1
    assert planned["split_cells"] == 2 * 3  # folds and domains of `from_*`
    (outer / "more.yaml").write_text("other: 1\n", encoding="utf-8")
    assert plan(outer, "--configfile", "more.yaml") == planned


def test_another_workflow_runs_ours_in_its_own_folder(outer):
    cells = "results/cells/demo_rois.csv"
    snakemake(outer, "--cores", "1", "--", cells)
    assert (outer / cells).is_file()
