"""Every command of the documents that starts Snakemake plans jobs, and so do the guides' files."""

import re
import shlex

import pytest
from accidents import checkout
from conftest import ROOT
from small_study import jobs, snakemake
from tests.docs.test_docs import DOCS, commands

pytestmark = pytest.mark.commands


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return checkout(tmp_path_factory.mktemp("docs"))


SNAKEMAKE = sorted(
    {line for path in DOCS for line in commands(path) if line.startswith("snakemake")}
)


@pytest.mark.parametrize("line", SNAKEMAKE)
def test_every_snakemake_command_plans(line, clone, data_root):
    words = shlex.split(line)[1:]
    site = {"CRYOTOME_DATA_ROOT": data_root}
    if "--unlock" in words:
        assert "Unlocked" in snakemake(clone, *words, **site)
        return
    if (
        "--report" in words
    ):  # of files that are there: tests/workflow/test_snakemake_report.py makes one
        assert "marked for report" in snakemake(clone, *words, check=False, **site)
        return
    if "--logger" in words:  # which draws the table of jobs its own way
        assert "This was a dry-run" in snakemake(clone, "-n", *words, **site)
        return
    if "--rulegraph" in words:
        assert "digraph snakemake_dag" in snakemake(clone, *words, **site)
        return
    if "--list-rules" in words or "--touch" in words:
        assert snakemake(clone, *words, "-n", **site)
        return
    if "--cores" in words and re.search("ganz2024|ammeling2025|roth2024", line):
        words += ["--config", "device=per_job"]  # the README says that it needs a GPU
    assert jobs(snakemake(clone, "-n", *words, **site)), line


def test_the_dataset_and_the_study_that_guides_add_plan(clone):
    """Both are taken from their pages, checked against their schemas and planned without a GPU."""
    guides = ROOT / "docs" / "guides"
    text = "".join(
        (guides / f"add-a-{what}.md").read_text(encoding="utf-8") for what in ("dataset", "study")
    )
    (study,) = re.findall(r"```yaml\n(study: .*?)```", text, re.S)
    (card,) = re.findall(r"```yaml\n(title: My cells\n.*?)```", text, re.S)
    (table,) = re.findall(r"```\n(x,y,label,filename.*?)```", text, re.S)
    mine = clone / "data" / "mine"
    (mine / "images").mkdir(parents=True)
    (mine / "cells.csv").write_text(table, encoding="utf-8")
    (clone / "config" / "datasets" / "my_cells.yaml").write_text(card, encoding="utf-8")
    (clone / "config" / "studies" / "mine.yaml").write_text(study, encoding="utf-8")
    asked = ["-n", "--configfile", "config/studies/mine.yaml"]
    nowhere = {"CUDA_VISIBLE_DEVICES": "", "CRYOTOME_DATA_ROOT": "data"}
    assert jobs(snakemake(clone, *asked, "--", "results/cells/my_cells.csv", **nowhere))
    said = snakemake(clone, *asked, **nowhere)
    assert jobs(said)["train_endtoend"] == 5  # folds of `random`; one domain has no `from_*`
    assert "This machine has no GPU: the networks of study 'mine' take about" in said
